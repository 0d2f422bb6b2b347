// The pen: outlines or paints a mask on the X-ray's own pixels, and sends it under the reader's name.
import { encode } from "./runs.js";

const COLOUR = "#ff4fd0", PIXEL = 0xffd04fff; // the same, alpha first and red last
const STEPS = 20; // that can be taken back
const FAR = 8; // pixels, an arrow key; with Shift one

const share = (value) => Math.min(Math.max(value, 0), 1);

export function startPen(panel, viewer, address) {
  const sheet = Object.assign(document.createElement("canvas"), { className: "sheet" });
  const cross = Object.assign(document.createElement("div"), { className: "cross", hidden: true });
  const context = sheet.getContext("2d", { willReadFrequently: true });
  const words = panel.querySelector("#pen-words");
  const brush = panel.querySelector("#brush");
  const reader = panel.querySelector("#reader");
  const snap = panel.querySelector("#snap");
  const past = [];
  const at = { x: 0, y: 0 };
  let stroke = null, pointer = null, before = null, changes = 0;

  const tool = () => panel.querySelector("[name=tool]:checked").value;
  const takes = (by) => by === "cut" || by === "erase";
  const encloses = (by) => by === "draw" || by === "cut";
  const pixels = () => {
    const { data } = context.getImageData(0, 0, sheet.width, sheet.height);
    const mask = new Uint8Array(data.length / 4);
    for (let k = 0; k < mask.length; k++) mask[k] = data[4 * k + 3] >> 7;
    return mask;
  };
  function put(mask) {
    const picture = context.createImageData(sheet.width, sheet.height);
    const colours = new Uint32Array(picture.data.buffer);
    for (let k = 0; k < mask.length; k++) if (mask[k]) colours[k] = PIXEL;
    context.putImageData(picture, 0, 0);
  }
  function remember() {
    past.push(pixels());
    if (past.length > STEPS) past.shift();
    words.textContent = "";
    changes++;
  }
  function draw(by, shape) {
    context.globalCompositeOperation = takes(by) ? "destination-out" : "source-over";
    context.fillStyle = context.strokeStyle = COLOUR;
    context.lineWidth = Number(brush.value);
    context.lineCap = context.lineJoin = "round";
    shape();
    // Whole pixels only: what is half covered is not left half transparent.
    put(pixels());
  }
  function along(points) {
    context.beginPath();
    points.forEach(({ x, y }, k) => (k ? context.lineTo(x, y) : context.moveTo(x, y)));
  }
  function finish(by, points) {
    if (encloses(by)) draw(by, () => { along(points); context.closePath(); context.fill(); });
    else draw(by, () => { along([...points, points.at(-1)]); context.stroke(); });
  }
  // The line as drawn stays a step of its own, so that Undo brings it back.
  async function snapped(by, points) {
    const [start, then] = [past.at(-1), changes];
    const body = JSON.stringify({ points: points.map(({ x, y }) => [share(x / sheet.width), share(y / sheet.height)]) });
    const answer = await post("snap", body);
    if (answer.error) words.textContent = answer.error;
    else if (changes === then && !stroke) {
      remember();
      put(start);
      finish(by, answer.points.map(([x, y]) => ({ x: x * sheet.width, y: y * sheet.height })));
    }
  }
  const place = (event) => {
    const box = sheet.getBoundingClientRect();
    return { x: (event.clientX - box.left) * sheet.width / box.width, y: (event.clientY - box.top) * sheet.height / box.height };
  };
  function preview() {
    context.putImageData(before, 0, 0);
    context.globalCompositeOperation = "source-over";
    along(stroke);
    context.strokeStyle = takes(tool()) ? "#ffffff" : COLOUR;
    context.lineWidth = encloses(tool()) ? Math.max(sheet.width / 400, 1) : Number(brush.value);
    context.lineCap = context.lineJoin = "round";
    context.stroke();
  }

  viewer.addEventListener("pointerdown", (event) => {
    if (!panel.open || event.button !== 0 || stroke) return;
    viewer.setPointerCapture(event.pointerId);
    remember();
    before = context.getImageData(0, 0, sheet.width, sheet.height);
    stroke = [place(event)];
    pointer = event.pointerId;
    cross.hidden = true;
  });
  viewer.addEventListener("pointermove", (event) => {
    if (!stroke || event.pointerId !== pointer) return;
    stroke.push(place(event));
    preview();
  });
  for (const kind of ["pointerup", "pointercancel"]) {
    viewer.addEventListener(kind, (event) => {
      if (!stroke || event.pointerId !== pointer) return;
      const points = stroke;
      stroke = null;
      context.putImageData(before, 0, 0); // without the preview
      finish(tool(), points);
      if (encloses(tool()) && snap.checked) snapped(tool(), points);
    });
  }

  function showCross() {
    at.x = Math.min(Math.max(at.x, 0), sheet.width - 1);
    at.y = Math.min(Math.max(at.y, 0), sheet.height - 1);
    cross.style.left = `${100 * (at.x + 0.5) / sheet.width}%`;
    cross.style.top = `${100 * (at.y + 0.5) / sheet.height}%`;
    cross.hidden = false;
  }
  const arrows = { ArrowLeft: ["x", -1], ArrowRight: ["x", 1], ArrowUp: ["y", -1], ArrowDown: ["y", 1] };
  const does = {
    undo: () => { if (past.length && !stroke) { put(past.pop()); words.textContent = ""; changes++; } },
    empty: () => { remember(); put(new Uint8Array(sheet.width * sheet.height)); },
    model,
    save,
  };
  viewer.addEventListener("keydown", (event) => {
    if (!panel.open || event.target !== viewer) return;
    const arrow = arrows[event.key];
    if (arrow) {
      at[arrow[0]] += arrow[1] * (event.shiftKey ? 1 : FAR);
      showCross();
    } else if (event.key === " ") {
      showCross();
      remember();
      draw(tool(), () => { context.beginPath(); context.arc(at.x + 0.5, at.y + 0.5, brush.value / 2, 0, 2 * Math.PI); context.fill(); });
    } else if (event.key === "[" || event.key === "]") brush.value = Number(brush.value) + (event.key === "]" ? 2 : -2);
    else if (/^u$/i.test(event.key) || ((event.ctrlKey || event.metaKey) && event.key === "z")) does.undo();
    else return;
    event.preventDefault();
  }, { capture: true });
  for (const button of panel.querySelectorAll("[data-pen]")) {
    button.addEventListener("click", () => does[button.dataset.pen]());
  }

  async function model() {
    const image = new Image();
    image.src = `${address}/pictures/pen.png`;
    try {
      await image.decode();
    } catch {
      words.textContent = "The model’s mask could not be loaded: the X-ray may have been forgotten meanwhile; send it once more.";
      return;
    }
    if (sheet.isConnected) remember();
    context.globalCompositeOperation = "copy";
    context.drawImage(image, 0, 0);
    const { data } = context.getImageData(0, 0, sheet.width, sheet.height);
    const mask = new Uint8Array(data.length / 4);
    for (let k = 0; k < mask.length; k++) mask[k] = data[4 * k] >> 7;
    put(mask);
  }
  async function save() {
    words.textContent = "Saving …";
    const [rows, columns] = [sheet.height, sheet.width];
    const said = await post("outline", JSON.stringify({ code: encode(pixels(), rows, columns), rows, columns, reader: reader.value }));
    if (said.error) words.textContent = said.error;
    else words.textContent = said.code === "-1" ? `Saved as no pneumothorax, by ${said.reader}.` : `Saved as an outline by ${said.reader}.`;
  }
  async function post(what, body) {
    try {
      const answer = await fetch(`${address}/${what}`, { method: "POST", body, headers: { "Content-Type": "application/json", Accept: "application/json" } });
      return await answer.json();
    } catch {
      return { error: "The service does not answer; look whether it still runs, then try again." };
    }
  }
  panel.addEventListener("toggle", async () => {
    viewer.dataset.pen = panel.open ? "on" : "off";
    if (panel.open && !sheet.isConnected) {
      [sheet.width, sheet.height] = [Number(viewer.dataset.columns), Number(viewer.dataset.rows)];
      Object.assign(at, { x: sheet.width >> 1, y: sheet.height >> 1 });
      await model();
      viewer.querySelector("#stage").append(sheet, cross);
    }
    sheet.hidden = !panel.open;
    cross.hidden = true;
  });
}
