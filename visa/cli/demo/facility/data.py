"""Simulates the demo's measurements as NeXus files. Runs alone, on the analysis environment's Python.

``python data.py FOLDER`` with ``{"runs": [...], "seed": N}`` on standard input writes
``FOLDER/raw/{instrument}/{year}/{proposal}/{experiment}/*.nxs`` and ``FOLDER/shared/{proposal}``. Formulas:
spherical form factor (Guinier and Fournet), Caglioti peak widths, Beer-Lambert projections of ellipses.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np

Run = dict[str, Any]
TEAM = 30001
"""The group that all of the demo's people are in."""


def group(parent: Any, name: str, kind: str, /, **fields: Any) -> Any:
    """A NeXus group of class ``kind``; a field is a value or ``(value, units)``."""
    made = parent.create_group(name)
    made.attrs["NX_class"] = kind
    for field, value in fields.items():
        value, units = value if isinstance(value, tuple) else (value, None)
        dataset = made.create_dataset(field, data=value)
        if units:
            dataset.attrs["units"] = units
    return made


def entry(file: Any, run: Run, definition: str) -> tuple[Any, Any]:
    """The entry and its instrument."""
    file.attrs["default"] = "entry"
    file.attrs["NX_class"] = "NXroot"
    made = group(
        file,
        "entry",
        "NXentry",
        title=run["title"],
        start_time=run["start"],
        experiment_identifier=run["experiment"],
        proposal_identifier=run["proposal"],
        definition=definition,
    )
    made.attrs["default"] = "data"
    group(made, "sample", "NXsample", name=run["sample"], temperature=(293.0, "K"))
    instrument = group(made, "instrument", "NXinstrument", name=run["instrument"])
    group(instrument, "source", "NXsource", name="Demo Facility", probe="neutron", type="Reactor Neutron Source")
    return made, instrument


def default_plot(made: Any, signal: str, axes: list[str], /, **links: Any) -> Any:
    """NXdata with its signal and axes, as links to where they were measured."""
    data = group(made, "data", "NXdata")
    data.attrs["signal"] = signal
    data.attrs["axes"] = axes
    for name, target in links.items():
        data[name] = target
    return data


def sans(path: Path, run: Run, chance: np.random.Generator) -> None:
    """A 2-D pattern of polydisperse spheres, 192 x 192 pixels of 5 mm at 8 m and 0.6 nm."""
    pixels, size, distance, wavelength = 192, 5e-3, 8.0, 0.6
    radius, spread = chance.uniform(3, 9), 0.12
    axis = (np.arange(pixels) - (pixels - 1) / 2) * size
    x, y = axis[None, :], axis[:, None]
    theta = np.arctan(np.hypot(x, y) / distance)
    q = 4 * np.pi / wavelength * np.sin(theta / 2)
    intensity = np.zeros_like(q)
    for r in radius * (1 + spread * np.linspace(-2, 2, 15)):
        qr = np.maximum(q * r, 1e-6)
        form = 3 * (np.sin(qr) - qr * np.cos(qr)) / qr**3
        intensity += np.exp(-0.5 * ((r / radius - 1) / spread) ** 2) * form**2 * r**6
    counts = chance.poisson(4000 * intensity / intensity.max() + 2)
    counts[np.hypot(x, y) < 0.03] = 0  # beam stop
    with h5py.File(path, "w") as file:
        made, instrument = entry(file, run, "NXsas")
        group(instrument, "monochromator", "NXmonochromator", wavelength=(wavelength, "nm"), wavelength_spread=0.1)
        detector = group(instrument, "detector", "NXdetector", distance=(distance, "m"), x_pixel_size=(size, "m"))
        detector.create_dataset("data", data=counts.astype("i4"), compression="gzip", shuffle=True, chunks=(64, 64))
        detector["data"].attrs["units"] = "counts"
        for name in ("x_offset", "y_offset"):
            detector.create_dataset(name, data=axis).attrs["units"] = "m"
        detector.create_dataset("beam_center_x", data=(pixels - 1) / 2).attrs["units"] = "pixel"
        group(made, "monitor", "NXmonitor", integral=(int(chance.integers(9e6, 1e7)), "counts"))
        names = ["y_offset", "x_offset"]
        links = {"data": detector["data"], "y_offset": detector["y_offset"], "x_offset": detector["x_offset"]}
        default_plot(made, "data", names, **links)


def powder(path: Path, run: Run, chance: np.random.Generator) -> None:
    """A pattern of a cubic crystal: peaks by Bragg's law, widths by Caglioti, pseudo-Voigt shapes."""
    wavelength, lattice = 0.1594, 0.4157 * chance.uniform(0.99, 1.01)
    angle = np.arange(10, 150, 0.05)
    pattern = 60 + 40 * np.exp(-angle / 40)
    for h in range(7):
        for k in range(h + 1):
            for m in range(k + 1):
                spacing = h * h + k * k + m * m
                sine = wavelength * np.sqrt(spacing) / (2 * lattice)
                if not 0 < sine < 1:
                    continue
                centre = 2 * np.degrees(np.arcsin(sine))
                tangent = np.tan(np.radians(centre / 2))
                width = np.sqrt(max(0.15 * tangent**2 - 0.12 * tangent + 0.09, 0.01))
                many = len({(a, b, c) for a in (h, -h) for b in (k, -k) for c in (m, -m)})
                height = 900 * many * np.exp(-spacing / 18) / (1 + spacing / 6)
                distance = (angle - centre) / (width / 2)
                pattern += height * (0.7 * np.exp(-np.log(2) * distance**2) + 0.3 / (1 + distance**2))
    counts = chance.poisson(pattern)
    with h5py.File(path, "w") as file:
        made, instrument = entry(file, run, "NXmonopd")
        group(instrument, "crystal", "NXcrystal", wavelength=(wavelength, "nm"), type="Ge 335")
        detector = group(instrument, "detector", "NXdetector")
        detector.create_dataset("counts", data=counts.astype("i4"), compression="gzip").attrs["units"] = "counts"
        detector.create_dataset("polar_angle", data=angle).attrs["units"] = "deg"
        detector.create_dataset("counts_errors", data=np.sqrt(np.maximum(counts, 1))).attrs["units"] = "counts"
        group(made, "monitor", "NXmonitor", preset=(1_000_000, "counts"), mode="monitor")
        links = {"counts": detector["counts"], "polar_angle": detector["polar_angle"]}
        default_plot(made, "counts", ["polar_angle"], counts_errors=detector["counts_errors"], **links)


def tomography(path: Path, run: Run, chance: np.random.Generator) -> None:
    """Projections of a few ellipses. A large run is a gigabyte of stack of which only some frames were written."""
    frames, height, width = (1440, 768, 1024) if run["large"] else (60, 96, 128)
    angles = np.linspace(0, 180, frames, endpoint=False)
    written = range(0, frames, 144) if run["large"] else range(frames)
    bodies = chance.uniform(-0.35, 0.35, (6, 2)), chance.uniform(0.05, 0.2, (6, 2)), chance.uniform(0.3, 2, 6)
    with h5py.File(path, "w") as file:
        made, instrument = entry(file, run, "NXtomo")
        detector = group(instrument, "detector", "NXdetector", x_pixel_size=(6.5e-6, "m"), count_time=(0.2, "s"))
        stack = detector.create_dataset(
            "data", (frames, height, width), "u2", chunks=(1, height, width), compression="gzip", compression_opts=1
        )
        stack.attrs["units"] = "counts"
        column = np.linspace(-0.5, 0.5, width)[None, :]
        row = np.linspace(-0.5, 0.5, height)[:, None]
        for frame in written:
            stack[frame] = projection(np.radians(angles[frame]), column, row, bodies, chance)
        detector.create_dataset("image_key", data=np.zeros(frames, "i4"))
        rotation = made["sample"].create_dataset("rotation_angle", data=angles)
        rotation.attrs["units"] = "deg"
        group(instrument, "flat_field", "NXdetector", data=(np.full((height, width), 52000, "u2"), "counts"))
        default_plot(made, "data", ["rotation_angle", ".", "."], data=stack, rotation_angle=rotation)


def projection(angle: float, column: Any, row: Any, bodies: Any, chance: np.random.Generator) -> Any:
    """One frame: what is left of the beam behind the bodies."""
    path = np.zeros((row.size, column.size))
    for (x, z), (radius, tall), density in zip(*bodies, strict=True):
        centre = x * np.cos(angle) + z * np.sin(angle)
        inside = 1 - ((column - centre) / radius) ** 2 - (row / tall) ** 2
        path += density * 2 * radius * np.sqrt(np.maximum(inside, 0))
    noise = chance.normal(0, 60, path.shape)
    return np.clip(52000 * np.exp(-path) + noise, 0, 65535).astype("u2")


KINDS = {"sans": sans, "powder": powder, "tomography": tomography}


def write(folder: Path, run: Run, seed: int) -> None:
    """All files of one experiment, complete or not at all."""
    target = folder / "raw" / run["instrument"] / str(run["year"]) / run["proposal"] / run["experiment"]
    shared = folder / "shared" / run["proposal"]
    shared.mkdir(parents=True, exist_ok=True)
    _open_to_team(shared)
    if target.exists():
        return
    partial = target.with_name(target.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    for number in range(1, 3 if run["kind"] != "tomography" else 2):
        chance = np.random.default_rng([seed, run["number"], number])
        KINDS[run["kind"]](partial / f"{run['instrument']}_{run['number']:03d}{number:02d}.nxs", run, chance)
    readme = f"{run['title']}\nSample: {run['sample']}\nSimulated for the VISA demo; not a measurement.\n"
    (partial / "README.txt").write_text(readme)
    for path in (partial, *partial.iterdir()):
        _open_to_team(path)
    partial.rename(target)


def _open_to_team(path: Path) -> None:
    """Permission bits let the team write: that nobody changes raw data is the mount's doing, as it should be."""
    if os.geteuid() == 0:
        os.chown(path, 0, TEAM)
    path.chmod(0o2775 if path.is_dir() else 0o664)


def main() -> None:
    """Write every run of the plan."""
    os.umask(0o022)
    plan = json.load(sys.stdin)
    folder = Path(sys.argv[1])
    try:
        for run in plan["runs"]:
            write(folder, run, plan["seed"])
    except OSError as error:
        sys.exit(f"{error.strerror or error}")


if __name__ == "__main__":
    main()
