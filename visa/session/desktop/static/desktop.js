// The desktop's page. What acts is in modules of their own, which only who may act loads.
import { part } from "./page.js";
import { Connection } from "./connection.js";
import { Meter } from "./meter.js";
import { View } from "./view.js";
import * as panels from "./panels.js";
import * as people from "./people.js";
import { state } from "./state.js";
import * as words from "./words.js";

const OFTEN = 5000;
const SELDOM = 30_000;

const connection = new Connection(part("screen"));
const meter = new Meter(connection);
new View(connection);
panels.start();

// Else the browser would leave the desktop for a file that is dropped where, or before, files are taken.
for (const kind of ["dragover", "drop"]) {
  addEventListener(kind, (event) => event.dataTransfer?.types.includes("Files") && event.preventDefault());
}

let acting = null;
async function act(now) {
  if (!now.rights.act || !part("keys") || acting) return;
  acting = import("./acting.js").then((module) => module.start(connection, now));
  try {
    await acting;
  } catch (problem) {
    // The network was cut in the middle; browsers may keep the failure, so the page begins anew.
    console.warn("a part of the page did not load", problem);
    setTimeout(() => (connection.connected ? location.reload() : connection.addEventListener("connect", () => location.reload())), 1000);
  }
}

connection.addEventListener("state", ({ detail }) => people.show(detail));
connection.addEventListener("connect", ({ detail }) => {
  act(detail.now);
  people.show(detail.now);
  if (document.activeElement === document.body || document.activeElement === part("screen")) detail.screen.focus();
});
part("screen").addEventListener("focus", () => connection.screen?.focus());

/** Ctrl, Alt and Shift pressed together, in any order, lead from the desktop to the bar. */
part("screen").addEventListener(
  "keydown",
  (event) => {
    const chord = event.ctrlKey && event.altKey && event.shiftKey;
    if (!chord || !["Control", "Alt", "Shift", "Meta"].includes(event.key)) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    panels.leave();
  },
  { capture: true },
);

async function look() {
  if (connection.connected) {
    try {
      const now = await state();
      // The gateway's own measure goes the pictures' way, and waits behind them.
      meter.answered(now.viewer.round_trip_ms ?? now.took);
      people.show(now);
      connection.dispatchEvent(new CustomEvent("viewer", { detail: now.viewer }));
    } catch (problem) {
      if (problem.kind === "refused") words.trouble({ kind: "removed", message: problem.message }, () => connection.open());
      else if (problem.kind === "login") words.trouble(problem, () => look());
    }
  }
  setTimeout(look, document.hidden ? SELDOM : OFTEN);
}

words.opening(false);
connection.open();
people.follow((sentence) => words.trouble({ kind: "removed", message: sentence }, () => connection.open()));
setTimeout(look, 1000);
