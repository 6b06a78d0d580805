// The desktop as video from Selkies: decoded by the browser (WebCodecs), drawn on a canvas. To the other modules it is
// what noVNC's RFB is. It only looks; what acts is in video-acts.js, which only who may act loads.

const HEADER = 12;
const H264 = 1;
const KEY = 1;
/** Decoders that fail so many times in a row are given up. */
const PATIENCE = 3;
/** A first picture that takes as many ms is one that never comes. */
const FIRST = 20_000;
const COLOURS = { primaries: "bt709", transfer: "bt709", matrix: "bt709", fullRange: false };

const hex = (byte) => byte.toString(16).toUpperCase().padStart(2, "0");

/** The codec's name as H.264's own parameters give it; null when a picture brings none. */
export function codec(data) {
  for (let at = 0; at + 6 < data.length; at += 1) {
    const starts = data[at] === 0 && data[at + 1] === 0 && data[at + 2] === 1;
    if (starts && (data[at + 3] & 0x1f) === 7) return `avc1.${hex(data[at + 4])}${hex(data[at + 5])}${hex(data[at + 6])}`;
  }
  return null;
}

/** Whether this browser decodes such video here: only on pages from https or this very computer. */
export async function possible() {
  if (typeof VideoDecoder === "undefined") return false;
  try {
    return (await VideoDecoder.isConfigSupported({ codec: "avc1.42E028", codedWidth: 1920, codedHeight: 1080 })).supported;
  } catch {
    return false;
  }
}

export default class Video extends EventTarget {
  video = true;
  pictures = 0;
  sharp = false;
  layout = null;
  viewOnly = false;
  background = "";
  qualityLevel = 0;
  compressionLevel = 0;
  canvas = document.createElement("canvas");
  #socket;
  #box = document.createElement("div");
  #paint = this.canvas.getContext("2d", { alpha: false });
  #decoder = null;
  #codec = "";
  #waits = true;
  #fails = 0;
  #asked = -1000;
  #numbers = new Map();
  #count = 0;
  #open = false;
  #scale = true;
  #resize = false;
  #watch = new ResizeObserver(() => this.#placed());
  #later;
  #first;

  constructor(target, socket) {
    super();
    this.#socket = socket;
    this.canvas.tabIndex = -1;
    Object.assign(this.canvas.style, { flex: "none", margin: "auto", outline: "none" });
    Object.assign(this.#box.style, { width: "100%", height: "100%", display: "flex" });
    this.#box.append(this.canvas);
    target.append(this.#box);
    socket.binaryType = "arraybuffer";
    socket.addEventListener("message", ({ data }) => (typeof data === "string" ? this.#told(data) : this.#picture(data)));
    socket.addEventListener("close", () => this.#closed());
    document.addEventListener("visibilitychange", this.#seen);
    this.#watch.observe(target);
    this.#first = setTimeout(() => socket.close(), FIRST);
  }

  get scaleViewport() {
    return this.#scale;
  }

  set scaleViewport(scale) {
    this.#scale = scale;
    this.#placed();
  }

  get resizeSession() {
    return this.#resize;
  }

  set resizeSession(resize) {
    this.#resize = resize;
  }

  focus(options) {
    this.canvas.focus(options);
  }

  toBlob(...arguments_) {
    this.canvas.toBlob(...arguments_);
  }

  /** To the gateway, when it is there. */
  say(message) {
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.send(message);
  }

  // Who only looks does nothing by these.
  sendKey() {}
  clipboardPasteFrom() {}
  fit() {}

  #seen = () => {
    this.say(document.hidden ? "STOP_VIDEO" : "START_VIDEO");
  };

  #told(text) {
    if (text.startsWith("cursor,")) this.#pointer(JSON.parse(text.slice(7)));
    else if (text.startsWith("clipboard,")) {
      const bytes = Uint8Array.from(atob(text.slice(10)), (character) => character.charCodeAt(0));
      const detail = { text: new TextDecoder().decode(bytes) };
      this.dispatchEvent(new CustomEvent("clipboard", { detail }));
    } else if (text.startsWith("PIPELINE_RESETTING")) this.#waits = true;
  }

  #pointer({ curdata, hotx, hoty }) {
    this.canvas.style.cursor = curdata ? `url(data:image/png;base64,${curdata}) ${hotx} ${hoty}, default` : "none";
  }

  #picture(buffer) {
    const head = new DataView(buffer);
    const number = head.getUint16(2);
    const kind = head.getUint8(1);
    const key = (kind & 0xf) === KEY;
    if (kind >> 4 !== H264 || (this.#waits && !key)) {
      this.#ack(number);
      if (this.#waits) this.#ask();
      return;
    }
    const data = new Uint8Array(buffer, HEADER);
    try {
      if (key) this.#configure(data, head.getUint16(6), head.getUint16(8));
      this.#waits = false;
      this.#numbers.set((this.#count += 1), number);
      this.#decoder.decode(new EncodedVideoChunk({ type: key ? "key" : "delta", timestamp: this.#count, data }));
    } catch (problem) {
      this.#failed(problem, number);
    }
  }

  #configure(data, codedWidth, codedHeight) {
    const name = codec(data) ?? "avc1.42E028";
    const wanted = `${name} ${codedWidth} ${codedHeight}`;
    if (this.#decoder?.state === "configured" && wanted === this.#codec) return;
    if (this.#decoder && this.#decoder.state !== "closed") this.#decoder.close();
    const decoder = new VideoDecoder({
      output: (frame) => this.#draw(frame),
      error: (problem) => decoder === this.#decoder && this.#failed(problem),
    });
    this.#numbers.clear();
    this.#decoder = decoder;
    this.#codec = wanted;
    decoder.configure({ codec: name, codedWidth, codedHeight, optimizeForLatency: true, colorSpace: COLOURS });
  }

  #draw(frame) {
    const { displayWidth: width, displayHeight: height } = frame;
    const fresh = this.canvas.width !== width || this.canvas.height !== height;
    if (fresh) Object.assign(this.canvas, { width, height });
    this.#paint.drawImage(frame, 0, 0);
    const number = this.#numbers.get(frame.timestamp);
    for (const one of this.#numbers.keys()) if (one <= frame.timestamp) this.#numbers.delete(one);
    frame.close();
    this.pictures += 1;
    this.#fails = 0;
    if (number !== undefined) this.#ack(number);
    if (fresh) this.#placed(false);
    if (this.#open) return;
    this.#open = true;
    clearTimeout(this.#first);
    this.dispatchEvent(new Event("connect"));
  }

  #failed(problem, number) {
    console.warn("a picture of the video was not decoded", problem);
    this.#fails += 1;
    this.#waits = true;
    this.#codec = "";
    // What the decoder held will not come any more.
    const last = number ?? [...this.#numbers.values()].at(-1);
    this.#numbers.clear();
    if (last !== undefined) this.#ack(last);
    if (this.#fails < PATIENCE) return this.#ask();
    this.dispatchEvent(new Event("unable"));
    this.#socket.close();
  }

  #ack(number) {
    this.say(`CLIENT_FRAME_ACK ${number}`);
  }

  /** For a picture that needs none before it; not more than one a second. */
  #ask() {
    if (performance.now() - this.#asked < 1000) return;
    this.#asked = performance.now();
    this.say("REQUEST_KEYFRAME");
  }

  /** The picture's place in the window; when the window changed, perhaps another size of the desktop. */
  #placed(changed = true) {
    const { clientWidth, clientHeight } = this.#box;
    const { width, height } = this.canvas;
    const factor = this.#scale ? Math.min(clientWidth / width, clientHeight / height) : 1;
    this.#box.style.overflow = this.#scale ? "hidden" : "auto";
    this.canvas.style.width = `${width * factor}px`;
    this.canvas.style.height = `${height * factor}px`;
    clearTimeout(this.#later);
    if (changed && this.#open && this.#resize) this.#later = setTimeout(() => this.fit(), 300);
  }

  /** Pixels of the window: the desktop's size where it follows the window. In multiples that screens are made of. */
  get room() {
    const factor = this.sharp ? devicePixelRatio : 1;
    const { clientWidth, clientHeight } = this.#box;
    return [Math.floor((clientWidth * factor) / 8) * 8, Math.floor((clientHeight * factor) / 2) * 2];
  }

  #closed() {
    clearTimeout(this.#first);
    clearTimeout(this.#later);
    document.removeEventListener("visibilitychange", this.#seen);
    this.#watch.disconnect();
    if (this.#decoder && this.#decoder.state !== "closed") this.#decoder.close();
    this.#box.remove();
    this.dispatchEvent(new Event("disconnect"));
  }
}
