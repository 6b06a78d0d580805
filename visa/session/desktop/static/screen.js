// noVNC's RFB with what it has no public hook for: finished pictures, every pixel of the screen, keyboard layouts.
// noVNC is locked to one version (novnc/package-lock.json); the methods overridden here are its own.
import RFB from "./novnc/core/rfb.js";
import { shortcuts } from "./layouts.js";

const LOOKING = new Set(["enableContinuousUpdates", "clientFence", "pixelFormat", "clientEncodings", "fbUpdateRequest"]);

/** For who may only look: whatever noVNC does by itself, it sends nothing but what asks for pictures. */
export function onlyLook() {
  for (const name of Object.keys(RFB.messages)) {
    if (!LOOKING.has(name) && typeof RFB.messages[name] === "function") RFB.messages[name] = () => {};
  }
}

export default class Screen extends RFB {
  pictures = 0;
  sharp = false;
  /** `(keysym, code, down) => keysym`, or null: as the browser says. */
  layout = null;

  _framebufferUpdate() {
    const whole = super._framebufferUpdate();
    if (whole) this.pictures += 1;
    return whole;
  }

  _requestRemoteResize() {
    this._asking = true;
    try {
      super._requestRemoteResize();
    } finally {
      this._asking = false;
    }
  }

  _screenSize() {
    const { w, h } = super._screenSize();
    const factor = this._asking && this.sharp ? devicePixelRatio : 1;
    return { w: Math.floor(w * factor), h: Math.floor(h * factor) };
  }

  #shortcuts = shortcuts();

  _handleKeyEvent(keysym, code, down, ...locks) {
    const meant = this.layout ? this.layout(keysym, code, down) : keysym;
    super._handleKeyEvent(this.#shortcuts(meant, code, down), code, down, ...locks);
  }

  /** Ask for the size again, after a change of `sharp` or `resizeSession`. */
  fit() {
    this._requestRemoteResize();
  }
}
