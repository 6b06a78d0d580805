"""Reads HDF5 files for h5web: a question a line, within bounds; others than the owner get what is in the file itself.

A file may name other files: external links, virtual datasets, raw data kept elsewhere. HDF5 follows them as the owner,
who may read more than she opened, and anybody of her team may put such a file into an opened folder. So others get
nothing that the file takes from elsewhere.

Memory is this process' own: it may have so much and no more, and when the instance's is full it goes before a kernel.
Runs on the environment's own Python (3.8 and later).
"""

import contextlib
import json
import os
import pathlib
import resource
import sys
import traceback

import h5grove.content as content
import h5py
import hdf5_values as values
from h5grove.encoders import encode
from h5grove.utils import PathError, parse_bool_arg, parse_slice

MOST_LINKS = 64
PIECE = int(os.environ.get("VISA_PIECE", "") or 2**26)
"""Bytes that are read of a file at once; an answer may have four times as many, because text is longer."""
OBJECT = 64
"""Bytes of a small object of Python's."""
ROOM = 6 * PIECE + 2**26
"""Memory beyond what a reader has that has read nothing."""


class Problem(Exception):
    """The question is answered with a sentence."""

    def __init__(self, status, sentence):
        super().__init__(sentence)
        self.status, self.sentence = status, sentence


def bytes_of(dataset, selection):
    """How many bytes a selection of a dataset takes; of texts and lists it is not known how long they are."""
    shape = dataset.shape
    if shape is None:
        return 0
    parts, count = (parse_slice(selection) if selection else ()), 1
    for at, length in enumerate(shape):
        part = parts[at] if at < len(parts) else slice(None)
        count *= len(range(*part.indices(length))) if isinstance(part, slice) else 1
    return count * (OBJECT if dataset.dtype.hasobject else dataset.dtype.itemsize)


def written(count):
    """A number of bytes for people."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000:
            break
        count, unit = count / 1000, {"bytes": "kB", "kB": "MB", "MB": "GB", "GB": "TB"}[unit]
    return f"{count:.3g} {unit}"


def check(size):
    """Raise `Problem` when it is more than one piece."""
    if size > PIECE:
        raise Problem(
            413,
            f"This is {written(size)} at once; the viewer reads at most {written(PIECE)}. "
            "Choose a part of it, or read it in a notebook.",
        )


def answer(folder, question, kept):
    """h5grove's answer to one question; ``kept`` is not empty while it is another one than the owner's."""
    given = question["given"]
    if not given.get("file"):
        raise Problem(400, "The question names no file.")
    path = os.path.join(folder, given["file"])
    kept[:] = [] if question["owner"] else [True]
    options = {"swmr": True, "locking": False} if _locking() else {"swmr": True}
    get = content.get_list_of_paths if question["what"] == "paths" else content.get_content_from_file
    with get(pathlib.Path(path), given.get("path"), Problem, h5py_options=options) as found:
        told = found if question["what"] == "paths" else _of(question["what"], found, given)
        form = given.get("format") or "json"
        made = encode(values.for_json(told) if form == "json" else values.for_bytes(told), form)
    if len(made.content) > 4 * PIECE:
        check(len(made.content))
    return made


def _of(what, found, given):
    if what == "meta":
        return found.metadata()
    if what == "attr":
        if not isinstance(found, content.ResolvedEntityContent):
            raise Problem(422, "A link that leads nowhere has no attributes.")
        return values.attributes(found._h5py_entity)
    if not isinstance(found, content.DatasetContent):
        raise Problem(422, "This is no dataset, so it has no data.")
    check(bytes_of(found._h5py_entity, given.get("selection")))
    values.check_filters(found._h5py_entity)
    return found.data(given.get("selection"), parse_bool_arg(given.get("flatten"), fallback=False), given.get("dtype"))


def _locking():
    version = h5py.version.hdf5_version_tuple
    return version >= (1, 12, 1) or (version[:2] == (1, 10) and version[2] >= 7)


def keep_to_the_file(kept):
    """Change h5grove: while ``kept`` is not empty, nothing comes from other files."""
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


def foreign(dataset):
    """Whether a dataset's data are, or may be, in other files. A virtual one's source may be a link."""
    return bool(dataset.is_virtual or dataset.external)


def inside(h5file, path):
    """What is at ``path`` when nothing on the way leaves the file; a link that does so at its end; None else."""
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


def bound_memory():
    """To so much more than this process has now."""
    with contextlib.suppress(OSError, ValueError), open("/proc/self/oom_score_adj", "w") as file:
        file.write("1000")
    with contextlib.suppress(OSError, ValueError), open("/proc/self/status") as status:
        (has,) = [int(line.split()[1]) * 1024 for line in status if line.startswith("VmData:")]
        resource.setrlimit(resource.RLIMIT_DATA, (has + ROOM, has + ROOM))


def said(error):
    """What went wrong, as ``(status, sentence)``."""
    if isinstance(error, Problem):
        return error.status, error.sentence
    if isinstance(error, values.Unfit):
        return 422, str(error)
    # HDF5 says in many words that it got no memory.
    if isinstance(error, MemoryError) or "allocat" in str(error):
        more = "Choose a part of it, or read it in a notebook."
        return 413, f"Reading this takes more memory than the viewer has. {more}"
    traceback.print_exception(type(error), error, error.__traceback__)
    return 422, f"This cannot be read: {str(error)[:300] or type(error).__name__}"


def main():
    """Until nobody asks any more."""
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what libraries print is no answer
    kept = []
    keep_to_the_file(kept)
    values.tell_true_types()
    bound_memory()
    for line in sys.stdin.buffer:
        try:
            made = answer(sys.argv[1], json.loads(line), kept)
            head = {"headers": made.headers, "size": len(made.content)}
            body = made.content
        except Exception as error:
            status, sentence = said(error)
            head, body = {"status": status, "sentence": sentence}, b""
        out.write(json.dumps(head).encode() + b"\n")
        out.write(body)
        out.flush()
        made = body = None


if __name__ == "__main__":
    main()
