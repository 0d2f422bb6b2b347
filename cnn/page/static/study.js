// The page of one answer: its parts, each in a file of its own.
import { startPen } from "./pen.js";
import { startViewer } from "./viewer.js";
import { startWard } from "./ward.js";

const name = document.querySelector("main").dataset.name;
for (const image of document.querySelectorAll("#layers image")) {
  image.setAttribute("href", `/studies/${name}/pictures/${image.dataset.picture}`);
}
startViewer(document.getElementById("viewer"), document.querySelector(".controls"));
const pen = document.getElementById("pen");
if (pen) startPen(pen, document.getElementById("viewer"), `/studies/${name}`);
startWard(document.getElementById("ward"));
document.getElementById("print").addEventListener("click", () => print());
document.getElementById("forget").addEventListener("click", async () => {
  const words = document.getElementById("forget-words");
  try {
    const answer = await fetch(`/studies/${name}`, { method: "DELETE", headers: { Accept: "application/json" } });
    // What is gone already is forgotten too.
    if (answer.ok || answer.status === 404) location.assign("/");
    else words.textContent = (await answer.json()).error;
  } catch {
    words.textContent = "The service does not answer, so it may not have forgotten the X-ray; look whether it still runs.";
  }
});
