"""The launcher, run by a real ``sh`` with a made-up ``jupyter``."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.session import rig


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with ``bin/jupyter`` that tells its arguments, ``home``, ``run`` and a starter."""
    for name in ("bin", "home", "run", "tmp"):
        (tmp_path / name).mkdir()
    jupyter = tmp_path / "bin/jupyter"
    jupyter.write_text('#!/bin/sh\necho "started $* in $(pwd) runtime $JUPYTER_RUNTIME_DIR home $HOME"\n')
    jupyter.chmod(0o755)
    (tmp_path / "starter.ipynb").write_text("{}")
    (tmp_path / "run/jupyter.sock").write_text("left by an earlier run")
    return tmp_path


def launch(place: Path, **more: str) -> tuple[int, str]:
    """Exit status and all it said."""
    environ = {
        "PATH": f"{place}/bin:/usr/bin:/bin",
        "HOME": str(place / "home"),
        "TMPDIR": str(place / "tmp"),
        "VISA_RUN": str(place / "run"),
        "VISA_STARTER": str(place / "starter.ipynb"),
        "VISA_EXPERIMENTS": "e1 e2",
        **more,
    }
    done = subprocess.run(
        ["/bin/sh", str(rig.FILES / "launch")], env=environ, capture_output=True, text=True, timeout=60, check=False
    )
    return done.returncode, done.stdout + done.stderr


def test_the_starter_is_put_there_once_and_never_over_anything(place: Path) -> None:
    status, said = launch(place)
    assert status == 0, said
    notebook = place / "home/notebooks/e1.ipynb"
    assert notebook.read_text() == "{}"
    assert f"in {place}/home" in said
    assert not (place / "run/jupyter.sock").exists()
    notebook.write_text("mine")
    assert launch(place)[0] == 0
    assert notebook.read_text() == "mine"
    notebook.unlink()
    notebook.symlink_to(place / "elsewhere")
    assert launch(place)[0] == 0
    assert not (place / "elsewhere").exists()
    assert sorted(os.listdir(place / "home/notebooks")) == ["e1.ipynb"]


def test_in_a_pod_a_session_is_begun_once_and_then_waits_for_its_end(place: Path) -> None:
    status, said = launch(place, VISA_ONCE="1")
    assert status == 0
    assert "started lab" in said
    environ = {"PATH": f"{place}/bin:/usr/bin:/bin", "HOME": str(place / "home"), "VISA_RUN": str(place / "run")}
    again = subprocess.Popen(
        ["/bin/sh", str(rig.FILES / "launch")],
        env=environ | {"VISA_ONCE": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    assert again.stdout is not None
    assert again.stdout.readline() == "visa: the session has ended\n"
    again.terminate()
    assert again.wait(60) == 143
    with contextlib.suppress(ProcessLookupError):  # what it waited with
        os.killpg(again.pid, signal.SIGKILL)
    assert "started" not in again.stdout.read()


def test_without_experiments_there_is_no_notebook(place: Path) -> None:
    status, said = launch(place, VISA_EXPERIMENTS="")
    assert status == 0, said
    assert os.listdir(place / "home") == []


def test_a_home_that_is_not_there_is_told_and_jupyter_starts(place: Path) -> None:
    status, said = launch(place, HOME=str(place / "nowhere"))
    assert status == 0
    assert "cannot be written to" in said
    assert f"home {place}/tmp" in said
    assert "started lab" in said


def test_a_full_home_is_told_and_jupyter_starts(place: Path) -> None:
    """A file system of a few kilobytes, in a mount namespace of its own."""
    home = place / "home"
    script = (
        f"mount -t tmpfs -o size=8k tmpfs {home} && head -c 8192 /dev/zero >{home}/full;"
        f" exec /bin/sh {rig.FILES / 'launch'}"
    )
    environ = {
        "PATH": f"{place}/bin:/usr/bin:/bin:/usr/sbin:/sbin",
        "HOME": str(home),
        "TMPDIR": str(place / "tmp"),
        "VISA_RUN": str(place / "run"),
        "VISA_STARTER": str(place / "starter.ipynb"),
        "VISA_EXPERIMENTS": "e1",
    }
    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", "--mount", "/bin/sh", "-c", script],
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "full, read-only or not there" in done.stderr
    assert "started lab" in done.stdout


def test_an_environment_without_jupyter_says_so(place: Path) -> None:
    (place / "bin/jupyter").unlink()
    status, said = launch(place)
    assert status == 127
    assert "JupyterLab 4" in said


def test_jupyter_knows_no_hub_and_needs_no_token(jupyter: rig.Jupyter) -> None:
    assert not [name for name in rig.environ(jupyter.run, jupyter.home) if name.startswith("JUPYTERHUB")]
    log = (jupyter.run.parent / "jupyter.log").read_text()
    assert "jupyter_lsp" not in log
    assert "ERROR" not in log
    assert "Extension Manager is 'readonly'" in log
    assert oct((jupyter.run / "jupyter.sock").stat().st_mode & 0o777) == "0o660"


def test_programs_find_the_filters_that_came_with_python(place: Path) -> None:
    jupyter = place / "bin/jupyter"
    jupyter.write_text('#!/bin/sh\necho "filters in ${HDF5_PLUGIN_PATH-nowhere}."\n')
    assert "filters in nowhere." in launch(place)[1], "HDF5 looks where it always does"
    plugins = place / "lib/python3.12/site-packages/hdf5plugin/plugins"
    plugins.mkdir(parents=True)
    assert f"filters in {plugins}." in launch(place)[1]
    assert "filters in /of/the/facility." in launch(place, HDF5_PLUGIN_PATH="/of/the/facility")[1]


@pytest.mark.parametrize(
    "plugins",
    [
        "usr/lib/python3.12/site-packages/hdf5plugin/plugins",  # Alpine; python:alpine below usr/local
        "usr/lib64/python3.12/site-packages/hdf5plugin/plugins",
        "usr/lib/python3/dist-packages/hdf5plugin/plugins",
        "usr/lib/hdf5/plugin",
        "usr/lib/x86_64-linux-gnu/hdf5/plugins",
    ],
)
def test_programs_find_the_filters_where_a_link_leads(place: Path, plugins: str) -> None:
    """Of an image whose `jupyter` on the path is a link into another folder."""
    (place / "usr/bin").mkdir(parents=True)
    real = place / "usr/bin/jupyter"
    real.write_text('#!/bin/sh\necho "filters in ${HDF5_PLUGIN_PATH-nowhere}."\n')
    real.chmod(0o755)
    (place / "bin/jupyter").unlink()
    (place / "bin/jupyter").symlink_to(real)
    (place / plugins).mkdir(parents=True)
    assert f"filters in {place / plugins}." in launch(place)[1]
