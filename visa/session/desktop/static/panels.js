// The bar and its panels: one open at a time, Escape closes it and gives the focus back.
import { part } from "./page.js";

const opened = new Map();
let current = null;

const buttons = () => document.querySelectorAll("#bar button[aria-controls]:not(#handle)");

export function close(focus = false) {
  if (!current) return;
  const { panel, control } = current;
  current = null;
  panel.hidden = true;
  control.setAttribute("aria-expanded", "false");
  if (focus) (control.offsetParent ? control : part("handle")).focus();
}

function open(control) {
  close();
  menu(false);
  const panel = part(control.getAttribute("aria-controls"));
  current = { panel, control };
  panel.hidden = false;
  control.setAttribute("aria-expanded", "true");
  opened.get(panel.id)?.();
  (panel.querySelector("button, input, select, textarea, a") ?? panel).focus();
}

/** Call `act` each time the panel opens, and now when it is open already. */
export function whenOpened(panel, act) {
  opened.set(panel, act);
  if (current?.panel.id === panel) act();
}

export function show(panel) {
  for (const control of buttons()) {
    if (control.getAttribute("aria-controls") === panel && part(panel).hidden) open(control);
  }
}

function menu(shown) {
  document.body.classList.toggle("menu", shown);
  part("handle").setAttribute("aria-expanded", String(shown));
}

export function leave() {
  menu(true);
  const first = [part("handle"), ...document.querySelectorAll("#tools a, #tools button")].find((one) => one.offsetParent);
  (document.fullscreenElement ? document.querySelector("#tools button") : first)?.focus();
}

export function start() {
  for (const control of buttons()) {
    const panel = part(control.getAttribute("aria-controls"));
    panel.tabIndex = -1;
    control.addEventListener("click", () => (panel.hidden ? open(control) : close()));
  }
  part("handle").addEventListener("click", () => menu(!document.body.classList.contains("menu")));
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && current && !part("screen").contains(event.target)) close(true);
    else if (event.key === "Escape" && part("bar").contains(event.target)) menu(false);
  });
  part("screen").addEventListener("pointerdown", () => {
    close();
    menu(false);
  });
}
