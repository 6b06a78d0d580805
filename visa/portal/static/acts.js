// Buttons, selects and forms with data-act ("METHOD path") ask the REST API; elements with data-piece are fetched
// again when what they show changed.
import { api, piece, prefix, tell } from "./api.js";
import { loginAgain } from "./again.js";
import { on } from "./live.js";

// What the service wrote in each, also with the page itself.
const shown = new WeakMap([...document.querySelectorAll("[data-piece]")].map((one) => [one, one.innerHTML.trim()]));
const asked = new WeakMap();

// Where the keyboard is, so that a new piece does not take it away.
function focusKey(element) {
  const active = document.activeElement;
  if (!element.contains(active) || active === element) return null;
  const { act, body } = active.dataset;
  if (act) return (one) => one.dataset.act === act && one.dataset.body === body;
  if (active.id) return (one) => one.id === active.id;
  if (active.href) return (one) => one.href === active.href;
  return null;
}

export async function refresh(element) {
  if (element.hasAttribute("data-lazy") && !element.closest("details")?.open) return;
  if (element.contains(document.activeElement) && document.activeElement.matches("select")) {
    element.addEventListener("focusout", () => refresh(element), { once: true }); // a list that is open stays open
    return;
  }
  const mine = (asked.get(element) ?? 0) + 1;
  asked.set(element, mine);
  const fresh = document.createElement("template");
  fresh.innerHTML = await piece(element.dataset.piece + (element.dataset.query ?? ""));
  const html = fresh.innerHTML.trim();
  if (asked.get(element) !== mine || shown.get(element) === html) return;
  const key = focusKey(element);
  const held = element.contains(document.activeElement);
  shown.set(element, html);
  element.replaceChildren(fresh.content);
  const again = key && [...element.querySelectorAll("a, button, select, input")].find(key);
  if (held) (again ?? element).focus({ preventScroll: true });
  element.dispatchEvent(new CustomEvent("piece", { bubbles: true }));
}

// Who was removed has the page of somebody who may ask.
function gone(element, problem) {
  if (problem.status === 404 && element.closest(".sharing")) location.reload();
  else tell(place(element), problem.message);
}

export function refreshAll(name) {
  const wanted = [...document.querySelectorAll("[data-piece]")].filter((element) => element.dataset.on === name);
  return Promise.all(wanted.map((element) => refresh(element).catch((problem) => gone(element, problem))));
}

const place = (element) =>
  document.getElementById(
    element.closest("#notices-list") ? "notices-trouble" : document.getElementById("people-trouble") ? "people-trouble" : "trouble",
  ) ?? document.getElementById("notices-trouble");

export function sure(text, yes) {
  const dialog = document.getElementById("sure");
  document.getElementById("sure-text").textContent = text;
  document.getElementById("sure-yes").textContent = yes ?? "Yes";
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((done) => {
    dialog.addEventListener("close", () => done(dialog.returnValue === "yes"), { once: true });
  });
}

const say = (text) => {
  document.getElementById("notices-said").textContent = text;
};

async function act(element, body) {
  const trouble = place(element);
  tell(trouble, "");
  const { act, confirm, yes, then, said, doing } = element.dataset;
  if (confirm && !(await sure(confirm, yes))) return false;
  const [method, path] = act.split(" ");
  const controls = element.matches("form") ? [...element.querySelectorAll("button")] : [element];
  for (const control of controls) control.disabled = true;
  const text = element.textContent;
  if (doing) {
    element.textContent = doing;
    say(doing);
  }
  try {
    await api(method, path, body);
    if (then === "home") location.assign(prefix);
    else if (then === "reload") location.reload();
    else {
      if (said) told(element, said);
      for (const control of controls) control.disabled = false;
      await refreshAll("people");
    }
    return true;
  } catch (failed) {
    const instance = /^instances\/([0-9a-f]+)\/break-glass$/.exec(path)?.[1];
    let problem = failed;
    try {
      if (instance && (await loginAgain(failed, instance, { break_glass: body }))) return false;
    } catch (another) {
      problem = another;
    }
    tell(trouble, problem.message);
    if (element.matches("select")) element.value = [...element.options].find((option) => option.defaultSelected)?.value;
    await refreshAll("people");
    return false;
  } finally {
    if (doing) element.textContent = text;
    for (const control of controls) control.disabled = false;
  }
}

// What was done stands beside the form's button and is read out.
function told(element, text) {
  say(text);
  if (!element.matches("form")) return;
  let beside = element.querySelector(".said");
  if (!beside) {
    beside = document.createElement("span");
    beside.className = "said small";
    element.querySelector("[type=submit]").after(beside);
  }
  beside.textContent = ` ${text}`;
}

function bodyOf(form, submitter) {
  const body = Object.fromEntries(new FormData(form));
  if (form.id === "rules-form") {
    const lines = body.folders.split("\n").map((line) => line.trim()).filter(Boolean);
    body.folders = [...new FormData(form).getAll("folder"), ...lines];
    delete body.folder;
  }
  if (submitter?.name) body[submitter.name] = submitter.name === "act" ? submitter.value === "true" : submitter.value;
  return body;
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-act]");
  if (button) act(button, button.dataset.body ? JSON.parse(button.dataset.body) : undefined);
});
document.addEventListener("change", (event) => {
  const select = event.target.closest("select[data-act]");
  if (select) act(select, { [select.name]: select.value });
});
document.addEventListener("submit", async (event) => {
  const form = event.target.closest("form[data-act]");
  if (!form) return;
  event.preventDefault();
  if ((await act(form, bodyOf(form, event.submitter))) && form.hasAttribute("data-reset")) form.reset();
});
document.addEventListener(
  "toggle",
  (event) => {
    const lazy = event.target.open && event.target.querySelector?.("[data-lazy]");
    if (lazy) refresh(lazy).catch((problem) => tell(place(lazy), problem.message));
  },
  true,
);
on("people", () => refreshAll("people"));
// What was opened before this script was there.
for (const lazy of document.querySelectorAll("details[open] [data-lazy]")) {
  refresh(lazy).catch((problem) => tell(place(lazy), problem.message));
}
