"use strict";
// Sorts and filters the cases, shows how many there are, and opens the one in the page's address.
// Without this script the page is complete: the cases stand in order, and each can be opened.
(() => {
  const gallery = document.getElementById("gallery");
  const tools = document.getElementById("tools");
  const all = gallery ? [...gallery.children] : [];
  const details = (item) => item.querySelector("details");

  function open(name) {
    const item = all.find((candidate) => candidate.id === name);
    if (!item) return;
    // The reset takes effect a moment later: try again after it.
    if (item.hidden) { tools.reset(); setTimeout(open, 0, name); return; }
    details(item).open = true;
    item.scrollIntoView();
    item.querySelector("summary").focus({ preventScroll: true });
  }

  function matches(item, filters) {
    const share = 100 * item.dataset.probability;
    return ["prediction", "truth", "error", "zone"].every((key) => !filters[key] || item.dataset[key] === filters[key])
      && share >= (filters.low || 0) && share <= (filters.high || 100);
  }

  function ordered(order) {
    const sign = order.startsWith("-") ? -1 : 1, key = order.replace("-", "");
    const value = (item) => (key === "zone" ? item.dataset.zone : Number(item.dataset[key]));
    const compare = (a, b) => (a < b ? -1 : a > b ? 1 : 0);
    return [...all].sort((a, b) => sign * compare(value(a), value(b)) || a.dataset.number - b.dataset.number);
  }

  function update() {
    const filters = Object.fromEntries(new FormData(tools));
    for (const item of all) item.hidden = !matches(item, filters);
    const order = ordered(filters.order);
    if (order.some((item, place) => item !== gallery.children[place])) gallery.append(...order);
    for (const box of tools.querySelectorAll("[type=checkbox]")) document.body.classList.toggle("no-" + box.name, !box.checked);
    const shown = all.filter((item) => !item.hidden);
    const wrong = shown.filter((item) => item.dataset.error === "wrong").length;
    document.getElementById("count").textContent =
      `${shown.length} of ${all.length} cases shown` + (shown.length ? `, ${wrong} of them wrong` : "");
  }

  function setOpen(isOpen) {
    for (const item of all) if (!item.hidden) details(item).open = isOpen;
  }

  // Arrow keys move from one row to the next.
  function moveFocus(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    const item = event.target.closest("summary") && event.target.closest(".case");
    if (!step || !item) return;
    const shown = [...gallery.children].filter((item) => !item.hidden);
    const next = shown[shown.indexOf(item) + step];
    if (next) { event.preventDefault(); next.querySelector("summary").focus(); }
  }

  if (tools) {
    tools.hidden = false;
    tools.addEventListener("input", update);
    tools.addEventListener("reset", () => setTimeout(update));
    tools.addEventListener("submit", (event) => event.preventDefault());
    tools.elements.open.addEventListener("click", () => setOpen(true));
    tools.elements.close.addEventListener("click", () => setOpen(false));
    gallery.addEventListener("keydown", moveFocus);
    addEventListener("hashchange", () => open(location.hash.slice(1)));
    update();
    open(location.hash.slice(1));
  }

  // Predictive values at the reader's prevalence; the table is complete without.
  const prevalence = document.getElementById("prevalence");
  const own = [...document.querySelectorAll("[data-own]")];
  function predict() {
    const share = prevalence.value / 100;
    if (!(share > 0 && share < 1)) return;
    for (const cell of own) {
      cell.hidden = false;
      if (!("which" in cell.dataset)) continue;
      const sensitivity = Number(cell.dataset.sensitivity), specificity = Number(cell.dataset.specificity);
      const [right, wrong] = cell.dataset.which === "0"
        ? [sensitivity * share, (1 - specificity) * (1 - share)]
        : [specificity * (1 - share), (1 - sensitivity) * share];
      const value = right / (right + wrong);
      cell.textContent = !(value >= 0) ? "none called" : value < 0.01 ? "below 1%" : value > 0.99 ? "above 99%" : `${Math.round(100 * value)}%`;
    }
  }
  if (prevalence) { prevalence.addEventListener("input", predict); predict(); }
})();
