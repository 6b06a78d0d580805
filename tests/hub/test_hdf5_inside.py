"""HDF5 in a real instance: filters for kernels and login shells, and no lock that stops who writes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from tests.services.hub import RunningHub, run_in
from tests.services.waiting import until

hdf5plugin = pytest.importorskip("hdf5plugin")
OPTIONS = {"experiments": ["exp-1"], "environment": "scattering", "flavour": "small"}
WRITER = "import h5py, sys\nwith h5py.File(sys.argv[1], 'a') as file: file.require_group('next_scan')\nprint('ok')"
READER = """
import h5py, os, subprocess, sys
file = h5py.File("/data/exp-1/scan.h5", "r")
print(int(file["d"][...].sum()), "hdf5plugin" in sys.modules)
code = "import h5py; print(int(h5py.File('/data/exp-1/scan.h5')['d'][...].sum()))"
print(subprocess.check_output(["bash", "-lc", f'"{sys.executable}" -c "{code}"'], text=True).strip())
os.mkfifo("/tmp/wait")
open(os.path.expanduser("~/opened"), "w").close()
open("/tmp/wait").read()
"""


def test_a_reader_has_filters_and_stops_no_writer(shared_hub: RunningHub) -> None:
    scan = Path(shared_hub.facility).parent / "data/raw/d22/2025/p1/exp-1/scan.h5"
    with h5py.File(scan, "w") as file:
        file.create_dataset("d", data=np.arange(100), chunks=(100,), compression=hdf5plugin.Bitshuffle())
    scan.chmod(0o644)
    token = shared_hub.token("marie")
    with shared_hub.api(token) as api:
        assert api.post("/users/marie/servers/hdf5", json=OPTIONS).status_code in (201, 202)
    said = run_in(shared_hub, token, "marie/hdf5", READER.split("os.mkfifo")[0])
    assert said.split() == ["4950", "False", "4950"]
    # The kernel is ended with `run_in`; a program of the instance's terminal holds the file open.
    held = "h = __import__('h5py').File('/data/exp-1/scan.h5', 'r')\nimport time\nprint('open', flush=True)\ninput()"
    code = f"import subprocess, sys\np = subprocess.Popen([sys.executable, '-c', {held!r}], stdin=subprocess.PIPE,"
    code += " stdout=subprocess.PIPE, text=True, start_new_session=True)\nprint(p.stdout.readline())"
    assert "open" in run_in(shared_hub, token, "marie/hdf5", code)
    done = subprocess.run([sys.executable, "-c", WRITER, str(scan)], capture_output=True, text=True, check=False)
    assert done.stdout == "ok\n", done.stderr
    with shared_hub.api(token) as api:
        api.request("DELETE", "/users/marie/servers/hdf5", json={"remove": True})
        until(lambda: "hdf5" not in api.get("/users/marie").json()["servers"], 60, "its end")
