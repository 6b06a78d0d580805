// The files panel: look through home, shared and data; bring files in by dropping or choosing them; take them out.
import { button, element, note, part, remember, remembered, size } from "./page.js";
import { show, whenOpened } from "./panels.js";
import { Upload, address, ask } from "./upload.js";

const ROOTS = [
  ["home", "Home"],
  ["shared", "Shared"],
  ["data", "Data (read only)"],
];
const MOST = 500;

export function start(rights) {
  const inward = rights.files === "both" || rights.files === "in";
  const outward = rights.files === "both" || rights.files === "out";
  const body = part("files-body");
  if (!inward && !outward) {
    body.append(element("p", "Your facility does not allow files between the desktop and your computer."));
    return;
  }
  const view = layout(body, inward);
  let folder = remembered("folder", "home");
  let writable = false;

  async function open(path) {
    folder = path;
    view.list.setAttribute("aria-busy", "true");
    try {
      const told = await (await ask(path, "?list=1")).json();
      writable = told.writable;
      remember("folder", path);
      fill(told.entries);
    } catch (error) {
      if (path !== "home" && error.status === 404) return open("home");
      view.list.replaceChildren(element("li", error.message || "The files cannot be read now."));
    }
    view.list.removeAttribute("aria-busy");
    crumbs();
    return undefined;
  }

  function crumbs() {
    const parts = folder.split("/");
    const buttons = parts.map((name, index) => {
      const title = index ? name : (ROOTS.find(([root]) => root === name)?.[1] ?? name);
      const one = button(title, () => open(parts.slice(0, index + 1).join("/")));
      if (index === parts.length - 1) one.setAttribute("aria-current", "page");
      return one;
    });
    view.crumbs.replaceChildren(...(buttons.length > 1 ? buttons : []));
    for (const [name, control] of view.roots) control.setAttribute("aria-pressed", String(parts[0] === name));
    if (view.drop) view.drop.hidden = !writable;
  }

  function fill(entries) {
    const wanted = view.search.value.trim().toLowerCase();
    const sorted = entries
      .filter(({ name }) => name.toLowerCase().includes(wanted))
      .sort((a, b) => (a.type === b.type ? a.name.localeCompare(b.name, [], { numeric: true }) : a.type === "folder" ? -1 : 1));
    const lines = sorted.slice(0, MOST).map((entry) => line(entry));
    if (!lines.length) lines.push(element("li", wanted ? "Nothing here has that in its name." : "This folder is empty.", { class: "none" }));
    if (sorted.length > MOST) lines.push(element("li", `${sorted.length - MOST} more: search by name.`, { class: "none" }));
    view.list.replaceChildren(...lines);
    view.search.oninput = () => fill(entries);
  }

  function line(entry) {
    const path = `${folder}/${entry.name}`;
    const item = element("li");
    if (entry.type === "folder") {
      item.append(button(`${entry.name}/`, () => open(path)));
    } else {
      // The browser's own download: it has progress, pause and going on after a cut (Range and ETag).
      item.append(outward ? element("a", entry.name, { href: address(path), download: entry.name }) : element("span", entry.name));
      item.append(element("span", size(entry.size), { class: "small" }));
    }
    return item;
  }

  async function bring(file) {
    const path = `${folder}/${file.name}`;
    const row = progress(view.uploads, file);
    const upload = new Upload(path, file, (state, words) => row.show(state.sent, words));
    row.cancel.addEventListener("click", () => upload.cancel());
    try {
      await upload.run();
      row.end("is there");
    } catch (error) {
      if (upload.cancelled) return row.end("cancelled");
      if (error.status !== 409) return row.end(error.message || "could not be brought in");
      return row.ask("There is a file of that name already.", "Replace it", () => replace(upload, row));
    }
    if (path.startsWith(`${folder}/`)) open(folder);
    return undefined;
  }

  async function replace(upload, row) {
    try {
      await upload.run(true);
      row.end("is there, replaced");
      open(folder);
    } catch (error) {
      row.end(error.message);
    }
  }

  async function bringAll(list) {
    if (!inward) return note("Your facility does not allow files into the desktop.");
    show("files");
    if (!writable) await open("home");
    for (const file of list) bring(file);
    return undefined;
  }

  for (const [name, control] of view.roots) control.addEventListener("click", () => open(name));
  view.choose?.addEventListener("change", () => bringAll([...view.choose.files]));
  whenOpened("files", () => open(folder));
  dropping(bringAll);
}

function layout(body, inward) {
  const roots = ROOTS.map(([name, title]) => [name, element("button", title, { type: "button", "aria-pressed": "false" })]);
  const bar = element("div", "", { class: "actions" });
  bar.append(...roots.map(([, control]) => control));
  const crumbs = element("nav", "", { class: "crumbs", "aria-label": "Folder" });
  const search = element("input", "", { type: "search", "aria-label": "Search in this folder", placeholder: "Search in this folder" });
  const list = element("ul", "", { class: "entries", "aria-label": "Files", tabindex: "0" });
  const uploads = element("ul", "", { class: "uploads", "aria-label": "Files on their way" });
  body.append(bar, crumbs, search, list);
  let drop = null;
  let choose = null;
  if (inward) {
    drop = element("label", "Drop files here or anywhere on the desktop, or choose them: ", { class: "drop" });
    choose = element("input", "", { type: "file", multiple: "" });
    drop.append(choose);
    body.append(drop);
  }
  body.append(uploads);
  return { roots, crumbs, search, list, uploads, drop, choose };
}

function progress(list, file) {
  const item = element("li");
  const name = element("span", file.name, { class: "name" });
  const bar = element("progress", "", { max: String(file.size || 1), value: "0", "aria-label": `${file.name} on its way` });
  const said = element("span", "waiting", { class: "small", role: "status" });
  const cancel = element("button", "Cancel", { type: "button", "aria-label": `Cancel ${file.name}` });
  item.append(name, bar, said, cancel);
  list.prepend(item);
  const began = performance.now();
  const end = (words) => {
    bar.remove();
    cancel.remove();
    said.textContent = words;
    item.append(button("Dismiss", () => item.remove()));
  };
  return {
    cancel,
    end,
    show(sent, words) {
      const rate = sent / ((performance.now() - began) / 1000);
      bar.value = sent;
      said.textContent = words ?? `${size(sent)} of ${size(file.size)}, ${size(rate)} a second`;
    },
    ask(words, label, act) {
      said.textContent = words;
      const one = button(label, () => {
        one.remove();
        act();
      });
      item.append(one);
    },
  };
}

function dropping(bring) {
  const has = (event) => event.dataTransfer?.types.includes("Files");
  addEventListener("dragover", (event) => {
    if (!has(event)) return;
    event.preventDefault();
    document.body.classList.add("dropping");
  });
  addEventListener("dragleave", (event) => event.relatedTarget || document.body.classList.remove("dropping"));
  addEventListener("drop", (event) => {
    document.body.classList.remove("dropping");
    if (!has(event)) return;
    event.preventDefault();
    bring([...event.dataTransfer.files]);
  });
}
