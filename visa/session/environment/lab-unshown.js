// What is in a folder and not in JupyterLab's file browser, in words below its list: Jupyter counts it (listing.py).

/** A sentence; empty when everything is shown. */
export function sentence({ names = 0, kinds = 0 } = {}) {
  const words = [];
  if (names) words.push(`${names} ${names === 1 ? "name" : "names"} cannot be shown here: not UTF-8, or with control characters. A terminal lists them (ls -b).`);
  if (kinds) words.push(`${kinds} ${kinds === 1 ? "entry is" : "entries are"} neither file nor folder.`);
  return words.join(" ");
}

export async function plugin(word, shared) {
  const { IDefaultFileBrowser } = await shared("@jupyterlab/filebrowser");
  return {
    id: "visa:unshown",
    description: "The file browser says what it leaves out.",
    autoStart: true,
    optional: [IDefaultFileBrowser],
    activate: (app, browser) => {
      if (!browser) return;
      const { contents } = app.serviceManager;
      const counted = new Map();
      const show = () => {
        const said = sentence(counted.get(contents.localPath(browser.model.path)));
        const list = browser.node.querySelector(".jp-DirListing-content");
        if (said) list?.setAttribute("data-visa-unshown", said);
        else list?.removeAttribute("data-visa-unshown");
      };
      const get = contents.get;
      contents.get = async function (path, ...options) {
        const model = await get.call(this, path, ...options);
        if (model.type === "directory" && model.content) {
          counted.set(contents.localPath(path), model.unshown);
          show();
        }
        return model;
      };
      browser.model.pathChanged.connect(show);
      browser.model.refreshed.connect(show);
      browser.model.refresh();
    },
  };
}
