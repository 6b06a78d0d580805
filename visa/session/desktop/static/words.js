// What the page says instead of, or over, the picture.
import { button, element, part, portal } from "./page.js";

const reasons = {
  "logged-out": ["You logged out of the desktop", "Its windows are closed; your files are kept."],
  server: ["The desktop has stopped", "Its X server ended, and its windows with it. Files that you had saved are kept."],
  missing: [
    "This environment has no X server",
    "A desktop needs Xvnc (TigerVNC) in the environment. Whoever looks after the environment can add it; your files are kept.",
  ],
  "no-session": [
    "This environment has no desktop session",
    "There is Xvnc but nothing to run in it, such as XFCE or openbox. Whoever looks after the environment can add one.",
  ],
  killed: [
    "The desktop was ended from outside",
    "Most often that is for memory: its programs used more than the instance has. Saved files are kept.",
  ],
};

const home = () => element("a", "Your home page", { href: portal, class: "button" });

export function hide() {
  part("words").hidden = true;
}

export function say(title, text, actions = [], busy = false) {
  const box = part("words");
  if (!box.hidden && part("words-title").textContent === title && part("words-text").textContent === text) return;
  box.hidden = false;
  box.classList.toggle("busy", busy);
  part("words-title").textContent = title;
  part("words-text").textContent = text;
  part("words-actions").replaceChildren(...actions);
}

export function opening(slow) {
  const text = slow
    ? "This takes longer than usual. You can wait, or stop and start the instance on your home page; your files are kept."
    : "The desktop is being started. This page goes on by itself.";
  say("Opening the desktop", text, slow ? [home()] : [], true);
}

export function ended(reason, again) {
  const [title, text] = reasons[reason] ?? reasons.server;
  if (again) say(title, text, [button("Start the desktop again", again), home()]);
  else say(title, `${text} The owner of the instance can start it again.`, [home()]);
}

export function notStarted() {
  say("The desktop is not open yet", "The owner of the instance can start it. This page goes on by itself.", [home()], true);
}

export function lost(seconds, now) {
  const text = seconds ? `The next try is in ${seconds} s. Your windows stay open meanwhile.` : "Your windows stay open meanwhile.";
  say("The connection was cut", text, [button("Try now", now)], true);
}

export function trouble(problem, again) {
  const reload = button("Log in again", () => location.reload());
  const retry = button("Try now", again);
  switch (problem.kind) {
    case "login":
      return say("Please log in again", problem.message, [reload]);
    case "refused":
      return say("You are not let in", problem.message, [home()]);
    case "removed":
      return say("You are not on this instance any more", problem.message, [home(), retry]);
    case "stopped":
      return say("The instance is stopped", "Start it again on your home page; this page then goes on by itself.", [home(), retry]);
    case "hub":
      return say("The hub does not answer", `${problem.message} Your windows stay open meanwhile.`, [retry], true);
    case "later":
      return say("The desktop cannot be shown now", `${problem.message} This page tries again by itself.`, [retry, home()], true);
    case "start":
      return say("The desktop could not be started", problem.message, [retry, home()]);
    default:
      return say("The instance cannot be reached", `${problem.message} This page tries again by itself.`, [retry, home()], true);
  }
}
