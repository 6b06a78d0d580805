// What changed in start-up files since somebody who was removed had come: asked of the instance, shown as text.
import { api, tell } from "./api.js";

const section = document.getElementById("people");
const shown = document.getElementById("startup");
const trouble = document.getElementById("people-trouble");
const when = (text) => new Date(text).toLocaleString([], { dateStyle: "medium", timeStyle: "short" });

function made(tag, text) {
  const element = document.createElement(tag);
  element.textContent = text;
  return element;
}

function row(file) {
  const item = document.createElement("li");
  const path = made("code", `~/${file.path}`);
  path.dir = "ltr";
  const kind = { file: "", folder: ", a folder", link: ", a link, which was not followed" }[file.kind];
  item.append(path, made("span", ` ${when(file.changed)}${kind}`), made("div", file.why));
  item.lastElementChild.className = "small";
  return item;
}

function show(look) {
  const title = made("h3", `Start-up files that changed since ${when(look.since)}`);
  const list = document.createElement("ul");
  list.className = "rows";
  list.append(...look.files.map(row));
  const words = [];
  if (!look.told) words.push("The instance does not tell what changed. That is not the same as that nothing did.");
  else if (!look.files.length) words.push("None changed, as the instance tells.");
  if (look.told && !look.whole) words.push("There is more than is shown here, or was looked at.");
  if (look.unread) words.push(`${look.unread} could not be looked at.`);
  words.push(
    "You or anybody else may have changed them. The instance itself tells this: a program that was left there can falsify it, so restart first and look again. Files elsewhere, and what links lead to, were not looked at.",
  );
  shown.replaceChildren(title, ...(look.files.length ? [list] : []), ...words.map((text) => made("p", text)));
  shown.hidden = false;
  shown.focus();
}

section.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-startup]");
  if (!button) return;
  tell(trouble, "");
  button.disabled = true;
  try {
    show(await api("POST", `instances/${section.dataset.id}/startup-files`, { username: button.dataset.startup }));
  } catch (problem) {
    tell(trouble, problem.message);
  }
  button.disabled = false;
});
