// The owner's means on an instance's page: whom to add, links.
import { api, prefix, tell } from "./api.js";
import { refresh, refreshAll } from "./acts.js";
import { loginAgain } from "./again.js";

const section = document.getElementById("people");
const id = section.dataset.id;
const part = (name) => document.getElementById(name);
const trouble = part("people-trouble") ?? part("trouble");

if (location.hash === "#people") section.scrollIntoView();

// Finding people
const candidates = part("candidates");
let timer;
part("candidate")?.addEventListener("input", (event) => {
  clearTimeout(timer);
  timer = setTimeout(() => {
    const search = event.target.value.trim();
    candidates.dataset.query = search.length >= 3 ? `?search=${encodeURIComponent(search)}` : "";
    refresh(candidates).catch((problem) => tell(trouble, problem.message));
  }, 250);
});
// The box "only while I am there" goes with whoever is added.
candidates?.addEventListener(
  "click",
  (event) => {
    const button = event.target.closest("button[data-body]");
    if (button) button.dataset.body = JSON.stringify({ ...JSON.parse(button.dataset.body), with_owner: part("with-owner").checked });
  },
  true,
);

// Links
const form = part("link");
if (form) {
  const field = (name) => form.elements.namedItem(name);
  const again = "again" in form.dataset ? " You log in again first." : "";
  const changed = () => {
    const once = field("kind").value === "once";
    part("email-field").hidden = !once;
    part("link-why").textContent = once
      ? "The first person who uses it joins; then it is used up."
      : `Everybody who has it may join, and may be there only while you are.${again}`;
  };
  form.addEventListener("change", changed);
  changed();
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    tell(trouble, "");
    const once = field("kind").value === "once";
    const email = once ? field("email").value.trim() : "";
    const body = {
      kind: field("kind").value,
      role: field("role").value,
      expires: new Date(Date.now() + 3600000 * Number(field("hours").value)).toISOString(),
      ...(email ? { email } : {}),
    };
    try {
      const made = await api("POST", `instances/${id}/invitations`, body);
      part("made-link").value = new URL(made.path, location.href).href;
      part("made").hidden = false;
      part("copied").textContent = "";
      part("made-link").focus();
      part("made-link").select();
      await refreshAll("people");
    } catch (failed) {
      try {
        if (!(await loginAgain(failed, id, { invitation: body }))) tell(trouble, failed.message);
      } catch (problem) {
        tell(trouble, problem.message);
      }
    }
  });
  part("copy").addEventListener("click", async () => {
    part("made-link").select();
    try {
      await navigator.clipboard.writeText(part("made-link").value);
      part("copied").textContent = "Copied.";
    } catch {
      part("copied").textContent = "Press Ctrl+C to copy.";
    }
  });
}

// Let in, or out: the page is another one then.
const role = section.querySelector("[data-piece]");
let mine = role.querySelector("[data-mine]")?.dataset.mine;
role.addEventListener("piece", () => {
  const now = role.querySelector("[data-mine]")?.dataset.mine;
  if (now !== mine) location.assign(`${prefix}instances/${id}`);
  mine = now;
});
