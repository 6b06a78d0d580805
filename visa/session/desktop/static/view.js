// How the picture stands on the screen: its size, full screen, and a copy of it as a file.
import { choices, note, part, remember, remembered, save } from "./page.js";

const SIZES = [
  ["window", "As large as this window"],
  ["scale", "Keep its size, shrink or grow the picture"],
  ["native", "Keep its size, scroll"],
];
const KEYS = ["Escape", "Tab", "AltLeft", "AltRight", "MetaLeft", "MetaRight", "KeyW", "KeyN", "KeyT", "F11", "F4"];

export class View {
  #connection;
  #resize = false;
  #size = remembered("size", "window");

  constructor(connection) {
    this.#connection = connection;
    connection.addEventListener("connect", ({ detail }) => {
      this.#offer(detail.now.rights.resize);
      this.#apply();
    });
    part("sharp-line").hidden = devicePixelRatio <= 1;
    part("sharp").checked = remembered("sharp", "no") === "yes";
    part("sharp").addEventListener("change", () => {
      remember("sharp", part("sharp").checked ? "yes" : "no");
      this.#apply();
    });
    part("picture").addEventListener("click", () => this.#picture());
    part("full").addEventListener("click", () => this.#full());
    document.addEventListener("fullscreenchange", () => this.#changed());
    part("full").hidden = !document.fullscreenEnabled;
  }

  #offer(resize) {
    if (part("sizes").querySelector("input") && resize === this.#resize) return;
    this.#resize = resize;
    part("sizes").querySelectorAll("label").forEach((label) => label.remove());
    const offered = resize ? SIZES : SIZES.slice(1);
    if (!offered.some(([name]) => name === this.#size)) this.#size = "scale";
    choices(part("sizes"), "size", offered, this.#size, (value) => {
      this.#size = value;
      remember("size", value);
      this.#apply();
    });
  }

  #apply() {
    const { screen } = this.#connection;
    if (screen === null) return;
    screen.sharp = part("sharp").checked && devicePixelRatio > 1;
    screen.scaleViewport = this.#size !== "native";
    screen.resizeSession = this.#size === "window" && this.#resize;
    if (screen.resizeSession) screen.fit();
  }

  #picture() {
    const { screen } = this.#connection;
    if (screen === null) return note("There is no picture now.");
    const name = `desktop-${new Date().toISOString().slice(0, 19).replaceAll(":", "")}.png`;
    screen.toBlob((blob) => {
      save(blob, name);
      note(`Saved as ${name}.`);
    }, "image/png");
  }

  async #full() {
    if (document.fullscreenElement) return document.exitFullscreen();
    try {
      await document.documentElement.requestFullscreen({ navigationUI: "hide" });
    } catch {
      note("The browser does not allow full screen here.");
      return;
    }
    // Chromium then passes on most keys that it keeps otherwise; others have no such thing.
    // It takes keys by their place, and W, N and T are elsewhere on some keyboards.
    const places = [...((await navigator.keyboard?.getLayoutMap?.().catch(() => null)) ?? [])];
    const closing = places.filter(([, letter]) => "wnt".includes(letter)).map(([code]) => code);
    await navigator.keyboard?.lock?.([...new Set([...KEYS, ...closing])]).catch(() => {});
    this.#connection.screen?.focus();
  }

  #changed() {
    const full = document.fullscreenElement !== null;
    document.body.classList.toggle("full", full);
    document.body.classList.remove("menu");
    part("full").setAttribute("aria-pressed", String(full));
    if (!full) navigator.keyboard?.unlock?.();
    else note("Hold Escape to leave full screen; the bar is behind the Menu button at the top.");
  }
}
