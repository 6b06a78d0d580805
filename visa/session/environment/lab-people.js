// The bar's part: who is here, one's own role, "Share"; requests as notifications; a role that changes or ends.
import { called, looksOn } from "./lab-word.js";

const ROLES = {
  owner: "owner",
  collaborator: "works here too",
  observer: "watches",
  support: "support, works here",
  "support-view": "support, watches",
};
const WANTED = { collaborator: "to work here", observer: "to watch", act: "to help you and work here", view: "to help you and watch", support: "to help you and work here", "support-view": "to help you and watch" };

function element(kind, text = "", attributes = {}) {
  const one = document.createElement(kind);
  one.textContent = text;
  for (const [name, value] of Object.entries(attributes)) one.setAttribute(name, value);
  return one;
}

/** One's own role in a sentence; nothing for the owner, who knows. */
function said(role, owner) {
  if (role === "observer") return `You are watching: what ${owner} does is shown as it happens, and you can change nothing`;
  if (role === "support-view") return `You are watching as support: you can change nothing`;
  if (role === "support") return `You are here as support, and work as ${owner}`;
  if (role === "collaborator") return `You work here as ${owner}`;
  return "";
}

const short = (role) => ({ observer: "You are watching", "support-view": "You are watching as support", support: "You are support", collaborator: "You work here too" })[role] ?? "";

/** Each person once, as the strongest that she is here. */
function persons(here) {
  const order = Object.keys(ROLES);
  const found = new Map();
  for (const one of here) {
    const known = found.get(one.username);
    if (!known || order.indexOf(one.role) < order.indexOf(known.role)) found.set(one.username, one);
  }
  return [...found.values()].sort((a, b) => order.indexOf(a.role) - order.indexOf(b.role));
}

function open(address) {
  window.open(address, "_blank", "noopener");
}

class Bar {
  constructor(word) {
    this.word = word;
    this.node = element("div", "", { class: "visa-people" });
    this.role = element("span", "", { class: "visa-role", role: "status" });
    this.button = element("button", "", { type: "button", class: "visa-button", popovertarget: "visa-here", "aria-haspopup": "true" });
    this.panel = element("div", "", { id: "visa-here", popover: "", "aria-label": "Who is here" });
    this.share = element("button", "Share", { type: "button", class: "visa-button visa-share" });
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
    const lines = people.map(({ role, username, since, ...one }) => {
      const line = element("li");
      const from = since ? `, since ${new Date(since).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" })}` : "";
      const self = username === you.username ? " (you)" : "";
      line.append(element("b", `${called({ username, ...one })}${self}`), element("span", `${ROLES[role] ?? role}${from}`));
      return line;
    });
    const list = element("ul");
    list.append(...lines);
    this.panel.replaceChildren(element("h2", "Who is here"), ...(sentence ? [element("p", `${sentence}.`)] : []), list);
    document.body.classList.toggle("visa-watching", this.word.watching);
  }
}

const members = (word) => word.now.portal ? `${word.now.portal}#people` : "/";

/** Requests and what else the owner has to know, as JupyterLab's own notifications. */
class Told {
  #shown = new Map();

  constructor(word, Notification) {
    this.word = word;
    this.Notification = Notification;
  }

  show() {
    const wanted = new Map();
    for (const one of this.word.now.requests) wanted.set(`request ${one.id}`, () => this.#request(one));
    for (const one of this.word.now.here) {
      if (one.way === "break-glass" && one.username !== this.word.now.you.username) {
        wanted.set(`glass ${one.username} ${one.role}`, () => this.#glass(one));
      }
    }
    for (const [key, id] of this.#shown) {
      if (!wanted.has(key) && key.startsWith("request ")) {
        this.#shown.delete(key);
        this.Notification.dismiss(id);
      }
    }
    for (const [key, tell] of wanted) if (!this.#shown.has(key)) this.#shown.set(key, tell());
  }

  #request(one) {
    const why = one.reason ? `: “${one.reason.slice(0, 60)}”` : ".";
    const actions = [{ label: "Answer on the portal", displayType: "accent", callback: () => open(members(this.word)) }];
    return this.Notification.info(`${called(one)} asks ${WANTED[one.wanted] ?? "to come in"}${why}`, { autoClose: false, actions });
  }

  #glass(one) {
    const what = looksOn(one.role) ? "watches" : "works";
    const text = `${called(one)} ${what} here without your consent, as administrators may in an emergency. The reason is on the portal.`;
    return this.Notification.warning(text, { autoClose: false, actions: [{ label: "See the portal", callback: () => open(members(this.word)) }] });
  }
}

/** Over everything: what is behind it does not work any more. */
function ended(word, sentence) {
  const dialog = element("dialog", "", { class: "visa-ended", "aria-labelledby": "visa-ended-title" });
  const home = element("button", "Your home page", { type: "button", class: "visa-button visa-share" });
  home.addEventListener("click", () => location.assign(new URL("..", new URL(word.now.portal || "/", location))));
  const again = element("button", "Load the page again", { type: "button", class: "visa-button" });
  again.addEventListener("click", () => location.reload());
  const buttons = element("p");
  buttons.append(home, again);
  const title = element("h2", "You are not on this instance any more", { id: "visa-ended-title" });
  dialog.append(title, element("p", sentence), buttons);
  dialog.addEventListener("cancel", (event) => event.preventDefault());
  document.body.append(dialog);
  dialog.showModal();
}

function changed(word, before, Notification) {
  const from = before.you.role;
  if (from === word.role) return;
  const actions = [{ label: "Load the page again", displayType: "accent", callback: () => location.reload() }];
  const text = `Your role has changed. ${said(word.role, word.owner) || "This instance is yours"}.`;
  Notification.emit(text, looksOn(word.role) ? "warning" : "info", { autoClose: false, actions });
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
      const told = new Told(word, Notification);
      word.addEventListener("change", ({ detail }) => {
        bar.show();
        told.show();
        changed(word, detail, Notification);
      });
      word.addEventListener("end", ({ detail }) => ended(word, detail));
      app.restored.then(() => told.show());
      word.follow();
    },
  };
}
