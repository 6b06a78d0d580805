// What the page of somebody who only watches leaves out. The gateway refuses it all the same, and counts alone; this
// keeps the page quiet and honest: nothing is offered that would be refused, and nothing is tried by itself.

const FAMILIES = /^(console|debugger|terminal|completer|kernelmenu|runmenu|running|workspace-ui|hub|extensionmanager|collaboration):/;
/** Of those families, and of ids that have a word of `ACTS`, what changes nothing here. */
const HARMLESS =
  /:(open|show-panel|show-modal|copy|get-kernel|.*-font|refresh)$|^(application|apputils|mainmenu|tabsmenu|viewmenu|help|sidebar|logconsole|documentsearch):|^notebook:move-cursor-|^docmanager:clear-recents$/;
const OPENS = /^(console|debugger|terminal|runmenu:open$|workspace-ui|collaboration|kernelmenu:open$)/;
const ACTS = new Set(
  (
    "change clear create cut delete duplicate execute import inject insert install interrupt invoke kill launch merge move new paste " +
    "redo rename replace restart restore revert run save shut shutdown split trust undo untitled upload autosave"
  ).split(" "),
);

/** Whether a command of JupyterLab, or of an extension, would change something. */
export function acts(id) {
  if (/^(runmenu|kernelmenu):open$/.test(id)) return false;
  if (FAMILIES.test(id)) return OPENS.test(id) ? !/:(copy|show-panel|get-kernel|.*-font)$/.test(id) : !HARMLESS.test(id);
  return !HARMLESS.test(id) && id.split(/[:-]/).some((word) => ACTS.has(word));
}

const json = (status, value) => new Response(value === null ? null : JSON.stringify(value), { status, headers: { "Content-Type": "application/json" } });

/** What an observer's page answers itself instead of asking; undefined when it asks. */
export function answered(method, path) {
  const reads = method === "GET" || method === "HEAD";
  if (/^lab\/api\/workspaces(\/|$)/.test(path)) {
    // A layout of one's own, for as long as the page is open: the one that is kept is the owner's.
    const id = decodeURIComponent(path.split("/")[3] ?? "");
    if (!reads) return json(204, null);
    return json(200, id ? { data: {}, metadata: { id } } : { workspaces: { ids: [], values: [] } });
  }
  if (reads) return undefined;
  if (/^(lab\/api\/settings|api\/events)(\/|$)/.test(path)) return json(204, null);
  if (/^api\/(contents|sessions|kernels|terminals)(\/|$)/.test(path)) return json(403, { message: "You are watching: this is not yours to change." });
  return undefined;
}

function commands(app, word, tell) {
  const { isEnabled, execute } = app.commands;
  app.commands.isEnabled = function (id, given) {
    return !(word.watching && acts(id)) && isEnabled.call(this, id, given);
  };
  app.commands.execute = function (id, given) {
    if (!word.watching || !acts(id)) return execute.call(this, id, given);
    tell();
    return Promise.resolve(undefined);
  };
}

/** Kernels neither start nor end; one that runs is joined, also when it starts later. */
function kernels(app, word, { SessionContext, SessionContextDialogs }, tracker) {
  const own = SessionContext.prototype;
  const { initialize } = own;
  own.initialize = function () {
    if (word.watching) this.kernelPreference = { ...this.kernelPreference, shouldStart: false };
    return initialize.call(this);
  };
  // Widgets take for granted that there is a kernel then, and would not come again when one starts.
  const { get } = Object.getOwnPropertyDescriptor(own, "ready");
  const come = (context) => context.session ?? new Promise((done) => context.sessionChanged.connect(() => context.session && done()));
  Object.defineProperty(own, "ready", {
    configurable: true,
    get() {
      const ready = get.call(this);
      return word.watching ? ready.then(() => come(this)).then(() => undefined) : ready;
    },
  });
  const without = (prototype, name, value) => {
    const real = prototype?.[name];
    if (!real) return;
    prototype[name] = function (...given) {
      return word.watching ? Promise.resolve(value) : real.apply(this, given);
    };
  };
  for (const [name, value] of [["startKernel", false], ["restartKernel", undefined], ["changeKernel", null], ["shutdown", undefined]]) without(own, name, value);
  for (const [name, value] of [["selectKernel", undefined], ["restart", false]]) without(SessionContextDialogs?.prototype, name, value);
  app.serviceManager.sessions.runningChanged.connect((_, running) => {
    if (!word.watching) return;
    const paths = new Set(running.map(({ path }) => path));
    tracker?.forEach(({ sessionContext }) => {
      if (!sessionContext.session && paths.has(sessionContext.path)) sessionContext._initialize?.().catch(() => {});
    });
  });
}

const random = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");

/** Widgets are seen as they stand. The question for that goes by a comm, whose name must be nobody else's. */
function widgets(app, word, tell) {
  const { kernels } = app.serviceManager;
  const connect = kernels.connectTo;
  kernels.connectTo = function (...given) {
    const kernel = connect.apply(this, given);
    const create = kernel.createComm;
    kernel.createComm = function (target, id, ...more) {
      const own = word.watching && target === "jupyter.widget.control";
      return create.call(this, target, own ? `visa-watching-${random()}` : id, ...more);
    };
    return kernel;
  };
  // What scrolls the page, copies or leaves is the browser's own, and its alone: widgets do not hear of it. Controls would
  // move of themselves.
  const controls = "input, select, textarea, button, [contenteditable], [role=slider], .noUi-target, .slider";
  const scrolls = /^(Page(Up|Down)|Arrow(Up|Down|Left|Right)|Home|End|Escape|Control|Meta)$/;
  const harmless = (event) =>
    !event.target.closest(controls) &&
    (/^(wheel|touchstart|pointerdown|mousedown)$/.test(event.type) || (event.type === "keydown" && (event.ctrlKey || event.metaKey || scrolls.test(event.key))));
  // Moved here they would stand otherwise than for everybody else, and the kernel would not hear of it.
  const moves = ["pointerdown", "mousedown", "touchstart", "click", "dblclick", "wheel", "keydown", "beforeinput", "input", "change"];
  for (const kind of moves) {
    const stop = (event) => {
      if (!word.watching || event.key === "Tab" || !event.target.closest?.(".jupyter-widgets, .widget-subarea")) return;
      event.stopImmediatePropagation();
      const own = harmless(event);
      if (!own) event.preventDefault();
      if (kind === "pointerdown" || (kind === "keydown" && !own)) tell();
    };
    document.addEventListener(kind, stop, { capture: true, passive: false });
  }
}

/** Editors take no keys; what others type still arrives. */
function editors(word, registry, { EditorExtensionRegistry }, { EditorState, StateField }) {
  const field = StateField.define({ create: () => word.watching, update: () => word.watching });
  const readOnly = [field, EditorState.readOnly.compute([field], (state) => state.field(field))];
  // A role that has just become weaker counts for the next key already.
  const filter = EditorState.transactionFilter.of((one) => (word.watching && one.docChanged && ["input", "delete", "move", "undo", "redo"].some((kind) => one.isUserEvent(kind)) ? [] : one));
  registry.addExtension({ name: "visa-watching", factory: () => EditorExtensionRegistry.createImmutableExtension([...readOnly, filter]) });
}

/** What is dropped would be uploaded, or cells moved. */
function drops(word) {
  for (const kind of ["drop", "lm-drop", "dragover", "lm-dragenter"]) {
    const stop = (event) => {
      if (!word.watching || !event.target.closest?.(".jp-DirListing, .jp-Notebook, .jp-FileBrowser")) return;
      event.preventDefault();
      event.stopImmediatePropagation();
    };
    document.addEventListener(kind, stop, { capture: true });
  }
}

export async function plugin(word, shared) {
  const wanted = ["apputils", "codemirror", "docmanager", "notebook"].map((name) => shared(`@jupyterlab/${name}`));
  const [apputils, codemirror, { IDocumentManager }, { INotebookTracker }, state] = await Promise.all([...wanted, shared("@codemirror/state")]);
  return {
    id: "visa:watching",
    description: "What who only watches cannot do is not offered.",
    autoStart: true,
    optional: [codemirror.IEditorExtensionRegistry, IDocumentManager, INotebookTracker],
    activate: (app, registry, documents, tracker) => {
      let told = "";
      const tell = () => {
        apputils.Notification.dismiss(told);
        told = apputils.Notification.info("You are watching: this is not yours to change.", { autoClose: 4000 });
      };
      commands(app, word, tell);
      kernels(app, word, apputils, tracker);
      widgets(app, word, tell);
      if (registry) editors(word, registry, codemirror, state);
      drops(word);
      const quiet = () => {
        if (documents && word.watching) documents.autosave = false;
        app.commands.notifyCommandChanged();
      };
      word.addEventListener("change", quiet);
      app.restored.then(quiet);
    },
  };
}
