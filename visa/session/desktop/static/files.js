// The files panel: look through home, shared and data; bring files in by dropping or choosing them; take them out.
import { bringFile, bringTree } from "./bringing.js";
import { button, element, note, part, remember, remembered, size } from "./page.js";
import { show, whenOpened } from "./panels.js";
import { chosen, dropped } from "./tree.js";
import { address, ask } from "./upload.js";

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
      fill(told.entries, unshown(told));
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

  function fill(entries, missing) {
    const wanted = view.search.value.trim().toLowerCase();
    const sorted = entries
      .filter(({ name }) => name.toLowerCase().includes(wanted))
      .sort((a, b) => (a.type === b.type ? a.name.localeCompare(b.name, [], { numeric: true }) : a.type === "folder" ? -1 : 1));
    const lines = sorted.slice(0, MOST).map((entry) => line(entry));
    if (!lines.length && !(missing.length && !wanted)) lines.push(element("li", wanted ? "Nothing here has that in its name." : "This folder is empty.", { class: "none" }));
    if (sorted.length > MOST) lines.push(element("li", `${sorted.length - MOST} more: search by name.`, { class: "none" }));
    lines.push(...missing.map((words) => element("li", words, { class: "none" })));
    view.list.replaceChildren(...lines);
    view.search.oninput = () => fill(entries, missing);
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

  async function bringAll({ files, trees }) {
    if (!inward) return note("Your facility does not allow files into the desktop.");
    show("files");
    if (!writable) await open("home");
    const into = folder;
    const again = (there) => there && (folder === into || folder.startsWith(`${into}/`)) && open(folder);
    for (const file of files) bringFile(view.uploads, `${into}/${file.name}`, file).then(again);
    for (const tree of trees) bringTree(view.uploads, into, tree).then(again);
    return undefined;
  }

  for (const [name, control] of view.roots) control.addEventListener("click", () => open(name));
  view.choose?.addEventListener("change", () => bringAll({ files: [...view.choose.files], trees: [] }));
  view.tree?.addEventListener("change", () => bringAll({ files: [], trees: chosen([...view.tree.files]) }));
  whenOpened("files", () => open(folder));
  dropping(bringAll);
}

/** What is in the folder and not in the list, in words. */
function unshown({ more, unshown: { names, kinds } = { names: 0, kinds: 0 } }) {
  const words = [];
  if (names) words.push(`${names} ${names === 1 ? "entry has a name" : "entries have names"} that cannot be shown: not UTF-8, or with control characters. A terminal lists them: ls -b`);
  if (kinds) words.push(`${kinds} ${kinds === 1 ? "entry is" : "entries are"} neither file nor folder: a link to nothing, a device or a socket.`);
  if (more) words.push("There are more than can be listed: a terminal shows all.");
  return words;
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
  let tree = null;
  if (inward) {
    choose = element("input", "", { type: "file", multiple: "" });
    tree = element("input", "", { type: "file", webkitdirectory: "" });
    const [files, folder] = [element("label", "Drop files or folders here or anywhere on the desktop, or choose files: "), element("label", "or a whole folder: ")];
    files.append(choose);
    folder.append(tree);
    drop = element("div", "", { class: "drop" });
    drop.append(files, folder);
    body.append(drop);
  }
  body.append(uploads);
  return { roots, crumbs, search, list, uploads, drop, choose, tree };
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
    bring(dropped(event.dataTransfer));
  });
}
