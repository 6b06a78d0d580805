"""HDF5 files in h5web, for others than the owner: what is in the file itself, and nothing that it takes from others.

A file may name other files: external links, virtual datasets, raw data kept elsewhere. HDF5 follows them as the owner,
who may read more than she opened, and anybody of her team may put such a file into an opened folder.
Runs on the environment's own Python (3.8 and later).
"""

import functools

MOST_LINKS = 64


def keep_to_the_file(is_owner):
    """Change jupyterlab-h5web, where it is there. ``is_owner``: whether a handler answers the instance's owner."""
    try:
        import h5grove.content as content
        from h5grove.utils import PathError
        from jupyterlab_h5web import handlers
    except ImportError:
        return
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
