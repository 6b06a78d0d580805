"""The demo's facility and its data: as promised, NeXus as it should be, and the same every time."""

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin  # noqa: F401 (registers filters)
import nbformat
import numpy as np
import pytest

from tests.conftest import REPOSITORY
from visa.catalogue.file import load_problems, read
from visa.catalogue.left_out import LeftOut
from visa.cli.demo.facility.people import PEOPLE, Run, catalogue
from visa.cli.demo.facility.write import write_data, write_facility
from visa.facility.load import load


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory, environment_prefix: Path) -> tuple[Path, list[Run]]:
    folder = tmp_path_factory.mktemp("data")
    runs = write_facility(folder, environment_prefix)
    write_data(folder, environment_prefix / "bin" / "python", runs)
    return folder, runs


def files(folder: Path, run: Run) -> list[Path]:
    path = folder / "data" / "raw" / run.instrument / str(run.year) / run.proposal / run.experiment
    return sorted(path.glob("*.nxs"))


def text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def test_as_many_as_promised(demo: tuple[Path, list[Run]]) -> None:
    folder, runs = demo
    assert load_problems(folder / "catalogue.yaml") == ([], [])
    snapshot = read(folder / "catalogue.yaml", LeftOut())
    counts = [len(x.values) for x in (snapshot.instruments, snapshot.people, snapshot.proposals, snapshot.experiments)]
    assert counts == [3, 6, 12, 40]
    assert {p["username"] for p in PEOPLE} == {"marie", "lise", "rosalind", "dorothy", "bertram", "grace"}
    facility = load(folder / "facility.yaml")
    assert len(facility.flavours) == 3
    assert {run.kind for run in runs} == {"sans", "powder", "tomography"}
    assert any(e.doi for e in snapshot.experiments.values.values())
    assert any(e.release is None for e in snapshot.experiments.values.values())


def test_the_same_seed_gives_the_same(demo: tuple[Path, list[Run]], tmp_path: Path, environment_prefix: Path) -> None:
    folder, runs = demo
    assert catalogue(2026)[1] == runs
    few = [next(run for run in runs if run.kind == kind and not run.large) for kind in ("sans", "powder", "tomography")]
    write_data(tmp_path, environment_prefix / "bin" / "python", few)
    for run in few:
        for one, other in zip(files(folder, run), files(tmp_path, run), strict=True):
            with h5py.File(one) as first, h5py.File(other) as second:
                assert digest(first) == digest(second)


def digest(file: Any) -> str:
    found = hashlib.sha256()

    def add(name: str, item: Any) -> None:
        found.update(name.encode())
        found.update(repr(sorted((k, text(v)) for k, v in item.attrs.items())).encode())
        if isinstance(item, h5py.Dataset):
            found.update(np.asarray(item[()]).tobytes() if item.dtype.kind != "O" else text(item[()]).encode())

    file.visititems(add)
    return found.hexdigest()


def test_every_file_is_nexus_with_a_default_plot(demo: tuple[Path, list[Run]]) -> None:
    folder, runs = demo
    for run in runs:
        found = files(folder, run)
        assert found, run.experiment
        with h5py.File(found[0]) as file:
            entry = file[file.attrs["default"]]
            assert text(entry.attrs["NX_class"]) == "NXentry"
            assert text(entry["experiment_identifier"][()]) == run.experiment
            data = entry[entry.attrs["default"]]
            assert text(data.attrs["NX_class"]) == "NXdata"
            signal = data[data.attrs["signal"]]
            assert signal.attrs["units"] == "counts"
            assert signal.compression == "gzip"
            axes = [text(axis) for axis in data.attrs["axes"]]
            assert len(axes) == signal.ndim
            for number, axis in enumerate(axes):
                if axis != ".":
                    assert data[axis].shape == (signal.shape[number],)
                    assert data[axis].attrs["units"]
            classes = {text(item.attrs["NX_class"]) for item in entry.values() if "NX_class" in item.attrs}
            assert {"NXinstrument", "NXsample", "NXdata"} <= classes


def test_some_are_gigabytes_that_take_little_space(demo: tuple[Path, list[Run]]) -> None:
    folder, runs = demo
    large = [run for run in runs if run.large]
    assert large
    for run in large:
        (path,) = files(folder, run)
        with h5py.File(path) as file:
            stack = file["entry/instrument/detector/data"]
            assert stack.size * stack.dtype.itemsize > 2**30
            assert stack[0].max() > 0
        assert path.stat().st_size < 2**27


def test_permission_bits_would_let_the_team_write(demo: tuple[Path, list[Run]]) -> None:
    """Nobody can change raw data, and that is the mount's doing: the bits alone would allow it."""
    folder, runs = demo
    (path, *_) = files(folder, runs[0])
    assert path.stat().st_mode & 0o020
    if os.geteuid() == 0:
        assert path.stat().st_gid == 30001


@pytest.mark.parametrize("kind", ["sans", "powder", "tomography"])
def test_the_starter_notebook_runs_on_every_kind(
    demo: tuple[Path, list[Run]], environment_prefix: Path, kind: str, tmp_path: Path
) -> None:
    folder, runs = demo
    notebook = nbformat.read(REPOSITORY / "environments" / "scattering" / "starter.ipynb", as_version=4)
    nbformat.validate(notebook)
    assert all(not cell.get("outputs") for cell in notebook.cells)
    chosen = [run for run in runs if run.kind == kind]
    run = next((run for run in chosen if run.large), chosen[0])
    path = files(folder, run)[0].parent
    code = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
    saved = f"figure.savefig({str(tmp_path / 'plot.png')!r})"
    code = f"import matplotlib; matplotlib.use('Agg')\n{code}\n{saved}\nprint(array.sizes)"
    variables = {
        "VISA_EXPERIMENTS": run.experiment,
        "VISA_DATA": str(path.parent),
        "HOME": str(tmp_path),
        "PATH": "/usr/bin",
    }
    python = environment_prefix / "bin" / "python"
    done = subprocess.run([python, "-c", code], env=variables, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert run.title in done.stdout
    assert (tmp_path / "plot.png").stat().st_size > 5000
