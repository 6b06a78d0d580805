"""Writes the made-up facility: facility.yaml, catalogue.yaml, and by the environment's own Python the data."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import asdict
from pathlib import Path

import yaml

from visa.cli.demo.facility.people import Run, catalogue

DATA_SCRIPT = Path(__file__).parent / "data.py"

FACILITY = """\
# The demo's made-up facility. Edit it while the demo runs: `visa check` says what is wrong,
# and a broken edit keeps the last good one. Reference: docs/operators/facility.md
facility:
  name: Demo Facility
  contact: user-office@example.org
  colour: "#0b5cad"
  links:
    JupyterLab manual: https://jupyterlab.readthedocs.io
catalogue: {type: file, path: catalogue.yaml}
people:
  minimum_uid: 20000
data:
  raw:
    path: "{instrument}/{year}/{proposal}/{experiment}"
    mode: ro
    local: {root: data/raw}
  shared:
    path: "{proposal}"
    mode: rw
    target: /shared/{experiment}
    local: {root: data/shared}
environments:
  scattering:
    title: Scattering and diffraction
    description: Reduction and plotting of neutron and X-ray data with scipp, scippneutron and h5web.
    sessions: [notebook]
    instruments: [sans1, powder2]
    local: {prefix: PREFIX}
  imaging:
    title: Imaging
    description: Tomography stacks with numpy, scipy and h5web.
    sessions: [notebook]
    instruments: [tomo3]
    local: {prefix: PREFIX}
  commissioning:
    title: Commissioning
    description: The next release of the software, for the instruments' own scientists.
    sessions: [notebook]
    roles: [instrument_scientist, administrator]
    local: {prefix: PREFIX}
flavours:
  small: {title: Small, cpu: 1, memory: 2Gi, scratch: 5Gi}
  medium: {title: Medium, cpu: 2, memory: 4Gi, scratch: 10Gi, roles: [scientist, instrument_scientist, administrator]}
  large: {title: Large, cpu: 4, memory: 16Gi, scratch: 50Gi, roles: [instrument_scientist, administrator]}
quotas:
  - {who: everyone, instances: 3, cpu: 6, memory: 12Gi}
  - {role: student, instances: 1, cpu: 1, memory: 2Gi}
  - {role: instrument_scientist, instances: 10, cpu: 16, memory: 64Gi}
  - {instrument: tomo3, instances: 8}
lifetimes:
  - {who: everyone, maximum: 14d, idle: 4d, warn: [2d, 1h]}
"""


class DemoDataFailed(Exception):
    """The data could not be written. The message says why, in one sentence."""


def desktop_here() -> bool:
    """Whether this machine has what the demo's desktop is made of."""
    return all(shutil.which(program) for program in ("Xvnc", "openbox"))


def write_facility(folder: Path, prefix: Path, seed: int = 2026) -> list[Run]:
    """facility.yaml (unless it is there: it may have been edited) and catalogue.yaml; the runs to simulate."""
    document, runs = catalogue(seed)
    facility = folder / "facility.yaml"
    if not facility.exists():
        text = FACILITY.replace("PREFIX", json.dumps(str(prefix)))
        if desktop_here():
            text = text.replace("sessions: [notebook]", "sessions: [notebook, desktop]")
        facility.write_text(text)
    path = folder / "catalogue.yaml"
    if not path.exists():
        path.write_text(yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=120))
    return runs


def write_data(folder: Path, python: Path, runs: list[Run], seed: int = 2026) -> None:
    """Simulate every run with ``python``, which has h5py and numpy; raise `DemoDataFailed`."""
    plan = json.dumps({"runs": [asdict(run) for run in runs], "seed": seed})
    command = [str(python), "-I", str(DATA_SCRIPT), str(folder / "data")]
    done = subprocess.run(command, input=plan, capture_output=True, text=True)
    if done.returncode != 0:
        last = done.stderr.strip().splitlines()[-1:] or ["no reason given"]
        raise DemoDataFailed(f"The demo's data could not be written: {last[0]}")
