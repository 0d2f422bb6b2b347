// Sends an X-ray and goes to its answer; what goes wrong is said on the page.
const form = document.getElementById("upload");
const [progress, problem] = ["progress", "problem"].map((id) => document.getElementById(id));
const TRIES = 5;
const wait = (seconds) => new Promise((done) => setTimeout(done, 1000 * seconds));

async function send(body, what) {
  problem.textContent = "";
  document.body.classList.add("busy");
  try {
    for (let left = TRIES; ; left--) {
      progress.textContent = `Reading ${what} …`;
      const answer = await fetch("/studies", { method: "POST", body, headers: { Accept: "application/json" } });
      if (answer.status === 201) {
        location.assign("/pages/" + answer.headers.get("Location").split("/").pop());
        return;
      }
      const { error } = await answer.json();
      const seconds = Number(answer.headers.get("Retry-After"));
      if (answer.status !== 503 || !seconds || left === 1) throw new Error(error);
      progress.textContent = `${error} Trying again in ${seconds} seconds.`;
      await wait(seconds);
    }
  } catch (error) {
    progress.textContent = "";
    problem.textContent = error instanceof TypeError
      ? "The service does not answer; look whether it still runs, then send the X-ray again."
      : error.message;
    problem.scrollIntoView({ block: "nearest" });
  } finally {
    document.body.classList.remove("busy");
  }
}

function sendFile(file) {
  if (file.size > Number(form.dataset.most)) {
    problem.textContent = `${file.name} is larger than ${form.dataset.most / 2 ** 20} MB; send one X-ray by itself.`;
    return;
  }
  const body = new FormData();
  body.append("file", file);
  send(body, file.name);
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const file = form.elements.file.files[0];
  if (file) sendFile(file);
});
form.elements.file.addEventListener("change", () => form.requestSubmit());
for (const sample of document.querySelectorAll(".sample")) {
  sample.addEventListener("submit", (event) => {
    event.preventDefault();
    send(new FormData(sample), "the phantom");
  });
}
for (const kind of ["dragover", "drop", "dragleave"]) {
  addEventListener(kind, (event) => {
    event.preventDefault();
    form.classList.toggle("over", kind === "dragover");
    if (kind !== "drop") return;
    const files = event.dataTransfer.files;
    if (files.length === 1) sendFile(files[0]);
    else problem.textContent = `${files.length} files were dropped; send one X-ray at a time.`;
  });
}
// Coming back by the browser's button shows the page as it was left.
addEventListener("pageshow", () => {
  progress.textContent = "";
  form.reset();
});
