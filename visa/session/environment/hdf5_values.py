"""What HDF5 files hold, as h5web takes it: numbers in its byte order, text that is text, or words why not.

h5web reads numbers by the type that it was told and always as little-endian; text it takes as UTF-8. Files hold more.
Runs on the environment's own Python (3.8 and later).
"""

import contextlib

import h5py
import numpy as np
from h5grove import utils

with contextlib.suppress(ImportError):
    import hdf5plugin  # noqa: F401 (brings its filters)


class Unfit(Exception):
    """It cannot be shown; the sentence says why."""


def for_bytes(found):
    """An array of numbers whose bytes h5web reads rightly; raise `Unfit` for what has none of its own."""
    if isinstance(found, h5py.Empty) or found is None:
        raise Unfit("This dataset is empty: it has a type and no data.")
    array = np.asarray(found)
    if array.dtype.hasobject:
        # Their bytes would be addresses in this process.
        raise Unfit("Texts, lists and references have no fixed number of bytes; ask for them as JSON.")
    return np.ascontiguousarray(array.astype(array.dtype.newbyteorder("<"), copy=False)).reshape(array.shape)


def for_json(found):
    """The same with text in place of bytes, whatever it is coded in: what is not UTF-8 is marked by U+FFFD."""
    if isinstance(found, dict):
        return {for_json(key): for_json(value) for key, value in found.items()}
    if isinstance(found, (list, tuple)):
        return [for_json(one) for one in found]
    if isinstance(found, bytes):
        return found.decode("utf-8", "replace")
    if isinstance(found, str):
        return found.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    if isinstance(found, h5py.Empty):
        return None
    if isinstance(found, np.void) and found.dtype.names is None:
        return list(found.tobytes())
    if isinstance(found, (np.ndarray, np.generic)):
        if found.dtype.kind in "SUOV":
            return for_json(found.tolist())
        return found.astype(found.dtype.newbyteorder("="), copy=False)
    return found


def attributes(entity):
    """All of them: one whose type or text is odd does not hide the others."""
    told = {}
    for name in entity.attrs.keys():  # noqa: SIM118 (as h5py lists them)
        try:
            told[name] = entity.attrs[name]
        except (UnicodeDecodeError, OSError, TypeError, ValueError) as error:
            told[name] = _raw(entity, name, error)
    return told


def _raw(entity, name, error):
    """The bytes of a text that h5py does not read, or words."""
    with contextlib.suppress(Exception):
        found = entity.attrs.get_id(name)
        if isinstance(found.get_type(), h5py.h5t.TypeStringID) and not found.get_type().is_variable_str():
            array = np.empty(found.shape, f"S{found.get_type().get_size()}")
            found.read(array)
            return array if array.shape else array[()]
    return f"(cannot be read: {error})"


def check_filters(dataset):
    """Raise `Unfit` with the names of the filters that reading needs and that are not here."""
    made = dataset.id.get_create_plist()
    found = [made.get_filter(at) for at in range(made.get_nfilters())]
    missing = [f"{_text(name) or 'without a name'} ({number})" for number, _, _, name in found if not _there(number)]
    if missing:
        raise Unfit(
            f"These data are compressed with a filter that this environment lacks: {', '.join(missing)}. "
            "Whoever looks after the environment can add hdf5plugin, or the filter itself (HDF5_PLUGIN_PATH)."
        )


def _there(number):
    try:
        return bool(h5py.h5z.filter_avail(number))
    except (RuntimeError, OSError, ValueError):
        return False


def _text(name):
    return name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name)


def tell_true_types():
    """Change h5grove: a number's size is that of what is sent, where HDF5 keeps it in a form of its own."""
    told = utils.get_type_metadata

    def metadata(type_id):
        about = told(type_id)
        if isinstance(type_id, (h5py.h5t.TypeFloatID, h5py.h5t.TypeIntegerID)):
            about["size"] = type_id.dtype.itemsize
        return about

    utils.get_type_metadata = metadata
    for module in (utils, __import__("h5grove.content", fromlist=["content"])):
        module.get_type_metadata = metadata
