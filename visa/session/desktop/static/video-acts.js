// Keys, pointer, touch, size and clipboard of a desktop that is shown as video: loaded only for who may act.
import { shortcuts } from "./layouts.js";
import Keyboard from "./novnc/core/input/keyboard.js";
import GestureHandler from "./novnc/core/input/gesturehandler.js";

const [LEFT, MIDDLE, RIGHT, DOWN, UP, LEFTWARD, RIGHTWARD] = [1, 2, 4, 8, 16, 64, 128];
/** Selkies lets go of keys of which it does not hear for some 300 ms. */
const BEAT = 100;
const STEP = 50;
const LINE = 19;
const TAPS = { onetap: LEFT, twotap: RIGHT, threetap: MIDDLE };

/** Give a video what acts; returns it. */
export function act(video) {
  const { canvas } = video;
  keys(video, canvas);
  const pointer = new Pointer(video, canvas);
  gestures(canvas, pointer);
  video.clipboardPasteFrom = (text) => video.say(`cw,${packed(text)}`);
  video.fit = () => {
    const [width, height] = video.room;
    if (width > 0 && height > 0 && (width !== canvas.width || height !== canvas.height)) video.say(`r,${width}x${height}`);
  };
  return video;
}

function packed(text) {
  let bytes = "";
  for (const byte of new TextEncoder().encode(text)) bytes += String.fromCharCode(byte);
  return btoa(bytes);
}

function keys(video, canvas) {
  const down = new Set();
  const byCode = new Map();
  const beat = setInterval(() => down.size && video.say(`kh,${[...down].slice(0, 32).join(",")}`), BEAT);

  function press(keysym) {
    // Browsers repeat a key that is held; here the desktop does.
    if (!down.has(keysym)) video.say(`kd,${keysym}`);
    down.add(keysym);
  }
  function release(keysym) {
    if (down.delete(keysym)) video.say(`ku,${keysym}`);
  }

  video.sendKey = (keysym, code, pressed) => {
    if (pressed !== false) press(keysym);
    if (pressed !== true) release(keysym);
  };
  const keyboard = new Keyboard(canvas);
  const shortcut = shortcuts();
  keyboard.onkeyevent = (plain, code, pressed) => {
    const keysym = shortcut(video.layout ? video.layout(plain, code, pressed) : plain, code, pressed);
    if (pressed) {
      const before = byCode.get(code);
      if (before !== undefined && before !== keysym) release(before);
      byCode.set(code, keysym);
      press(keysym);
    } else {
      release(byCode.get(code) ?? keysym);
      byCode.delete(code);
    }
  };
  keyboard.grab();
  video.addEventListener("disconnect", () => {
    clearInterval(beat);
    keyboard.ungrab();
  });
}

class Pointer {
  #video;
  #canvas;
  #mask = 0;
  #at = [0, 0];
  #wheel = [0, 0];

  constructor(video, canvas) {
    this.#video = video;
    this.#canvas = canvas;
    for (const kind of ["pointerdown", "pointermove", "pointerup", "pointercancel"]) {
      canvas.addEventListener(kind, (event) => event.pointerType !== "touch" && this.#mouse(event));
    }
    canvas.addEventListener("contextmenu", (event) => event.preventDefault());
    canvas.addEventListener("wheel", (event) => this.#turned(event), { passive: false });
  }

  #mouse(event) {
    if (event.type === "pointerdown") {
      event.preventDefault();
      this.#canvas.setPointerCapture(event.pointerId);
      this.#canvas.focus();
    }
    const { buttons } = event;
    const mask = (buttons & 1 ? LEFT : 0) | (buttons & 2 ? RIGHT : 0) | (buttons & 4 ? MIDDLE : 0);
    this.move(event, event.type === "pointercancel" ? 0 : mask);
  }

  /** Where an event is, with these buttons down. */
  move({ clientX, clientY }, mask = this.#mask) {
    const { left, top, width, height } = this.#canvas.getBoundingClientRect();
    const x = Math.floor(((clientX - left) * this.#canvas.width) / width);
    const y = Math.floor(((clientY - top) * this.#canvas.height) / height);
    const inside = (value, size) => Math.max(0, Math.min(value, size - 1));
    this.#at = [inside(x, this.#canvas.width), inside(y, this.#canvas.height)];
    this.#mask = mask;
    this.#video.say(`m,${this.#at.join(",")},${mask},0`);
  }

  click(event, button) {
    this.move(event, 0);
    this.move(event, button);
    this.move(event, 0);
  }

  #turned(event) {
    event.preventDefault();
    const factor = event.deltaMode === WheelEvent.DOM_DELTA_PIXEL ? 1 : LINE;
    this.move(event);
    this.scroll(event.deltaX * factor, event.deltaY * factor);
  }

  /** By so many pixels; one notch of the wheel for each `STEP`. */
  scroll(dx, dy) {
    this.#wheel = [this.#wheel[0] + dx, this.#wheel[1] + dy];
    [LEFTWARD, UP].forEach((back, axis) => {
      const notches = Math.trunc(this.#wheel[axis] / STEP);
      if (!notches) return;
      this.#wheel[axis] -= notches * STEP;
      const bit = notches < 0 ? back : [RIGHTWARD, DOWN][axis];
      this.#video.say(`m,${this.#at.join(",")},${this.#mask | bit},${Math.min(15, Math.abs(notches))}`);
      this.#video.say(`m,${this.#at.join(",")},${this.#mask},0`);
    });
  }
}

/** Taps of one, two and three fingers are the buttons; a finger drags, a long press is the right button, two scroll. */
function gestures(canvas, pointer) {
  new GestureHandler().attach(canvas);
  let before = [0, 0];
  canvas.addEventListener("gesturestart", ({ detail }) => {
    canvas.focus();
    if (TAPS[detail.type]) pointer.click(detail, TAPS[detail.type]);
    else if (detail.type === "drag") pointer.move(detail, LEFT);
    else if (detail.type === "longpress") pointer.move(detail, RIGHT);
    else pointer.move(detail, 0);
    before = [detail.magnitudeX ?? 0, detail.magnitudeY ?? 0];
  });
  canvas.addEventListener("gesturemove", ({ detail }) => {
    if (detail.type === "drag" || detail.type === "longpress") pointer.move(detail);
    if (detail.type !== "twodrag") return;
    pointer.scroll(before[0] - detail.magnitudeX, before[1] - detail.magnitudeY);
    before = [detail.magnitudeX, detail.magnitudeY];
  });
  canvas.addEventListener("gestureend", ({ detail }) => {
    if (detail.type === "drag" || detail.type === "longpress") pointer.move(detail, 0);
  });
}
