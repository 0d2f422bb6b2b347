"use strict";
// Sorts and filters the cases, counts them aloud, and opens the one that the address names. Without
// this script the page is complete: the cases stand in order and open by themselves.
(() => {
  const gallery = document.getElementById("gallery");
  const tools = document.getElementById("tools");
  const all = gallery ? [...gallery.children] : [];
  const details = (item) => item.querySelector("details");

  function open(name) {
    const item = all.find((one) => one.id === name);
    if (!item) return;
    // The reset is heard a moment later: come back after it.
    if (item.hidden) { tools.reset(); setTimeout(open, 0, name); return; }
    details(item).open = true;
    item.scrollIntoView();
    item.querySelector("summary").focus({ preventScroll: true });
  }

  function wanted(item, asked) {
    const share = 100 * item.dataset.probability;
    return ["verdict", "truth", "error", "zone"].every((key) => !asked[key] || item.dataset[key] === asked[key])
      && share >= (asked.low || 0) && share <= (asked.high || 100);
  }

  function ordered(order) {
    const sign = order.startsWith("-") ? -1 : 1, key = order.replace("-", "");
    const value = (item) => (key === "zone" ? item.dataset.zone : Number(item.dataset[key]));
    const compare = (a, b) => (a < b ? -1 : a > b ? 1 : 0);
    return [...all].sort((a, b) => sign * compare(value(a), value(b)) || a.dataset.number - b.dataset.number);
  }

  function update() {
    const asked = Object.fromEntries(new FormData(tools));
    for (const item of all) item.hidden = !wanted(item, asked);
    const order = ordered(asked.order);
    if (order.some((item, place) => item !== gallery.children[place])) gallery.append(...order);
    for (const box of tools.querySelectorAll("[type=checkbox]")) document.body.classList.toggle("no-" + box.name, !box.checked);
    const shown = all.filter((item) => !item.hidden);
    const wrong = shown.filter((item) => item.dataset.error === "wrong").length;
    document.getElementById("count").textContent =
      `${shown.length} of ${all.length} cases shown` + (shown.length ? `, ${wrong} of them judged wrongly` : "");
  }

  function unfold(whether) {
    for (const item of all) if (!item.hidden) details(item).open = whether;
  }

  // Arrow keys walk from one row to the next.
  function walk(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    const item = event.target.closest("summary") && event.target.closest(".case");
    if (!step || !item) return;
    const shown = [...gallery.children].filter((one) => !one.hidden);
    const next = shown[shown.indexOf(item) + step];
    if (next) { event.preventDefault(); next.querySelector("summary").focus(); }
  }

  if (tools) {
    tools.hidden = false;
    tools.addEventListener("input", update);
    tools.addEventListener("reset", () => setTimeout(update));
    tools.addEventListener("submit", (event) => event.preventDefault());
    tools.elements.open.addEventListener("click", () => unfold(true));
    tools.elements.close.addEventListener("click", () => unfold(false));
    gallery.addEventListener("keydown", walk);
    addEventListener("hashchange", () => open(location.hash.slice(1)));
    update();
    open(location.hash.slice(1));
  }
})();
