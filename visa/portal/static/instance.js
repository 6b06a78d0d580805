import { api, prefix, stream, tell } from "./api.js";

const page = document.getElementById("instance");
const { id, url } = page.dataset;
const part = (name) => document.getElementById(name);
const words = { starting: "Starting", running: "Running", stopping: "Stopping", stopped: "Stopped", failed: "Ended by a fault" };
let began = Date.now();
let clock;

function show(state) {
  page.dataset.state = state;
  part("state").textContent = words[state] ?? state;
  part("state").parentElement.className = `state state-${state}`;
  part("bar").hidden = part("cancel").hidden = state !== "starting";
  for (const way of page.querySelectorAll("[data-open]")) way.hidden = state !== "running";
  part("again").hidden = state !== "failed" && state !== "stopped";
  if (state !== "starting") clearInterval(clock);
}

function step(message) {
  const last = part("steps").lastElementChild;
  if (!message || last?.textContent === message) return;
  const item = document.createElement("li");
  item.textContent = message;
  part("steps").append(item);
}

function watch() {
  began = Date.now();
  clock = setInterval(() => {
    part("time").textContent = `${Math.round((Date.now() - began) / 1000)} seconds so far.`;
  }, 1000);
  follow(0);
}

// The stream ends with the start; one that broke before is taken up again, a few times.
async function follow(broken) {
  let over = false;
  try {
    await stream(`api/v1/instances/${id}/events`, (name, event) => {
      const again = name === "problem" && event.status === 503; // nothing was decided: asked again in a moment
      over ||= !again && (name === "problem" || event.state !== "starting");
      if (name === "problem") tell(part("trouble"), `${event.detail} ${event.remedy}`);
      else told(event);
    });
  } catch (problem) {
    if (problem.status === 403) {
      tell(part("trouble"), problem.message);
      return;
    }
  }
  if (over) return;
  await new Promise((done) => setTimeout(done, 1000));
  if (broken < 5) follow(broken + 1);
  else location.reload();
}

function told(event) {
  if (event.progress) part("bar").value = event.progress;
  if (event.state === "starting") {
    step(event.message);
    return;
  }
  show(event.state);
  if (event.state === "running") location.replace(event.url);
  else tell(part("trouble"), event.message ?? "The start was cancelled.");
}

part("cancel").addEventListener("click", async () => {
  part("cancel").disabled = true;
  try {
    await api("POST", `instances/${id}/stop`);
  } catch (problem) {
    tell(part("trouble"), problem.message);
  }
  part("cancel").disabled = false;
});
part("again").addEventListener("click", async () => {
  tell(part("trouble"), "");
  part("steps").replaceChildren();
  part("again").hidden = true;
  show("starting");
  try {
    const instance = await api("POST", `instances/${id}/start`);
    if (instance.state === "running") location.replace(url);
    else watch();
  } catch (problem) {
    show("stopped");
    tell(part("trouble"), problem.message);
  }
});
if (page.dataset.state === "starting") watch();
// The start that led here was quicker than this page.
else if (page.dataset.state === "running" && location.hash === "#start") location.replace(url);
