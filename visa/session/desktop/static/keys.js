// Keys that browsers and systems keep for themselves, keys held down, and the choice of a keyboard layout.
import keysym from "./novnc/core/input/keysym.js";
import { button, note, part, remember, remembered } from "./page.js";
import { LAYOUTS, mapper } from "./layouts.js";

const K = keysym;
const CTRL = [K.XK_Control_L, "ControlLeft"];
const ALT = [K.XK_Alt_L, "AltLeft"];
const SUPER = [K.XK_Super_L, "MetaLeft"];
const SHIFT = [K.XK_Shift_L, "ShiftLeft"];

const COMBINATIONS = [
  ["Ctrl+Alt+Del", CTRL, ALT, [K.XK_Delete, "Delete"]],
  ["Alt+Tab", ALT, [K.XK_Tab, "Tab"]],
  ["Alt+F4", ALT, [K.XK_F4, "F4"]],
  ["Super", SUPER],
  ["Ctrl+W", CTRL, [K.XK_w, "KeyW"]],
  ["Ctrl+T", CTRL, [K.XK_t, "KeyT"]],
  ["Ctrl+N", CTRL, [K.XK_n, "KeyN"]],
  ["Ctrl+Tab", CTRL, [K.XK_Tab, "Tab"]],
  ["F11", [K.XK_F11, "F11"]],
  ["Print Screen", [K.XK_Print, "PrintScreen"]],
  ["Escape", [K.XK_Escape, "Escape"]],
  ["Tab", [K.XK_Tab, "Tab"]],
  ["Insert", [K.XK_Insert, "Insert"]],
  ["Delete", [K.XK_Delete, "Delete"]],
];
const HOLDS = [
  ["Ctrl", CTRL],
  ["Alt", ALT],
  ["Shift", SHIFT],
  ["Super", SUPER],
];

export function start(connection) {
  const held = new Map();

  /** Press the keys in turn, release them in the other order. */
  function send(...pressed) {
    const { screen } = connection;
    if (screen === null) return note("There is no connection now.");
    for (const [sym, code] of pressed) screen.sendKey(sym, code, true);
    for (const [sym, code] of pressed.toReversed()) screen.sendKey(sym, code, false);
  }

  function hold(name, [sym, code], control) {
    const down = !held.get(name);
    held.set(name, down);
    control.setAttribute("aria-pressed", String(down));
    connection.screen?.sendKey(sym, code, down);
  }

  for (const [name, ...pressed] of COMBINATIONS) part("key-buttons").append(button(name, () => send(...pressed)));
  for (const [name, key] of HOLDS) {
    const control = button(name, () => hold(name, key, control));
    control.setAttribute("aria-pressed", "false");
    part("key-holds").append(control);
  }
  connection.addEventListener("disconnect", () => {
    held.clear();
    part("key-holds").querySelectorAll("button").forEach((one) => one.setAttribute("aria-pressed", "false"));
  });
  layouts(connection);
  return send;
}

function layouts(connection) {
  const chooser = part("layout");
  chooser.append(new Option("My keyboard, as this computer reads it", "own"));
  for (const [name, { title }] of Object.entries(LAYOUTS)) chooser.append(new Option(title, name));
  chooser.value = remembered("layout", "own");
  if (!chooser.value) chooser.value = "own";
  const apply = () => {
    if (connection.screen) connection.screen.layout = chooser.value === "own" ? null : mapper(LAYOUTS[chooser.value]);
  };
  chooser.addEventListener("change", () => {
    remember("layout", chooser.value);
    apply();
  });
  connection.addEventListener("connect", apply);
  apply();
}
