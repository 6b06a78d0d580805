// What happens to one's instances and their people, as it happens: one stream per page, none while it is not seen.
import { stream } from "./api.js";

const events = new EventTarget();
let ended = null;

// `fn` is called after each `changed` (an instance), `people` (requests, members, who is here), `hello` and `lost`.
export function on(name, fn) {
  events.addEventListener(name, (event) => fn(event.detail));
}

const pause = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));

function seen() {
  if (!document.hidden) return Promise.resolve();
  return new Promise((done) => document.addEventListener("visibilitychange", done, { once: true }));
}

document.addEventListener("visibilitychange", () => {
  if (document.hidden) ended?.abort();
});

async function watch() {
  let wait = 1000;
  for (;;) {
    await seen();
    ended = new AbortController();
    try {
      await stream(
        "changes",
        (name) => {
          wait = 1000;
          events.dispatchEvent(new CustomEvent(name));
          if (name === "hello") {
            // what happened since the page was read, or while nobody looked, was not told
            events.dispatchEvent(new CustomEvent("changed"));
            events.dispatchEvent(new CustomEvent("people"));
          }
        },
        ended.signal,
      );
    } catch (problem) {
      if (problem.status === 403 || problem.status === 429) {
        events.dispatchEvent(new CustomEvent("lost", { detail: problem.message }));
        return;
      }
    }
    if (!document.hidden) await pause(wait);
    wait = Math.min(2 * wait, 15000);
  }
}
watch();
