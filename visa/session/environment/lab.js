// Who is here, in JupyterLab: the container that JupyterLab loads as it loads any prebuilt extension (webpack's module
// federation), by hand, so that nothing has to be built. Without the gateway's word it has no plugins.
(() => {
  const here = document.currentScript.src;
  const part = (name) => import(new URL(name, here));
  const { baseUrl = "/" } = JSON.parse(document.getElementById("jupyter-config-data")?.textContent || "{}");
  const asked = part("lab-word.js")
    .then(({ begin }) => begin(baseUrl))
    .catch(() => null);
  let scope = {};

  // JupyterLab's modules take the `fetch` that they find, so it is changed before they are there; and not in `init`, which
  // must not wait: JupyterLab begins with the page's `load` and would miss it.
  const real = window.fetch;
  window.fetch = async function (resource, options) {
    const { origin, pathname } = new URL(resource?.url ?? resource, document.baseURI);
    const method = (options?.method ?? resource?.method ?? "GET").toUpperCase();
    const path = origin === location.origin && pathname.startsWith(baseUrl) ? pathname.slice(baseUrl.length) : null;
    const asks = path === null || (["GET", "HEAD"].includes(method) && !path.startsWith("lab/api/workspaces"));
    if (!asks && (await asked)?.watching) {
      const answer = (await part("lab-watching.js")).answered(method, path);
      if (answer) return answer;
    }
    return real.call(this, resource, options);
  };

  /** JupyterLab's own copy of one of its packages. */
  async function shared(name) {
    const found = Object.values(scope[name] ?? {});
    const core = found.find(({ from }) => from?.startsWith("@jupyterlab/")) ?? found[0];
    if (!core) throw new Error(`JupyterLab does not share ${name}`);
    return (await core.get())();
  }

  async function get() {
    const word = await asked;
    const parts = word ? await Promise.all(["lab-people.js", "lab-watching.js", "lab-unshown.js"].map(part)) : [];
    const plugins = await Promise.all(parts.map(({ plugin }) => plugin(word, shared)));
    return () => ({ __esModule: true, default: plugins });
  }

  globalThis._JUPYTERLAB = globalThis._JUPYTERLAB ?? {};
  globalThis._JUPYTERLAB.visa = { init: (given) => void (scope = given), get };
})();
