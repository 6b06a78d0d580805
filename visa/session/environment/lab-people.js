// The bar's part: who is here, one's own role, "Share"; requests as notifications; a role that changes or ends.
import { changed, lineOf, looksOn, members, news, persons, said, short } from "./lab-word.js";

function element(kind, text = "", attributes = {}) {
  const one = document.createElement(kind);
  one.textContent = text;
  for (const [name, value] of Object.entries(attributes)) one.setAttribute(name, value);
  return one;
}

const button = (text, more = "") => element("button", text, { type: "button", class: `visa-button ${more}` });
const open = (address) => window.open(address, "_blank", "noopener");

class Bar {
  constructor(word) {
    this.word = word;
    this.node = element("div", "", { class: "visa-people" });
    this.role = element("span", "", { class: "visa-role", role: "status" });
    this.button = button("");
    this.button.setAttribute("popovertarget", "visa-here");
    this.panel = element("div", "", { id: "visa-here", popover: "", role: "group", "aria-label": "Who is here" });
    this.share = button("Share", "visa-share");
    this.share.addEventListener("click", () => open(members(word)));
    this.panel.addEventListener("beforetoggle", () => {
      const { bottom, right } = this.button.getBoundingClientRect();
      this.panel.style.top = `${bottom + 4}px`;
      this.panel.style.right = `${Math.max(4, innerWidth - right)}px`;
    });
    this.node.append(this.role, this.button, this.panel, this.share);
    this.show();
  }

  show() {
    const { here, you } = this.word.now;
    const people = persons(here);
    const sentence = said(you.role, this.word.owner);
    this.role.textContent = short(you.role);
    this.role.title = sentence;
    this.role.hidden = !sentence;
    this.role.dataset.role = you.role;
    this.button.textContent = people.some(({ username }) => username !== you.username) ? `${people.length} here` : "Only you";
    this.share.hidden = you.role !== "owner";
    const list = element("ul");
    for (const one of people) {
      const [name, what] = lineOf(one, you);
      const line = element("li");
      line.append(element("b", name), element("span", what));
      list.append(line);
    }
    this.panel.replaceChildren(element("h2", "Who is here"), ...(sentence ? [element("p", sentence)] : []), list);
    document.body.classList.toggle("visa-watching", this.word.watching);
  }
}

/** Requests and what else has to be told, as JupyterLab's own notifications. */
class Told {
  #shown = new Map();

  constructor(word, Notification) {
    this.word = word;
    this.Notification = Notification;
  }

  show() {
    const now = news(this.word.now);
    for (const [key, id] of this.#shown) {
      if (now.has(key) || !key.startsWith("request")) continue;
      this.#shown.delete(key);
      this.Notification.dismiss(id);
    }
    for (const [key, { text, action, grave }] of now) {
      if (this.#shown.has(key)) continue;
      // Answers are given on the portal: what runs in this page is not the owner's alone.
      const actions = [{ label: action, displayType: "accent", callback: () => open(members(this.word)) }];
      this.#shown.set(key, this.Notification.emit(text, grave ? "warning" : "info", { autoClose: false, actions }));
    }
  }
}

/** Over everything: what is behind it does not work any more. */
function ended(word, sentence) {
  const dialog = element("dialog", "", { class: "visa-ended", "aria-labelledby": "visa-ended-title" });
  const home = button("Your home page", "visa-share");
  home.addEventListener("click", () => location.assign(new URL("..", new URL(word.now.portal || "/", location))));
  const again = button("Load the page again");
  again.addEventListener("click", () => location.reload());
  const buttons = element("p");
  buttons.append(home, again);
  dialog.append(element("h2", "You are not on this instance any more", { id: "visa-ended-title" }), element("p", sentence), buttons);
  dialog.addEventListener("cancel", (event) => event.preventDefault());
  document.body.append(dialog);
  dialog.showModal();
}

let told = "";
function tellOfRole(word, before, Notification) {
  if (before.you.role === word.role) return;
  if (told) Notification.dismiss(told);
  const actions = [{ label: "Load the page again", displayType: "accent", callback: () => location.reload() }];
  told = Notification.emit(changed(word), looksOn(word.role) ? "warning" : "info", { autoClose: false, actions });
}

export async function plugin(word, shared) {
  const [{ Notification }, { Widget }] = await Promise.all([shared("@jupyterlab/apputils"), shared("@lumino/widgets")]);
  return {
    id: "visa:people",
    description: "Who is here, and who asks to come in.",
    autoStart: true,
    activate: (app) => {
      document.head.append(element("link", "", { rel: "stylesheet", href: new URL("lab.css", import.meta.url) }));
      const bar = new Bar(word);
      const widget = new Widget({ node: bar.node });
      widget.id = "visa-people";
      app.shell.add(widget, "top", { rank: 20_000 });
      const tidings = new Told(word, Notification);
      let restored = false;
      word.addEventListener("change", ({ detail }) => {
        bar.show();
        // Before that JupyterLab counts notifications and shows none.
        if (restored) tidings.show();
        tellOfRole(word, detail, Notification);
      });
      word.addEventListener("end", ({ detail }) => ended(word, detail));
      app.restored.then(() => {
        restored = true;
        tidings.show();
      });
      word.follow();
    },
  };
}
