// What the gateway says of the people here, for as long as the page is open: in JupyterLab, and on the desktop's page.

const PATIENCE = 5000;
const HELD = 90_000;
const STEPS = [1, 2, 5, 10];
const sleep = (seconds) => new Promise((done) => setTimeout(done, seconds * 1000));

export const looksOn = (role) => role === "observer" || role === "support-view";

/** Events: `change` with what was before; `end` with a sentence when one may not be here any more. */
export class Word extends EventTarget {
  #address;

  constructor(address, now) {
    super();
    this.#address = address;
    this.now = now;
    this.over = false;
  }

  get role() {
    return this.now.you.role;
  }

  get watching() {
    return looksOn(this.role);
  }

  /** The owner's name; the address has her account's. */
  get owner() {
    const found = this.now.here.find(({ role }) => role === "owner");
    return found ? called(found) : decodeURIComponent(this.#address.match(/\/user\/([^/]+)\//)?.[1] ?? "the owner");
  }

  /** Until the page goes, or one may not be here any more. */
  async follow() {
    for (let tries = 0; !this.over; ) {
      try {
        // Browsers hold few questions to one host at once: a page that nobody looks at holds none.
        const next = document.hidden ? await this.#seldom() : await ask(`${this.#address}?after=${this.now.number ?? 0}`, HELD);
        if (next.gone) return this.#end(next.gone);
        tries = 0;
        this.#take(next);
      } catch {
        await sleep(STEPS[Math.min(tries, STEPS.length - 1)]);
        tries += 1;
      }
    }
  }

  async #seldom() {
    await Promise.race([sleep(10), new Promise((done) => document.addEventListener("visibilitychange", done, { once: true }))]);
    return ask(this.#address, PATIENCE);
  }

  #take(next) {
    const before = this.now;
    this.now = next;
    if (before.number === next.number && before.you.role === next.you.role) return;
    if (next.you.role === "none") this.#end("You may not be on this instance any more.");
    else this.dispatchEvent(new CustomEvent("change", { detail: before }));
  }

  #end(sentence) {
    this.over = true;
    this.dispatchEvent(new CustomEvent("end", { detail: sentence }));
  }
}

/** From the most that one may do to the least. */
export const ROLES = {
  owner: "owner",
  support: "support, works here",
  collaborator: "works here too",
  "support-view": "support, watches",
  observer: "watches",
};
const SHORT = {
  observer: "You are watching",
  "support-view": "You are watching as support",
  support: "You are support",
  collaborator: "You work here too",
};
const WANTED = {
  collaborator: "to work here",
  observer: "to watch",
  act: "to help you and work here",
  support: "to help you and work here",
  view: "to help you and watch",
  "support-view": "to help you and watch",
};

/** One's own role in two or three words, and in a sentence; empty for the owner, who knows. */
export const short = (role) => SHORT[role] ?? "";
export function said(role, owner) {
  if (role === "observer") return `You are watching: what ${owner} does is shown as it happens, and you can change nothing.`;
  if (role === "support-view") return `You are watching as support: what ${owner} does is shown as it happens, and you can change nothing.`;
  if (role === "support") return `You are here as support, and work as ${owner}.`;
  if (role === "collaborator") return `You work here as ${owner}.`;
  return "";
}

/** That one's role is another one now. */
export const changed = (word) => `Your role has changed. ${said(word.role, word.owner) || "This instance is yours."}`;

/** Each person once, as the strongest that she is here. */
export function persons(here) {
  const order = Object.keys(ROLES);
  const found = new Map();
  for (const one of here) {
    const known = found.get(one.username);
    if (!known || order.indexOf(one.role) < order.indexOf(known.role)) found.set(one.username, one);
  }
  return [...found.values()].sort((a, b) => order.indexOf(a.role) - order.indexOf(b.role));
}

/** `[name, what she is and since when]`, for a list. */
export function lineOf(one, you) {
  const from = one.since ? `, since ${new Date(one.since).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" })}` : "";
  return [`${called(one)}${one.username === you.username ? " (you)" : ""}`, `${ROLES[one.role] ?? one.role}${from}`];
}

/** What has to be told to this person: a sentence and what its button says, by a key that stays the same. */
export function news({ requests, here, you }) {
  const told = new Map();
  for (const one of requests) {
    const why = one.reason ? `: “${one.reason.length > 60 ? `${one.reason.slice(0, 59)}…` : one.reason}”` : ".";
    told.set(`request ${one.id}`, { text: `${called(one)} asks ${WANTED[one.wanted] ?? "to come in"}${why}`, action: "Answer on the portal" });
  }
  for (const one of here) {
    if (one.way !== "break-glass" || one.username === you.username) continue;
    const does = looksOn(one.role) ? "watches" : "works";
    const text = `${called(one)} ${does} here without the owner's consent, as administrators may in an emergency.`;
    told.set(`break-glass ${one.username} ${one.role}`, { text, action: "See the reason", grave: true });
  }
  return told;
}

/** The portal's page of the people on this instance, where requests are answered. */
export const members = ({ now }) => (now.portal ? `${now.portal}#people` : "/");
export const called = ({ display_name, name, username }) => display_name || name || username;

/** The answer, or `{gone}` when it is a refusal; throws when there is none to rely on. */
async function ask(address, patience) {
  const answer = await fetch(address, { cache: "no-store", redirect: "manual", signal: AbortSignal.timeout(patience) });
  if (answer.status === 401) return { gone: "Your login here has ended, or you were taken off the instance." };
  if (answer.status === 403) return { gone: (await answer.json().catch(() => ({}))).detail || "You may not be on this instance any more." };
  if (!answer.ok) throw new Error(`the gateway answered ${answer.status}`);
  const said = await answer.json();
  if (!said?.you?.role || !Array.isArray(said.here)) throw new Error("no word of people");
  return { requests: [], ...said };
}

/** The first word; null where there is none, and nothing follows. */
export async function begin(base) {
  const address = `${base}_visa/people`;
  try {
    const now = await ask(address, PATIENCE);
    return now.gone ? null : new Word(address, now);
  } catch {
    return null;
  }
}
