// The clipboard: by itself where the browser allows it, by a panel everywhere.
// In: read on focus where permission was given; else Ctrl+V hands the browser's own paste to the desktop first.
// Out: written when the desktop says so, or with the next click or key when the browser asks for one.
import { letter } from "./layouts.js";
import keysym from "./novnc/core/input/keysym.js";
import { note, part, size } from "./page.js";

const PASTE = 150;

export function start(connection, rights) {
  const inward = rights.clipboard === "both" || rights.clipboard === "in";
  const outward = rights.clipboard === "both" || rights.clipboard === "out";
  const text = part("clipboard-text");
  let last = null;
  let waiting = null;
  let refused = null;

  /** Whether it is short enough; if not, it is said: once for each text when nobody asked for it. */
  function fits(value, asked) {
    const bytes = length(value);
    if (bytes <= rights.clipboard_limit) return true;
    if (asked || value !== refused) note(`Your text has ${size(bytes)}; the clipboard takes at most ${size(rights.clipboard_limit)}. Use Files for more.`, 10);
    refused = value;
    return false;
  }

  function give(value, again = false) {
    if (!inward || !connection.screen || !value || (value === last && !again) || !fits(value, again)) return false;
    last = value;
    text.value = value;
    connection.screen.clipboardPasteFrom(value);
    return true;
  }

  async function write() {
    if (waiting === null || !navigator.clipboard?.writeText) return;
    const value = waiting;
    try {
      await navigator.clipboard.writeText(value);
      if (waiting === value) waiting = null;
    } catch {
      // No focus, or no click yet: the next one tries again.
    }
  }

  async function permission() {
    try {
      return (await navigator.permissions.query({ name: "clipboard-read" })).state;
    } catch {
      return "unknown"; // Firefox and Safari: the paste event serves
    }
  }

  let asked = false;
  async function read(click = false) {
    if (!inward || !connection.screen || !document.hasFocus()) return;
    const may = await permission();
    if (may !== "granted" && !(may === "prompt" && click && !asked)) return;
    asked = true;
    try {
      give(await navigator.clipboard.readText());
    } catch {
      // Refused, or something that is no text.
    }
  }

  function paste(event) {
    const pastes = letter(event, connection.screen?.layout) === "v" && (event.ctrlKey || event.metaKey) && !event.altKey;
    if (!inward || !pastes || event.repeat) return;
    event.stopImmediatePropagation(); // noVNC would keep the browser's paste from happening
    const { metaKey, shiftKey } = event;
    const go = (pasted) => {
      clearTimeout(timer);
      part("screen").removeEventListener("paste", onPaste, true);
      const value = pasted?.clipboardData?.getData("text/plain");
      pasted?.preventDefault();
      if (value && !fits(value, true)) return; // else the desktop would paste what it had before
      if (value) give(value);
      const { screen } = connection;
      if (metaKey) screen?.sendKey(keysym.XK_Control_L, "ControlLeft", true);
      screen?.sendKey(shiftKey ? keysym.XK_V : keysym.XK_v, event.code);
      if (metaKey) screen?.sendKey(keysym.XK_Control_L, "ControlLeft", false);
    };
    const onPaste = (pasted) => go(pasted);
    const timer = setTimeout(go, PASTE, null);
    part("screen").addEventListener("paste", onPaste, true);
  }

  connection.addEventListener("connect", ({ detail }) => listen(detail.screen));
  function listen(screen) {
    screen.addEventListener("clipboard", ({ detail }) => {
      if (!outward || detail.text === last) return;
      last = waiting = text.value = detail.text;
      write();
    });
    read();
  }
  if (connection.screen) listen(connection.screen);
  if (inward || outward) missing(connection, rights.clipboard_limit);

  addEventListener("focus", () => read());
  part("screen").addEventListener("pointerdown", () => {
    read(true);
    write();
  });
  part("screen").addEventListener("pointerenter", () => read());
  part("screen").addEventListener("keydown", paste, { capture: true });
  part("screen").addEventListener("keyup", write);

  part("clipboard-send").disabled = !inward;
  part("clipboard-send").addEventListener("click", () => {
    if (give(text.value, true)) note("The desktop has it now.");
  });
  part("clipboard-copy").disabled = !outward;
  part("clipboard-copy").addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text.value);
      note("Copied.");
    } catch {
      text.select();
      note("The browser does not allow it: the text is selected, copy it by Ctrl+C.");
    }
  });
  tell(inward, outward, rights.clipboard_limit);
}

/** Bytes on the way: noVNC sends lines with CR LF, and a NUL at the end. */
const length = (value) => new TextEncoder().encode(value.replace(/\r\n|\r|\n/g, "\r\n")).length + 1;

/** Say what of the clipboard the gateway did not let pass, or what the desktop never sent. */
function missing(connection, limit) {
  let known = {};
  connection.addEventListener("connect", () => (known = {}));
  connection.addEventListener("viewer", ({ detail }) => {
    const more = (name) => (detail[name] ?? 0) > (known[name] ?? 0);
    if (more("too_long_out")) note(`The text copied on the desktop is too long: the clipboard takes at most ${size(limit)}. Save it and use Files.`, 10);
    else if (more("too_long_in")) note(`Your text is too long: the clipboard takes at most ${size(limit)}. Use Files for more.`, 10);
    else if (detail.text_awaited && known.text_awaited && !known.said) {
      note("The text copied on the desktop did not come: some programs hand out long texts in a way that gets lost. Save it and use Files.", 10);
      detail.said = true;
    }
    known = { ...detail, said: detail.text_awaited && (known.said || detail.said) };
  });
}

function tell(inward, outward, limit) {
  const ways = {
    "true true": "Text goes both ways by itself: copy here and paste there, or the other way.",
    "true false": "Your facility lets text into the desktop, not out of it.",
    "false true": "Your facility lets text out of the desktop, not into it.",
    "false false": "Your facility does not allow the clipboard between the desktop and your computer.",
  };
  const more = inward || outward ? ` At most ${size(limit)}. If the browser asks, allow it; where it does not work by itself, use the box below.` : "";
  part("clipboard-how").textContent = ways[`${inward} ${outward}`] + more;
}
