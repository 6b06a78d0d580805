// What the gateway says of the people here, for as long as the page is open.

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
        const next = await ask(`${this.#address}?after=${this.now.number ?? 0}`, HELD);
        if (next.gone) return this.#end(next.gone);
        tries = 0;
        this.#take(next);
      } catch {
        await sleep(STEPS[Math.min(tries, STEPS.length - 1)]);
        tries += 1;
      }
    }
  }

  #take(next) {
    const before = this.now;
    this.now = next;
    if (next.you.role === "none") this.#end("You may not be on this instance any more.");
    else this.dispatchEvent(new CustomEvent("change", { detail: before }));
  }

  #end(sentence) {
    this.over = true;
    this.dispatchEvent(new CustomEvent("end", { detail: sentence }));
  }
}

export const called = ({ display_name, name, username }) => display_name || name || username;

/** The answer, or `{gone}` when it is a refusal; throws when there is none to rely on. */
async function ask(address, patience) {
  const answer = await fetch(address, { cache: "no-store", redirect: "manual", signal: AbortSignal.timeout(patience) });
  if (answer.status === 401) return { gone: "Your login has ended. Load the page again to log in." };
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
