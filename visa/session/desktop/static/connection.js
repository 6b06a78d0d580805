// One connection at a time, made again by itself: what is wrong is asked of the gateway before each try.
import { base, note } from "./page.js";
import { Trouble, start, state } from "./state.js";
import Screen, { onlyLook } from "./screen.js";
import * as words from "./words.js";

const STEPS = [0, 1, 2, 4, 8, 15];
const NOT_ALLOWED = 4403;
/** The desktop ended: its state says why. */
const ENDED = 1011;
/** A connection that lasted as many ms was no failed try. */
const LASTED = 5000;
const FINAL = new Set(["login", "refused", "start"]);
const NO_VIDEO = "This browser cannot show the desktop as video here (it takes WebCodecs with H.264, and https): it is shown in pictures.";
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

export class Connection extends EventTarget {
  screen = null;
  received = 0;
  /** The desktop comes in pictures, though there is video. */
  #pictures = false;
  #target;
  #tries = 0;
  #running = false;
  #since = -LASTED - 1;
  #wake = null;

  constructor(target) {
    super();
    this.#target = target;
    addEventListener("online", () => this.now());
    document.addEventListener("visibilitychange", () => document.hidden || this.now());
  }

  get connected() {
    return this.screen !== null;
  }

  /** Try at once instead of at the end of the pause. */
  now() {
    this.#wake?.();
  }

  /** Begin, or begin again after something final. */
  async open() {
    if (this.#running || this.screen) return;
    this.#running = true;
    if (performance.now() - this.#since > LASTED) this.#tries = 0;
    else await this.#pause();
    try {
      while (!(await this.#attempt())) await this.#pause();
    } finally {
      this.#running = false;
    }
  }

  /** True when there is nothing more to try: connected, or ended in words. */
  async #attempt() {
    try {
      const now = await this.#ready();
      return now === null || (await this.#connect(now));
    } catch (problem) {
      if (!(problem instanceof Trouble)) throw problem;
      words.trouble(problem, () => (FINAL.has(problem.kind) ? this.open() : this.now()));
      this.#tries = Math.max(this.#tries, 2);
      return FINAL.has(problem.kind);
    }
  }

  /** The state of a desktop that takes connections; null when it ended. */
  async #ready() {
    const began = Date.now();
    let asked = false;
    for (;;) {
      const now = await state();
      this.dispatchEvent(new CustomEvent("state", { detail: now }));
      if (now.ready) return now;
      if (now.ended && !asked) {
        words.ended(now.ended, now.rights.restart ? () => this.again() : null);
        if (now.rights.restart) return null;
        await sleep(3000);
        continue;
      }
      if (!now.running && !asked && now.rights.restart) {
        words.opening(false);
        await this.#start();
        asked = true;
      } else if (!now.rights.restart && !now.running) {
        words.notStarted();
      } else {
        words.opening(Date.now() - began > 45_000);
      }
      const waited = await state(true);
      if (asked && waited.ended) asked = false;
      if (!waited.ready) await sleep(500);
    }
  }

  async #start() {
    try {
      await start();
    } catch (problem) {
      // A gateway that is up before its launcher: try again soon.
      if (problem.kind === "hub") throw new Trouble("start", problem.message);
      throw problem;
    }
  }

  /** Start the desktop that ended. */
  async again() {
    words.opening(false);
    try {
      await this.#start();
    } catch (problem) {
      words.trouble(problem, () => this.again());
      return;
    }
    for (let tries = 0; tries < 20 && (await state().catch(() => null))?.ended; tries += 1) await sleep(100);
    await this.open();
  }

  /** Makes the screen of a video, given a place and a socket; null when it is to be in pictures. */
  async #video(now) {
    if (!now.video || this.#pictures) return null;
    try {
      const { default: Video, possible } = await import("./video.js");
      if (await possible()) {
        const act = now.rights.act ? (await import("./video-acts.js")).act : (video) => video;
        return (...given) => act(new Video(...given));
      }
    } catch {
      throw new Trouble("away", "A part of the page did not load.");
    }
    this.#inPictures();
    return null;
  }

  #inPictures() {
    this.#pictures = true;
    note(NO_VIDEO, 15);
  }

  async #connect(now) {
    const video = await this.#video(now);
    return new Promise((done) => {
      const address = base.replace(/^/, location.origin.replace(/^http/, "ws"));
      const socket = video ? new WebSocket(`${address}selkies`) : new WebSocket(`${address}websocket`, ["binary"]);
      if (!now.rights.act) onlyLook();
      const screen = video ? video(this.#target, socket) : new Screen(this.#target, socket, { shared: true });
      let open = false;
      let closing = { code: 1006, reason: "" };
      socket.addEventListener("message", ({ data }) => (this.received += data.byteLength ?? 0));
      socket.addEventListener("close", ({ code, reason }) => (closing = { code, reason }));
      screen.viewOnly = !now.rights.act;
      screen.background = "transparent";
      screen.addEventListener("connect", () => {
        open = true;
        this.#since = performance.now();
        this.screen = screen;
        words.hide();
        this.dispatchEvent(new CustomEvent("connect", { detail: { screen, now } }));
        done(true);
      });
      screen.addEventListener("unable", () => this.#inPictures());
      screen.addEventListener("disconnect", () => {
        setTimeout(() => {
          if (!open) done(this.#refused(closing));
          else this.#lost(closing);
        });
      });
    });
  }

  /** Whether a close of the gateway's own says that trying again is of no use. */
  #refused({ code, reason }, was = false) {
    const refused = code === NOT_ALLOWED;
    const kind = !refused ? "later" : was ? "removed" : "refused";
    if (reason && code !== ENDED) words.trouble(new Trouble(kind, reason), () => (refused ? this.open() : this.now()));
    return refused;
  }

  #lost(closing) {
    this.screen = null;
    this.dispatchEvent(new Event("disconnect"));
    if (!this.#refused(closing, true)) this.open();
  }

  async #pause() {
    const until = Date.now() + STEPS[Math.min(this.#tries, STEPS.length - 1)] * 1000;
    this.#tries += 1;
    let woken = false;
    const box = document.getElementById("words");
    const plain = box.hidden || /connection was cut|Opening/.test(document.getElementById("words-title").textContent);
    while (!woken && Date.now() < until) {
      // The words of a trouble stay; a plain cut counts the seconds.
      if (plain) words.lost(Math.ceil((until - Date.now()) / 1000), () => this.now());
      await new Promise((done) => {
        this.#wake = () => done((woken = true));
        setTimeout(done, 1000);
      });
    }
    this.#wake = null;
    await sleep(100);
  }
}
