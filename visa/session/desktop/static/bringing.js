// Files and folders on their way in: a few at a time, each with a line that says how far it is.
import { button, element, size } from "./page.js";
import { Upload, ask } from "./upload.js";

const AT_ONCE = 3;
const NAMED = 5;
const UNREAD = "cannot be read on your computer";

let under = 0;
const waiting = [];

async function place() {
  if (under >= AT_ONCE) await new Promise((free) => waiting.push(free));
  else under += 1;
}

function leave() {
  const next = waiting.shift();
  if (next) next();
  else under -= 1;
}

async function inTurn(act) {
  await place();
  try {
    return await act();
  } finally {
    leave();
  }
}

/** One file to `path`; whether it is there now. */
export async function bringFile(list, path, file) {
  const row = progress(list, file.name, file.size);
  const upload = new Upload(path, file, ({ sent }, words) => row.show(sent, words));
  row.cancel.addEventListener("click", () => upload.cancel());
  const run = async (replace, words) => {
    try {
      await inTurn(() => upload.run(replace));
      row.end(words);
      return true;
    } catch (error) {
      if (upload.cancelled) row.end("cancelled");
      else if (error.status === 409 && !replace)
        return row.ask("There is a file of that name already.", "Replace it", () => run(true, "is there, replaced"));
      else row.end(error.message || "could not be brought in");
      return false;
    }
  };
  return run(false, "is there");
}

/** A folder with all that is in it into `folder`; whether anything is there now. */
export async function bringTree(list, folder, tree) {
  const row = progress(list, `${tree.name}/`, 0);
  const state = { found: 0, there: 0, bytes: 0, sent: new Map(), failed: [], taken: [], cancelled: false, uploads: new Set() };
  row.cancel.addEventListener("click", () => {
    state.cancelled = true;
    for (const upload of state.uploads) upload.cancel();
  });
  const show = (words) => {
    const sent = [...state.sent.values()].reduce((sum, one) => sum + one, 0);
    row.show(sent, words ?? `${state.there} of ${state.found} files, ${size(sent)}`, state.bytes);
  };
  const one = async (path, file, replace) => {
    const upload = new Upload(`${folder}/${path}`, file, ({ sent }, words) => {
      state.sent.set(path, sent);
      show(words);
    });
    state.uploads.add(upload);
    try {
      await upload.run(replace);
      state.there += 1;
      show();
    } catch (error) {
      if (error.status === 409 && !replace) state.taken.push([path, file]);
      else if (!state.cancelled) state.failed.push([path, error.message || "could not be brought in"]);
    }
    state.uploads.delete(upload);
  };
  const under = new Set();
  const start = async (path, file, replace) => {
    await place();
    if (state.cancelled) return leave();
    const work = one(path, file, replace).finally(() => {
      under.delete(work);
      leave();
    });
    under.add(work);
    return undefined;
  };

  for await (const { path, folder: isFolder, file } of tree.walk()) {
    if (state.cancelled) break;
    if (isFolder) {
      const refused = await ask(`${folder}/${path}`, "?folder=1", { method: "PUT" }).then(() => null, (error) => error);
      if (refused) state.failed.push([path, refused.message]);
      if (refused && path === tree.name) break; // nothing below it has a place
    } else {
      state.found += 1;
      state.bytes += file?.size ?? 0;
      if (file) await start(path, file, false);
      else state.failed.push([path, UNREAD]);
    }
  }
  await Promise.all(under);
  if (state.cancelled) row.end(`cancelled: ${state.there} files are there`);
  else if (!state.taken.length) row.end(words(state));
  else {
    const many = state.taken.length;
    row.ask(`${words(state)} ${many} ${many === 1 ? "name is" : "names are"} taken already.`, "Replace them", async () => {
      for (const [path, file] of state.taken.splice(0)) await start(path, file, true);
      await Promise.all(under);
      row.end(words(state));
    });
  }
  return state.there > 0 || !state.failed.length;
}

function words({ found, there, failed }) {
  if (!failed.length) return there === found ? `is there: ${there} ${there === 1 ? "file" : "files"}` : `${there} of ${found} files are there.`;
  const named = failed.slice(0, NAMED).map(([path, why]) => `${path}: ${why}`);
  const more = failed.length > NAMED ? ` And ${failed.length - NAMED} more.` : "";
  return `${there} of ${found} files are there. Not ${named.join(" Not ")}${more}`;
}

function progress(list, name, length) {
  const item = element("li");
  const bar = element("progress", "", { max: String(length || 1), value: "0", "aria-label": `${name} on its way` });
  const said = element("span", "waiting", { class: "small", role: "status" });
  const cancel = element("button", "Cancel", { type: "button", "aria-label": `Cancel ${name}` });
  item.append(element("span", name, { class: "name" }), bar, said, cancel);
  list.prepend(item);
  const began = performance.now();
  const end = (told) => {
    bar.remove();
    cancel.remove();
    said.textContent = told;
    item.append(button("Dismiss", () => item.remove()));
  };
  return {
    cancel,
    end,
    show(sent, told, whole = length) {
      const rate = sent / ((performance.now() - began) / 1000);
      bar.max = whole || 1;
      bar.value = sent;
      said.textContent = told ?? `${size(sent)} of ${size(whole)}, ${size(rate)} a second`;
    },
    /** What `act` answers when the button is pressed. */
    ask(told, label, act) {
      said.textContent = told;
      return new Promise((done) => {
        const one = button(label, () => {
          one.remove();
          done(act());
        });
        item.append(one);
      });
    },
  };
}
