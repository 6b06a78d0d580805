import { api, piece, prefix, tell } from "./api.js";
import { on } from "./live.js";

const live = document.getElementById("live");
const said = document.getElementById("said");
const trouble = document.getElementById("trouble");
const dialog = document.getElementById("confirm");
let words = "";
let shown = live.innerHTML.trim(); // as the service wrote it

function filter() {
  const wanted = words.toLowerCase().split(/\s+/).filter(Boolean);
  let shown = 0;
  for (const card of live.querySelectorAll(".card")) {
    card.hidden = !wanted.every((word) => card.dataset.text.includes(word));
    shown += card.hidden ? 0 : 1;
  }
  const none = document.getElementById("none");
  if (none) none.hidden = shown > 0;
}

// Where the keyboard was, so that new cards do not take it away.
function focusKey() {
  const element = document.activeElement;
  if (element?.id === "find") return () => document.getElementById("find");
  const card = element?.closest?.(".card");
  if (!card) return null;
  const index = [...card.querySelectorAll("a, button")].indexOf(element);
  return () => live.querySelector(`.card[data-id="${card.dataset.id}"]`)?.querySelectorAll("a, button")[index];
}

async function update() {
  const before = new Map([...live.querySelectorAll(".card")].map((card) => [card.dataset.id, card.dataset.state]));
  const fresh = document.createElement("template");
  fresh.innerHTML = await piece("cards");
  const html = fresh.innerHTML.trim();
  if (html === shown) return;
  shown = html;
  const key = focusKey();
  live.replaceChildren(fresh.content);
  const find = document.getElementById("find");
  if (find) find.value = words;
  filter();
  key?.()?.focus({ preventScroll: true });
  const changed = [...live.querySelectorAll(".card")].filter((card) => before.get(card.dataset.id) !== card.dataset.state);
  said.textContent = changed
    .map((card) => `${card.querySelector("h2").textContent}: ${card.querySelector(".state").textContent}`)
    .join(". ");
}

async function act(card, what) {
  const id = card.dataset.id;
  tell(trouble, "");
  for (const button of card.querySelectorAll("button")) button.disabled = true;
  try {
    if (what === "start") {
      const instance = await api("POST", `instances/${id}/start`);
      location.assign(instance.state === "running" ? instance.url : `${prefix}instances/${id}#start`);
      return;
    }
    if (what === "stop") await api("POST", `instances/${id}/stop`);
    if (what === "delete") {
      if (!(await confirmed(card))) return;
      await api("DELETE", `instances/${id}`);
      said.textContent = "Deleted.";
    }
    await update();
  } catch (problem) {
    tell(trouble, problem.message);
  } finally {
    for (const button of card.querySelectorAll("button")) button.disabled = false;
  }
}

function confirmed(card) {
  document.getElementById("confirm-text").textContent = card.querySelector("h2").textContent;
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((done) => {
    dialog.addEventListener("close", () => done(dialog.returnValue === "yes"), { once: true });
  });
}

live.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-do]");
  if (button) act(button.closest(".card"), button.dataset.do);
});
live.addEventListener("input", (event) => {
  if (event.target.id === "find") {
    words = event.target.value;
    filter();
  }
});

// The instance logs this browser in on the way to its picture. Where that fails there is none, and no broken one.
live.addEventListener("load", (event) => { if (event.target.matches(".preview")) event.target.hidden = false; }, true);
live.addEventListener("error", (event) => { if (event.target.matches(".preview")) event.target.remove(); }, true);
for (const picture of live.querySelectorAll(".preview")) {
  if (picture.complete) picture.naturalWidth ? (picture.hidden = false) : picture.remove();
}

on("changed", () => update().catch((problem) => tell(trouble, problem.message)));
on("hello", () => tell(trouble, ""));
on("lost", (message) => tell(trouble, `This page is not kept up to date any more. ${message}`));
