"""HDF5 files in h5web: loaded with the first question; for others than the owner what is in the file itself.

HDF5 for Python is a fifth of Jupyter's start, and many sessions never need it: this server extension stands in the
place of jupyterlab-h5web's until the first question to it.

A file may name other files: external links, virtual datasets, raw data kept elsewhere. HDF5 follows them as the owner,
who may read more than she opened, and anybody of her team may put such a file into an opened folder. So others get
nothing that the file takes from elsewhere.
Runs on the environment's own Python (3.8 and later).
"""

import asyncio
import functools
import importlib.util
import re

from tornado.httputil import HTTPMessageDelegate
from tornado.routing import PathMatches, Router, Rule

MOST_LINKS = 64


def _jupyter_server_extension_points():
    return [{"module": "hdf5"}]


def _load_jupyter_server_extension(server_app):
    if importlib.util.find_spec("jupyterlab_h5web"):
        FirstQuestion(server_app)


class FirstQuestion(Router):
    """Answers for jupyterlab-h5web until it is loaded; what was asked meanwhile waits."""

    def __init__(self, server_app):
        self.app = server_app
        base = re.escape(server_app.web_app.settings["base_url"].rstrip("/"))
        self._rule = Rule(PathMatches(base + r"/h5web/\w+"), self)
        server_app.web_app.default_router.rules.insert(0, self._rule)
        self._loading = None

    def find_handler(self, request, **_matched):
        return _Waiting(self, request)

    async def loaded(self):
        """Once jupyterlab-h5web, or the lack of it, answers."""
        if self._loading is None:
            self._loading = asyncio.ensure_future(self._load())
        await self._loading
        return self.app.web_app

    async def _load(self):
        try:
            await asyncio.get_running_loop().run_in_executor(None, importlib.import_module, "jupyterlab_h5web.handlers")
            keep_to_the_file(self.app.identity_provider.is_owner)
            importlib.import_module("jupyterlab_h5web")._load_jupyter_server_extension(self.app)
        except Exception:
            self.app.log.exception("jupyterlab-h5web cannot be loaded: HDF5 files are not shown")
        finally:
            self.app.web_app.default_router.rules.remove(self._rule)


class _Waiting(HTTPMessageDelegate):
    """A question that goes on to whoever answers then. None of h5web's has a body."""

    def __init__(self, first, request):
        self._first, self._request, self._closed = first, request, False

    def headers_received(self, start_line, headers):
        self._line, self._headers = start_line, headers

    def finish(self):
        self._passed = asyncio.ensure_future(self._pass())

    def on_connection_close(self):
        self._closed = True

    async def _pass(self):
        answering = (await self._first.loaded()).find_handler(self._request)
        if self._closed:
            return
        answering.headers_received(self._line, self._headers)
        answering.finish()


def keep_to_the_file(is_owner):
    """Change jupyterlab-h5web. ``is_owner``: whether a handler answers the instance's owner."""
    import h5grove.content as content
    from h5grove.utils import PathError
    from jupyterlab_h5web import handlers

    kept = []  # not empty while another one than the owner is answered; no answer waits for anything meanwhile

    def guarded(get):
        @functools.wraps(get)
        def answer(handler):
            if is_owner(handler):
                return get(handler)
            kept.append(handler)
            try:
                return get(handler)
            finally:
                kept.pop()

        return answer

    resolve, data = content.get_entity_from_file, content.DatasetContent.data

    def entity(h5file, path, *more, **named):
        if not kept:
            return resolve(h5file, path, *more, **named)
        found = inside(h5file, path)
        if found is None:
            raise PathError(f"{path} is not in this file, or it leads out of it")
        return found

    def own_data(self, *given, **named):
        if kept and foreign(self._h5py_entity):
            raise PathError(f"The data of {self.path} are in other files")
        return data(self, *given, **named)

    content.get_entity_from_file, content.DatasetContent.data = entity, own_data
    for one in (handlers.ContentHandler, handlers.PathsHandler):
        one.get = guarded(one.get)


def foreign(dataset):
    """Whether a dataset's data are, or may be, in other files. A virtual one's source may be a link."""
    return bool(dataset.is_virtual or dataset.external)


def inside(h5file, path):
    """What is at ``path`` when nothing on the way leaves the file; a link that does so at its end; None else."""
    import h5py

    here, parts, links, last = h5file["/"], path.split("/"), 0, None
    while parts:
        part = parts.pop(0)
        if part in ("", "."):
            continue
        link = _link(here, part) if isinstance(here, h5py.Group) else None
        if isinstance(link, h5py.SoftLink) and links < MOST_LINKS:
            last, links = (link if not any(parts) and last is None else last), links + 1
            here, parts = (h5file["/"] if link.path.startswith("/") else here), link.path.split("/") + parts
        elif isinstance(link, h5py.HardLink):
            here = here[part]
        else:
            return last or (link if isinstance(link, h5py.ExternalLink) and not any(parts) else None)
    return here


def _link(group, name):
    try:
        return group.get(name, getlink=True)
    except (KeyError, TypeError):  # TypeError: a kind of link that a program made for itself
        return None
