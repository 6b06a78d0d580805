// Notices in the header of every page: what waits for an answer, as it comes.
import { refresh } from "./acts.js";

const button = document.getElementById("notices");
const list = document.getElementById("notices-list");
const content = list.querySelector("[data-piece]");
const title = document.title;
let before = 0;

function open(now) {
  list.hidden = !now;
  button.setAttribute("aria-expanded", String(now));
  if (now) list.focus();
}

function count() {
  const { waiting, count: all } = content.firstElementChild?.dataset ?? { waiting: "0", count: "0" };
  const number = Number(waiting);
  document.getElementById("notices-count").textContent = number ? `Notices (${number})` : Number(all) ? `Notices, ${all}` : "Notices";
  button.classList.toggle("waits", number > 0);
  document.title = number ? `(${number}) ${title}` : title;
  if (number > before) {
    document.getElementById("notices-said").textContent = number === 1 ? "One notice waits for you." : `${number} notices wait for you.`;
  }
  before = number;
}

button.addEventListener("click", () => open(list.hidden));
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || list.hidden || document.querySelector("dialog[open]")) return;
  open(false);
  button.focus();
});
content.addEventListener("piece", count);
refresh(content).catch(() => {});
