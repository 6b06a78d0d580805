// One file to the instance, in parts: it can be cut, cancelled, and go on where it stopped.
import { base } from "./page.js";

const PART = 8 * 2 ** 20;
const TRIES = 8;

const UNREADABLE = "It cannot be read on your computer: it is a folder, or was moved, changed or removed.";

const readable = (file) =>
  file.slice(0, 1).arrayBuffer().then(
    () => true,
    () => false,
  );
const spelled = (path) => path.split("/").map(encodeURIComponent).join("/");
export const address = (path) => `${base}files/${spelled(path)}`;

async function problem(answer) {
  const told = await answer.json().catch(() => ({}));
  const error = new Error(told.detail ?? told.title ?? `The server answered ${answer.status}.`);
  error.status = answer.status;
  return error;
}

export async function ask(path, query = "", options = {}) {
  const answer = await fetch(address(path) + query, { cache: "no-store", ...options });
  if (!answer.ok) throw await problem(answer);
  return answer;
}

/** The same file to the same place has the same id, so that it goes on after the page was closed. */
async function idOf(path, file) {
  const told = new TextEncoder().encode(`${path}\n${file.size}\n${file.lastModified}`);
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", told));
  return Array.from(digest.slice(0, 12), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

export class Upload {
  #stop = new AbortController();
  sent = 0;
  cancelled = false;

  constructor(path, file, progress) {
    Object.assign(this, { path, file, progress });
  }

  /** Until it is there; throws what the server said, or an AbortError when cancelled. */
  async run(replace = false) {
    this.id = await idOf(this.path, this.file);
    this.sent = await this.#received();
    for (let tries = 0; ; ) {
      try {
        await this.#part(replace);
        tries = 0;
        if (this.sent >= this.file.size) return;
      } catch (error) {
        // What the server refused stays refused; a cut connection does not.
        if (this.cancelled || (error.status >= 400 && error.status < 500 && error.status !== 416) || tries >= TRIES) throw error;
        if (!error.status && !(await readable(this.file))) throw new Error(UNREADABLE);
        tries += 1;
        this.progress(this, "The connection was cut; trying again.");
        await new Promise((done) => setTimeout(done, Math.min(15_000, 500 * 2 ** tries)));
        this.sent = await this.#received().catch(() => this.sent);
      }
    }
  }

  async #received() {
    try {
      const { received } = await (await ask(this.path, `?upload=${this.id}`, { signal: this.#stop.signal })).json();
      return received <= this.file.size ? received : 0;
    } catch (error) {
      if (error.status === 404) return 0;
      throw error;
    }
  }

  async #part(replace) {
    const end = Math.min(this.sent + PART, this.file.size);
    const query = `?offset=${this.sent}&size=${this.file.size}&upload=${this.id}${replace ? "&replace=1" : ""}`;
    await ask(this.path, query, { method: "PUT", body: this.file.slice(this.sent, end), signal: this.#stop.signal });
    this.sent = end;
    this.progress(this);
  }

  async cancel() {
    this.cancelled = true;
    this.#stop.abort();
    await fetch(`${address(this.path)}?upload=${this.id}`, { method: "DELETE" }).catch(() => {});
  }
}
