// Measures the connection: answer time, pictures a second, Mbit/s; and chooses the quality by them.
import { choices, part, remember, remembered } from "./page.js";

/** JPEG quality and compression that noVNC asks for, best first. */
const LEVELS = [
  ["best", 9, 1],
  ["good", 7, 2],
  ["fair", 4, 5],
  ["low", 1, 9],
];
/** The best that is chosen by itself: TigerVNC sends what stays still again without loss, and what moves costs half the
 * frames at best quality. */
const FINEST = 1;
const EVERY = 2000;
const SLOW = 250;
const FAST = 120;
const CALM = 15_000;

/** The next level by answer times: down when answers wait behind pictures, up after a calm while. */
export function nextLevel(level, { took, best, rate, since }) {
  const congested = took > SLOW && took > 2 * best && rate > 0.2;
  if (congested) return Math.min(level + 1, LEVELS.length - 1);
  if (took < Math.max(FAST, 1.5 * best) && since > CALM) return Math.max(level - 1, FINEST);
  return level;
}

export class Meter {
  #connection;
  #chosen = remembered("quality", "auto");
  #level = FINEST;
  #changed = 0;
  #times = [];
  #pictures = 0;
  #received = 0;
  #at = performance.now();
  #rate = 0;

  constructor(connection) {
    this.#connection = connection;
    const options = [["auto", "By the connection"], ...LEVELS.map(([name], index) => [String(index), `Always ${name}`])];
    choices(part("qualities"), "quality", options, this.#chosen, (value) => {
      this.#chosen = value;
      remember("quality", value);
      this.#apply(value === "auto" ? this.#level : Number(value));
    });
    connection.addEventListener("connect", () => {
      this.#pictures = this.#received = 0;
      this.#received = connection.received;
      this.#apply(this.#chosen === "auto" ? this.#level : Number(this.#chosen));
    });
    setInterval(() => this.#look(), EVERY);
  }

  /** One question's time in ms. */
  answered(took) {
    this.#times = [...this.#times.slice(-19), took];
    if (this.#chosen !== "auto" || !this.#connection.connected) return;
    const best = Math.min(...this.#times);
    // The better of two: now and then the gateway asks the hub first.
    const usual = Math.min(...this.#times.slice(-2));
    const next = nextLevel(this.#level, { took: usual, best, rate: this.#rate, since: performance.now() - this.#changed });
    if (next !== this.#level) this.#apply(next);
  }

  #apply(level) {
    this.#level = level;
    this.#changed = performance.now();
    const [name, quality, compression] = LEVELS[level];
    const { screen } = this.#connection;
    // Video is the same for all who look: nobody chooses for the others.
    part("qualities").hidden = Boolean(screen?.video);
    part("figure-quality").textContent = screen?.video ? "video" : name;
    if (screen === null) return;
    screen.qualityLevel = quality;
    screen.compressionLevel = compression;
  }

  #look() {
    const now = performance.now();
    const seconds = (now - this.#at) / 1000;
    this.#at = now;
    const { screen, received } = this.#connection;
    if (screen === null || document.hidden) {
      if (screen === null) part("meter").textContent = "Not connected";
      return;
    }
    const pictures = Math.round((screen.pictures - this.#pictures) / seconds);
    this.#rate = ((received - this.#received) * 8) / 1e6 / seconds;
    this.#pictures = screen.pictures;
    this.#received = received;
    const ms = this.#times.length ? `${Math.round(Math.min(...this.#times.slice(-3)))} ms` : "– ms";
    const rate = this.#rate < 10 ? this.#rate.toFixed(1) : Math.round(this.#rate);
    part("meter").textContent = `${ms} · ${Math.max(0, pictures)} fps · ${rate} Mbit/s`;
    part("figure-ms").textContent = ms;
    part("figure-fps").textContent = `${Math.max(0, pictures)} a second`;
    part("figure-rate").textContent = `${rate} Mbit/s`;
  }
}
