// Folders that are brought in: what is in them, step by step, as the browser lets it be read.

const asked = (entry, method) => new Promise((done, fail) => entry[method](done, fail));
const NONE = Symbol("what cannot be read");

/** Everything below a dropped folder, folders before what is in them. */
async function* walk(folder, path) {
  yield { path, folder: true };
  const reader = folder.createReader();
  for (;;) {
    // Some browsers give a hundred at a time.
    const entries = await asked(reader, "readEntries").catch(() => NONE);
    if (entries === NONE) yield { path };
    if (entries === NONE || !entries.length) return;
    for (const entry of entries) {
      const below = `${path}/${entry.name}`;
      if (entry.isDirectory) yield* walk(entry, below);
      else yield { path: below, file: await asked(entry, "file").catch(() => null) };
    }
  }
}

/** What is dropped: files, and folders to walk. To be asked while the event is handled; later the browser has forgotten. */
export function dropped(transfer) {
  const files = [];
  const trees = [];
  if (!("webkitGetAsEntry" in DataTransferItem.prototype)) return { files: [...transfer.files], trees };
  for (const item of [...transfer.items].filter(({ kind }) => kind === "file")) {
    const entry = item.webkitGetAsEntry();
    if (entry?.isDirectory) trees.push({ name: entry.name, walk: () => walk(entry, entry.name) });
    else files.push(item.getAsFile());
  }
  return { files: files.filter(Boolean), trees };
}

/** Files that were chosen as a folder: their own paths say where in it they are. */
export function chosen(files) {
  const names = new Set([...files].map((file) => file.webkitRelativePath.split("/")[0]));
  return [...names].map((name) => ({ name, walk: () => below(name, files) }));
}

function* below(name, files) {
  const made = new Set();
  for (const file of files) {
    const parts = file.webkitRelativePath.split("/");
    if (parts[0] !== name) continue;
    for (let length = 1; length < parts.length; length += 1) {
      const path = parts.slice(0, length).join("/");
      if (!made.has(path)) yield { path, folder: true };
      made.add(path);
    }
    yield { path: file.webkitRelativePath, file };
  }
}
