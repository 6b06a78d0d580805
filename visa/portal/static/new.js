import { api, piece, prefix, tell } from "./api.js";

const form = document.getElementById("start");
const found = document.getElementById("found");
const chosen = document.getElementById("chosen");
const trouble = document.getElementById("trouble");
const summary = document.getElementById("summary");
const why = document.getElementById("session-why");
const submit = form.querySelector("[type=submit]");
const MOST = 20;
let environmentTouched = false;

const ids = () => [...chosen.children].map((item) => item.dataset.id);

function mark() {
  const now = new Set(ids());
  for (const box of found.querySelectorAll("input[type=checkbox]")) box.checked = now.has(box.value);
}

function choose(id, title, instrument) {
  if (ids().includes(id)) return;
  if (ids().length >= MOST) {
    tell(trouble, `One instance takes at most ${MOST} experiments.`);
    mark();
    return;
  }
  const item = document.createElement("li");
  item.dataset.id = id;
  item.dataset.instrument = instrument;
  const text = document.createElement("span");
  const code = document.createElement("code");
  code.textContent = id;
  const name = document.createElement("span");
  name.dir = "auto";
  name.textContent = title;
  text.append(code, " ", name);
  const remove = document.createElement("button");
  remove.type = "button";
  remove.textContent = "×";
  remove.setAttribute("aria-label", `Remove ${id}`);
  item.append(text, remove);
  chosen.append(item);
}

function drop(id) {
  for (const item of [...chosen.children]) if (item.dataset.id === id) item.remove();
}

// The environment made for the instrument, unless the person chose one herself.
function suit() {
  if (environmentTouched) return;
  const instruments = [...chosen.children].map((item) => item.dataset.instrument);
  const radios = [...form.querySelectorAll("[name=environment]:not(:disabled)")];
  const fitting = radios.find((radio) => radio.dataset.instruments.split(" ").some((i) => i && instruments.includes(i)));
  const general = radios.find((radio) => !radio.dataset.instruments);
  const best = fitting ?? general;
  if (best && instruments.length) best.checked = true;
}

function sessions() {
  const radio = form.querySelector("[name=environment]:checked");
  const offered = radio ? radio.dataset.sessions.split(" ") : ["notebook"];
  for (const choice of form.querySelectorAll("[name=session]")) {
    choice.disabled = !offered.includes(choice.value);
    if (choice.disabled && choice.checked) form.querySelector(`[name=session][value=${offered[0]}]`).checked = true;
  }
  const missing = ["notebook", "desktop"].filter((kind) => !offered.includes(kind));
  why.textContent = missing.length ? `This environment offers no ${missing.join(" and no ")}.` : "";
}

function say() {
  const count = ids().length;
  const data = new FormData(form);
  const missing = [];
  if (!count && form.dataset.without !== "yes") missing.push("an experiment");
  if (!data.get("environment")) missing.push("software");
  if (!data.get("flavour")) missing.push("a size");
  summary.textContent = missing.length
    ? `Choose ${missing.join(" and ")}.`
    : `${count} experiment${count === 1 ? "" : "s"} chosen.`;
  submit.disabled = missing.length > 0;
}

function changed() {
  suit();
  sessions();
  mark();
  say();
  const query = ids().length ? `?experiments=${encodeURIComponent(ids().join(","))}` : "";
  history.replaceState(null, "", location.pathname + query);
}

let asked = 0;
async function search(offset = 0) {
  const mine = ++asked;
  const data = new FormData(form);
  const query = new URLSearchParams({ offset });
  for (const name of ["text", "scope", "instrument", "year", "sort"]) if (data.get(name)) query.set(name, data.get(name));
  found.setAttribute("aria-busy", "true");
  try {
    const html = await piece(`experiments?${query}`);
    if (mine !== asked) return; // a later search is under way
    found.innerHTML = html;
    mark();
    tell(trouble, "");
  } catch (problem) {
    if (mine === asked) tell(trouble, problem.message);
  } finally {
    if (mine === asked) found.removeAttribute("aria-busy");
  }
}

let timer;
form.addEventListener("input", (event) => {
  if (event.target.name === "text") {
    clearTimeout(timer);
    timer = setTimeout(search, 200);
  }
});
form.addEventListener("change", (event) => {
  const target = event.target;
  if (["scope", "instrument", "year", "sort"].includes(target.name)) search();
  if (target.name === "environment") environmentTouched = true;
  if (target.type === "checkbox") {
    if (target.checked) choose(target.value, target.dataset.title, target.dataset.instrument);
    else drop(target.value);
  }
  if (target.name !== "text") changed();
});
form.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && event.target.name === "text") {
    event.preventDefault();
    search();
  }
});
found.addEventListener("click", (event) => {
  const button = event.target.closest("[data-offset]");
  if (button) search(button.dataset.offset).then(() => found.scrollIntoView({ block: "start" }));
});
chosen.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  button.closest("li").remove();
  changed();
  form.querySelector("[name=text]").focus();
});
form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const data = new FormData(form);
  submit.disabled = true;
  summary.textContent = "Asking for the instance…";
  tell(trouble, "");
  try {
    const instance = await api("POST", "instances", {
      experiments: ids(),
      environment: data.get("environment"),
      flavour: data.get("flavour"),
      session: data.get("session"),
    });
    location.assign(instance.state === "running" ? instance.url : `${prefix}instances/${instance.id}#start`);
  } catch (problem) {
    tell(trouble, problem.message);
    say();
  }
});
// What was typed and marked before this was loaded counts.
for (const box of found.querySelectorAll("input[type=checkbox]:checked")) choose(box.value, box.dataset.title, box.dataset.instrument);
changed();
if (form.elements.text.value.trim()) search();
