"""``visa demo``: a made-up facility on this machine, until Ctrl-C."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from pathlib import Path

from visa.cli.demo.trouble import DemoTrouble

MARKER = ".visa-demo"
_GUESS = Path(__file__).parents[3] / ".cache" / "environments" / "scattering"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Of this subcommand."""
    parser.add_argument("--port", type=int, default=8000, help="port on 127.0.0.1 (default 8000)")
    parser.add_argument(
        "--dir",
        type=Path,
        default=Path.home() / ".local" / "share" / "visa-demo",
        help="where the demo keeps its state (default ~/.local/share/visa-demo)",
    )
    parser.add_argument("--reset", action="store_true", help="forget everything an earlier demo kept there")
    parser.add_argument(
        "--environment",
        type=Path,
        default=Path(os.environ.get("VISA_DEMO_ENVIRONMENT", _GUESS)),
        help="folder of the analysis environment (default: where `make demo` puts it)",
    )


def run(arguments: argparse.Namespace) -> int:
    """0 after Ctrl-C; 1 with one sentence when it cannot run."""
    from visa.cli.demo.runner import Demo

    try:
        if not 1024 <= arguments.port <= 65535:
            raise DemoTrouble(f"Port {arguments.port} cannot be used; give one from 1024 to 65535 with --port.")
        folder = prepare_folder(arguments.dir, reset=arguments.reset)
        return Demo(folder, arguments.port, _environment(arguments.environment)).run()
    except DemoTrouble as trouble:
        print(f"visa demo: {trouble}", file=sys.stderr)
        return 1
    except OSError as error:
        place = f" ({error.filename})" if error.filename else ""
        print(f"visa demo: {error.strerror or error}{place}.", file=sys.stderr)
        return 1


def prepare_folder(folder: Path, *, reset: bool) -> Path:
    """The demo's own folder, made when it is not there; raise `DemoTrouble` when it is somebody else's."""
    folder = Path(os.path.abspath(folder))
    marker = folder / MARKER
    if folder.exists() and not marker.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DemoTrouble(f"{folder} holds something else than a demo; give another folder with --dir.")
    folder.mkdir(parents=True, exist_ok=True)
    marker.touch()
    if reset:
        from visa.cli.demo.runner import only_one

        with only_one(folder):
            for entry in folder.iterdir():
                if entry.name in (MARKER, "lock"):
                    continue
                shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
    return folder


def _environment(prefix: Path) -> Path:
    prefix = Path(os.path.abspath(prefix))
    if not (prefix / "bin" / "jupyter-lab").exists():
        raise DemoTrouble(
            f"The analysis environment is not at {prefix}; run `make demo` in VISA's repository, "
            "or give a folder that has bin/jupyter-lab with --environment."
        )
    return prefix
