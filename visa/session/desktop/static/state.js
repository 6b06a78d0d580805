// What the gateway says of the desktop, and how long it took to say it.
import { base } from "./page.js";

/** A question that got no good answer. `kind`: away, login, refused, stopped, hub, start. */
export class Trouble extends Error {
  constructor(kind, text) {
    super(text);
    this.kind = kind;
  }
}

async function refusal(answer) {
  const own = answer.headers.get("Content-Type")?.startsWith("application/problem+json");
  const problem = own ? await answer.json().catch(() => null) : null;
  const detail = problem?.detail ?? "";
  if (answer.status === 401) return new Trouble("login", detail || "Your login has ended.");
  if (answer.status === 403) return new Trouble("refused", detail || "You may not open this instance.");
  if (own && answer.status === 503) return new Trouble("hub", detail);
  // Without the gateway the proxy hands the request to the hub, which says 404, 424 or 503 of a stopped server.
  if ([404, 424, 503].includes(answer.status)) return new Trouble("stopped", "The instance does not run.");
  return new Trouble("away", `The server answered ${answer.status}.`);
}

async function ask(path, options = {}) {
  let answer;
  try {
    answer = await fetch(base + path, { cache: "no-store", redirect: "manual", ...options });
  } catch {
    throw new Trouble("away", "There is no connection to the server.");
  }
  if (answer.type === "opaqueredirect") throw new Trouble("stopped", "The instance does not run.");
  if (!answer.ok) throw await refusal(answer);
  return answer.json().catch(() => {
    throw new Trouble("away", "The answer was cut.");
  });
}

/** `{...state, took}`: took is the time of question and answer in ms, without the gateway's own waiting. */
export async function state(wait = false) {
  const began = performance.now();
  const answer = await ask(wait ? "state?wait=1" : "state", { signal: AbortSignal.timeout(wait ? 30_000 : 10_000) });
  return { ...answer, took: performance.now() - began };
}

export const start = () => ask("start", { method: "POST" });
