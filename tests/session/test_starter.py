"""The starter notebook on files of all kinds: it draws what h5py reads, or says why not; it never fails."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import nbformat
import numpy as np
import pytest

from tests.conftest import REPOSITORY

NOTEBOOK = REPOSITORY / "environments" / "scattering" / "starter.ipynb"
TOLD = """
import json
drawn = None
if figure is not None:
    ax = figure.axes[0]
    read = ax.lines[0].get_ydata() if ax.lines else ax.images[0].get_array()
    drawn = np.ma.filled(np.ma.masked_invalid(np.asarray(read, "float64")), -1).tolist()
    label = ax.get_ylabel() if ax.lines else figure.axes[1].get_ylabel()
    x = ax.lines[0].get_xdata().tolist() if ax.lines else None
    drawn = {"values": drawn, "label": label, "x": x}
print("TOLD" + json.dumps(drawn))
"""


def run(prefix: Path, folder: Path) -> tuple[str, Any]:
    """What it printed, and what it drew."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    code = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
    code = f"import matplotlib; matplotlib.use('Agg')\n{code}\n{TOLD}"
    (folder / "e1").mkdir(exist_ok=True)
    variables = {"VISA_EXPERIMENTS": "e1", "VISA_DATA": str(folder), "HOME": str(folder), "PATH": os.environ["PATH"]}
    variables |= {"HDF5_PLUGIN_PATH": str(next(prefix.glob("lib/python3*/site-packages/hdf5plugin/plugins")))}
    done = subprocess.run(
        [prefix / "bin" / "python", "-c", code], env=variables, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    said, _, told = done.stdout.partition("TOLD")
    return said, json.loads(told)


def new_nexus(file: h5py.File) -> None:
    file.attrs["default"] = "entry"
    data = file.create_group("entry/data")
    file["entry"].attrs["default"] = "data"
    data.attrs.update({"NX_class": "NXdata", "signal": "y", "axes": ["x"]})
    data["y"], data["x"] = np.arange(5, dtype=">f4"), np.arange(5, dtype=">f8") * 2
    data["y"].attrs["units"] = np.bytes_(b"\xb0C")


def old_nexus(file: h5py.File) -> None:
    data = file.create_group("entry/data")
    data.attrs["NX_class"] = "NXdata"
    data["counts"], data["tof"] = np.arange(5, dtype=">i2"), np.arange(6) * 2.0 - 1
    data["counts"].attrs["signal"] = 1
    data["counts"].attrs["axes"] = "tof"


def oldest_nexus(file: h5py.File) -> None:
    data = file.create_group("entry/data")
    data["counts"], data["x"] = np.arange(5), np.arange(5) * 2.0
    data["counts"].attrs["signal"], data["x"].attrs["axis"] = "1", 1


def plain(file: h5py.File) -> None:
    file["title"] = "a"
    file["numbers"] = np.arange(5, dtype="<u1")


@pytest.mark.parametrize(
    ("make", "label", "x"),
    [
        (new_nexus, "y [\ufffdC]", [0, 2, 4, 6, 8]),
        (old_nexus, "counts", [0, 2, 4, 6, 8]),
        (oldest_nexus, "counts", [0, 2, 4, 6, 8]),
        (plain, "numbers", [0, 1, 2, 3, 4]),
    ],
)
def test_a_curve(
    environment_prefix: Path, tmp_path: Path, make: Callable[[h5py.File], None], label: str, x: list[float]
) -> None:
    (tmp_path / "e1").mkdir()
    with h5py.File(tmp_path / "e1/a.nxs", "w") as file:
        make(file)
    _, told = run(environment_prefix, tmp_path)
    assert told == {"values": [0, 1, 2, 3, 4], "label": label, "x": x}


@pytest.mark.parametrize("dtype", [">f8", "<f2", ">i4", "u1", "?", ">c16"])
def test_a_picture_is_what_is_in_the_file(environment_prefix: Path, tmp_path: Path, dtype: str) -> None:
    hdf5plugin = pytest.importorskip("hdf5plugin")
    values = (np.arange(12).reshape(3, 4) - (5 if "f" in dtype else 0)).astype(dtype)
    (tmp_path / "e1").mkdir()
    with h5py.File(tmp_path / "e1/a.h5", "w") as file:
        file.create_dataset("frames", data=values[None], chunks=(1, 3, 4), compression=hdf5plugin.Bitshuffle())
        wanted = np.abs(file["frames"][0]) if "c" in dtype else file["frames"][0].astype("f8")
    _, told = run(environment_prefix, tmp_path)
    assert told["values"] == wanted.tolist()


def nothing(file: h5py.File) -> None:
    file["scalar"], file["text"], file["none"] = 1, "a", h5py.Empty("f4")
    file["zero"] = np.zeros((0, 3))
    file["broken"] = h5py.SoftLink("/nowhere")
    file.attrs["default"] = "/"
    file.create_group("data").attrs.update({"NX_class": "NXdata", "signal": "nowhere"})


def test_what_cannot_be_drawn_is_said(environment_prefix: Path, tmp_path: Path) -> None:
    said, told = run(environment_prefix, tmp_path)
    assert ("There is no HDF5 or NeXus file yet" in said, told) == (True, None)
    with h5py.File(tmp_path / "e1/a.h5", "w") as file:
        nothing(file)
    said, told = run(environment_prefix, tmp_path)
    assert ("has no numbers that can be drawn" in said, told) == (True, None)
    (tmp_path / "e1/a.h5").write_text("no HDF5")
    said, told = run(environment_prefix, tmp_path)
    assert ("cannot be read" in said, told) == (True, None)
    with h5py.File(tmp_path / "e1/a.h5", "w") as file:
        file.create_dataset("events", (10**9,), "u4", chunks=(2**16,))
    _, told = run(environment_prefix, tmp_path)
    assert len(told["values"]) == 10**6, "a part of it"
