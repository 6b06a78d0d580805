"""What h5web gets of a file is what h5py reads of it, or a sentence: types, byte orders, filters, texts."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tests.conftest import REPOSITORY
from tests.session import rig

CASES = REPOSITORY.parent / "shared" / "cases" / "hdf5"


@dataclass
class Reader:
    """The environment's own reader, asked as the server extension asks it."""

    folder: Path
    process: subprocess.Popen[bytes]

    def ask(self, what: str, file: str = "x.h5", path: str = "/d", **given: str) -> tuple[int, bytes]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        question = {"what": what, "given": {"file": file, "path": path, **given}, "owner": True}
        self.process.stdin.write(json.dumps(question).encode() + b"\n")
        self.process.stdin.flush()
        head = json.loads(self.process.stdout.readline())
        if "sentence" in head:
            return head["status"], head["sentence"].encode()
        return 200, self.process.stdout.read(head["size"])

    def json(self, what: str, path: str = "/d", **given: str) -> Any:
        status, body = self.ask(what, path=path, **given)
        assert status == 200, body
        return json.loads(body)

    def shown(self) -> np.ndarray[Any, Any]:
        """The data set's numbers as h5web reads them: by the type that it was told, little-endian."""
        told = self.json("meta")
        kind, size = told["type"], told["type"]["size"]
        base = kind if kind["class"] in (0, 1) else kind["base"]
        letter = "f" if base["class"] == 1 else ("i" if base["sign"] else "u")
        safe = {"dtype": "safe"} if size > 8 else {}
        status, body = self.ask("data", format="bin", **safe)
        assert status == 200, body
        return np.frombuffer(body, f"<{letter}{min(size, 8)}").reshape(told["shape"])


@pytest.fixture(scope="module")
def reader() -> Iterator[Reader]:
    with tempfile.TemporaryDirectory() as folder:
        command = [rig.ENVIRONMENT / "bin" / "python", rig.FILES / "hdf5_reader.py", folder]
        variables = {name: value for name, value in os.environ.items() if name != "HDF5_PLUGIN_PATH"}
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=variables)
        yield Reader(Path(folder), process)
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(60) == 0


NUMBERS = st.one_of(
    arrays.integer_dtypes(endianness="?"),
    arrays.unsigned_integer_dtypes(endianness="?"),
    arrays.floating_dtypes(endianness="?"),
)


@given(st.data())
def test_numbers_of_all_types_and_byte_orders_are_what_h5py_reads(reader: Reader, data: st.DataObject) -> None:
    dtype = data.draw(NUMBERS)
    values = data.draw(arrays.arrays(dtype, arrays.array_shapes(min_dims=0, max_dims=3, max_side=5)))
    with h5py.File(reader.folder / "x.h5", "w") as file:
        file["d"] = values
        wanted = file["d"][()]
    np.testing.assert_array_equal(reader.shown(), wanted)


@pytest.mark.parametrize("order", "<>")
def test_numbers_in_forms_of_their_own(reader: Reader, order: str) -> None:
    """Enumerations, truth values, and floats that no computer has: bfloat16, 24 bits."""
    made = h5py.enum_dtype({"RED": 0, "BLUE": 300}, basetype=f"{order}i2")
    half = (h5py.h5t.IEEE_F32LE if order == "<" else h5py.h5t.IEEE_F32BE).copy()
    half.set_fields(15, 7, 8, 0, 7)
    half.set_size(2)
    half.set_ebias(127)
    with h5py.File(reader.folder / "x.h5", "w") as file:
        for name, values in (("enum", np.array([0, 300], made)), ("bool", np.array([True, False]))):
            file.create_dataset(name, data=values, dtype=values.dtype)
        space = h5py.h5s.create_simple((2,))
        h5py.h5d.create(file.id, b"half", half, space).write(space, space, np.array([1.5, -2.0], "f4"))
    for name, wanted in (("enum", [0, 300]), ("bool", [1, 0]), ("half", [1.5, -2.0])):
        with h5py.File(reader.folder / "x.h5", "r+") as file:
            file.pop("d", None)
            file["d"] = file[name]
        assert reader.shown().tolist() == wanted, name


def test_a_straight_line_is_one(reader: Reader) -> None:
    with h5py.File(reader.folder / "x.h5", "w") as file:
        file["d"] = np.arange(10, dtype=">f4")
        file["d"].attrs["first"] = np.array([1, 2], ">i4")
    assert reader.shown().tolist() == list(range(10))
    assert reader.json("data", flatten="true") == list(range(10))
    assert reader.json("attr") == {"first": [1, 2]}


def test_compressed_by_each_filter_virtual_and_external(reader: Reader) -> None:
    hdf5plugin = pytest.importorskip("hdf5plugin")
    filters = [hdf5plugin.Bitshuffle(), hdf5plugin.Blosc(), hdf5plugin.Blosc2(), hdf5plugin.BZip2(), hdf5plugin.LZ4()]
    filters += [hdf5plugin.Zstd(), hdf5plugin.FciDecomp(), hdf5plugin.Zfp(reversible=True), hdf5plugin.SZ3(absolute=0)]
    wanted = np.arange(400, dtype="<i4").reshape(20, 20)
    for one in filters:
        lossy = "SZ" in type(one).__name__ or "Zfp" in type(one).__name__
        with h5py.File(reader.folder / "x.h5", "w") as file:
            given = wanted.astype("f4") if lossy else wanted.astype("u2") if "Fci" in type(one).__name__ else wanted
            file.create_dataset("d", data=given, chunks=(20, 20), compression=one)
            read = file["d"][()]
        np.testing.assert_array_equal(reader.shown(), read, str(type(one)))
    with h5py.File(reader.folder / "source.h5", "w") as file:
        file["s"] = wanted.astype(">i4")
    layout = h5py.VirtualLayout((20, 20), ">i4")
    layout[:] = h5py.VirtualSource(str(reader.folder / "source.h5"), "s", (20, 20))
    with h5py.File(reader.folder / "x.h5", "w") as file:
        file.create_virtual_dataset("d", layout)
    assert reader.shown().tolist() == wanted.tolist()
    wanted.astype(">i4").tofile(reader.folder / "raw")
    with h5py.File(reader.folder / "x.h5", "w") as file:
        file.create_dataset("d", (20, 20), ">i4", external=[(str(reader.folder / "raw"), 0, 1600)])
    assert reader.shown().tolist() == wanted.tolist()


def test_a_filter_that_is_not_there_is_named(reader: Reader) -> None:
    with h5py.File(reader.folder / "x.h5", "w") as file:
        made = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        made.set_chunk((4,))
        made.set_filter(31_999, h5py.h5z.FLAG_OPTIONAL, ())
        h5py.h5d.create(file.id, b"d", h5py.h5t.STD_I32LE, h5py.h5s.create_simple((4,)), made)
    status, sentence = reader.ask("data", format="bin")
    assert status == 422
    assert b"31999" in sentence
    assert b"filter" in sentence


def test_what_is_empty_or_no_number_gives_no_bytes_of_memory(reader: Reader) -> None:
    with h5py.File(reader.folder / "x.h5", "w") as file:
        file["d"] = h5py.Empty(">f8")
        file["texts"] = ["a", "b"]
        file["group/below"] = 1
        file["none"] = np.zeros((0, 3))
    assert reader.json("data") is None
    for path, words in (("/d", b"empty"), ("/texts", b"JSON"), ("/group", b"no dataset")):
        status, sentence = reader.ask("data", path=path, format="bin")
        assert (status, words in sentence) == (422, True), sentence
    assert reader.ask("data", path="/none", format="bin") == (200, b"")
    for format in ("npy", "csv", "tiff", "nonsense"):
        assert 400 <= reader.ask("data", format=format)[0] < 500


def test_texts_of_other_codings_are_marked_and_hide_nothing(reader: Reader) -> None:
    with h5py.File(reader.folder / "x.h5", "w") as file:
        file["d"] = np.array([b"caf\xe9", b"tea"])
        file["d"].attrs["units"] = np.bytes_(b"\xb0C")
        file["d"].attrs["many"] = np.array([b"\xc5", b"mm"])
        file["d"].attrs["good"] = "Å"
        file["d"].attrs["none"] = h5py.Empty("f4")
        kind = h5py.h5t.C_S1.copy()
        kind.set_size(2)
        kind.set_cset(h5py.h5t.CSET_UTF8)
        space = h5py.h5s.create(h5py.h5s.SCALAR)
        h5py.h5a.create(file["d"].id, b"said", kind, space).write(np.array(b"\xb5m", "S2"), mtype=kind)
    told = reader.json("attr")
    assert told == {"units": "\ufffdC", "many": ["\ufffd", "mm"], "good": "Å", "none": None, "said": "\ufffdm"}
    assert reader.json("data", flatten="true") == ["caf\ufffd", "tea"]


@pytest.mark.parametrize("selection", ["7", ":,:,:", "a", "1:2:0", "0:1:-1", "99", ",,", "1.5", "..."])
def test_selections_that_mean_nothing(reader: Reader, selection: str) -> None:
    with h5py.File(reader.folder / "x.h5", "w") as file:
        file["d"] = np.arange(6).reshape(2, 3)
    status, sentence = reader.ask("data", selection=selection)
    assert 400 <= status < 500
    assert sentence


def test_files_that_are_none(reader: Reader) -> None:
    (reader.folder / "text.h5").write_text("no HDF5 at all")
    with h5py.File(reader.folder / "whole.h5", "w") as file:
        file["d"] = np.arange(10_000)
    (reader.folder / "torn.h5").write_bytes((reader.folder / "whole.h5").read_bytes()[:3000])
    for file_name in ("text.h5", "torn.h5", "nowhere.h5", ".", "a\0b"):
        for what in ("meta", "data", "attr", "paths"):
            status, sentence = reader.ask(what, file=file_name)
            assert 400 <= status < 500, (file_name, what, status)
            assert sentence
