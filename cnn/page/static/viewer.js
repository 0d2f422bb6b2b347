// The X-ray with window and level, zoom and layers, by mouse, touch, keys and controls.
import { grey } from "./grey.js";

const STEP = 0.02; // of the range of levels, a key press
const CLOSER = 1.25; // a key press or click
const FARTHEST = 1, CLOSEST = 12;
const MOVE = 40; // pixels, a key press
const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

export function startViewer(viewer, controls) {
  const stage = viewer.querySelector("#stage");
  const canvas = viewer.querySelector("#xray");
  const words = viewer.querySelector("output");
  const [level, width] = ["level", "width"].map((id) => controls.querySelector("#" + id));
  const first = { low: Number(viewer.dataset.low), high: Number(viewer.dataset.high) };
  const state = {};
  let image = null, drawn = 0;

  function reset() {
    Object.assign(state, { level: (first.low + first.high) / 2, width: first.high - first.low, inverted: false, zoom: 1, x: 0, y: 0 });
    show();
  }
  function show() {
    state.level = clamp(state.level, 0, 1);
    state.width = clamp(state.width, 0.01, 1);
    state.zoom = clamp(state.zoom, FARTHEST, CLOSEST);
    const box = viewer.getBoundingClientRect();
    state.x = clamp(state.x, box.width * (1 - state.zoom), 0);
    state.y = clamp(state.y, box.height * (1 - state.zoom), 0);
    stage.style.transform = `translate(${state.x}px, ${state.y}px) scale(${state.zoom})`;
    level.value = 100 * state.level;
    width.value = 100 * state.width;
    words.textContent = `level ${Math.round(100 * state.level)}% · window ${Math.round(100 * state.width)}% · zoom ${state.zoom.toFixed(1)}×${state.inverted ? " · inverted" : ""}`;
    cancelAnimationFrame(drawn);
    if (image) drawn = requestAnimationFrame(() => image.paint(state.level, state.width, state.inverted));
  }
  function zoom(factor, x, y) {
    const next = clamp(state.zoom * factor, FARTHEST, CLOSEST);
    state.x = x - (x - state.x) * next / state.zoom;
    state.y = y - (y - state.y) * next / state.zoom;
    state.zoom = next;
    show();
  }
  const middle = () => [viewer.clientWidth / 2, viewer.clientHeight / 2];
  const does = {
    closer: () => zoom(CLOSER, ...middle()),
    farther: () => zoom(1 / CLOSER, ...middle()),
    invert: () => { state.inverted = !state.inverted; show(); },
    reset,
  };
  for (const button of controls.querySelectorAll("[data-does]")) {
    button.addEventListener("click", does[button.dataset.does]);
  }
  level.addEventListener("input", () => { state.level = level.value / 100; show(); });
  width.addEventListener("input", () => { state.width = width.value / 100; show(); });
  const toggles = [...controls.querySelectorAll("[data-toggles]")];
  for (const toggle of toggles) {
    const layer = viewer.querySelector(`[data-layer="${toggle.dataset.toggles}"]`);
    const set = () => layer.classList.toggle("off", !toggle.checked);
    toggle.addEventListener("change", set);
    set();
  }

  const arrows = { ArrowUp: ["level", 1], ArrowDown: ["level", -1], ArrowRight: ["width", 1], ArrowLeft: ["width", -1] };
  const signs = { "+": does.closer, "=": does.closer, "-": does.farther, 0: reset, i: does.invert, I: does.invert };
  viewer.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || event.target !== viewer) return;
    const arrow = arrows[event.key];
    if (arrow && event.shiftKey) {
      state[arrow[0] === "level" ? "y" : "x"] += (arrow[0] === "level" ? 1 : -1) * arrow[1] * MOVE;
      show();
    } else if (arrow) {
      state[arrow[0]] += arrow[1] * STEP;
      show();
    } else if (signs[event.key]) signs[event.key]();
    else if (/^[1-6]$/.test(event.key)) viewer.dispatchEvent(new CustomEvent("layer", { detail: event.key }));
    else return;
    event.preventDefault();
  });
  viewer.addEventListener("layer", (event) => {
    const names = [...viewer.querySelectorAll("[data-layer]")].map((group) => group.dataset.layer);
    const toggle = toggles.find((box) => box.dataset.toggles === names[event.detail - 1]);
    if (toggle && !toggle.disabled) toggle.click();
  });
  viewer.addEventListener("wheel", (event) => {
    if (document.activeElement !== viewer && !event.ctrlKey) return;
    event.preventDefault();
    const box = viewer.getBoundingClientRect();
    zoom(Math.exp(-event.deltaY / 400), event.clientX - box.left, event.clientY - box.top);
  }, { passive: false });
  viewer.addEventListener("dblclick", reset);
  viewer.addEventListener("contextmenu", (event) => event.preventDefault());
  drag(viewer, controls, state, show, zoom);

  addEventListener("resize", show);
  controls.hidden = false;
  grey(canvas, viewer.dataset.src, viewer.dataset.deep === "yes").then((loaded) => {
    image = loaded;
    viewer.style.maxWidth = `max(280px, calc((100vh - 120px) * ${canvas.width / canvas.height}))`;
    viewer.dataset.ready = "yes";
    reset();
  }, () => {
    words.textContent = "The X-ray could not be loaded: it may have been forgotten meanwhile; send it once more.";
  });
}

// One pointer changes grey levels or moves, as chosen; any but the left button moves; two zoom.
function drag(viewer, controls, state, show, zoom) {
  const pointers = new Map();
  const places = () => [...pointers.values()];
  const apart = ([a, b]) => Math.hypot(a.x - b.x, a.y - b.y);
  viewer.addEventListener("pointerdown", (event) => {
    if (viewer.dataset.pen === "on" && event.button === 0) return;
    viewer.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, { x: event.clientX, y: event.clientY, button: event.button });
  });
  viewer.addEventListener("pointermove", (event) => {
    const last = pointers.get(event.pointerId);
    if (!last) return;
    const before = places().map((place) => ({ ...place }));
    const [dx, dy] = [event.clientX - last.x, event.clientY - last.y];
    Object.assign(last, { x: event.clientX, y: event.clientY });
    if (pointers.size === 2) {
      const box = viewer.getBoundingClientRect();
      const [a, b] = places();
      state.x += dx / 2;
      state.y += dy / 2;
      zoom(apart([a, b]) / Math.max(apart(before), 1), (a.x + b.x) / 2 - box.left, (a.y + b.y) / 2 - box.top);
      return;
    }
    if (last.button !== 0 || controls.querySelector("[name=drag]:checked").value === "move") {
      state.x += dx;
      state.y += dy;
    } else {
      state.width += dx / viewer.clientWidth;
      state.level -= dy / viewer.clientHeight;
    }
    show();
  });
  for (const kind of ["pointerup", "pointercancel"]) {
    viewer.addEventListener(kind, (event) => pointers.delete(event.pointerId));
  }
}
