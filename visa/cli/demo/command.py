"""``visa demo``: a made-up facility on this machine, until Ctrl-C."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from visa import removal
from visa.cli.demo.leftovers import end_all
from visa.cli.demo.lock import only_one
from visa.cli.demo.terminal import Ending, say
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
    parser.add_argument(
        "--one-host",
        action="store_true",
        help="show instances at the demo's own address, for browsers that do not know names below localhost; "
        "a page in an instance is then trusted like the demo's own",
    )
    parser.add_argument("--reset", action="store_true", help="forget everything an earlier demo kept there")
    parser.add_argument(
        "--environment",
        type=Path,
        default=Path(os.environ.get("VISA_DEMO_ENVIRONMENT", _GUESS)),
        help="folder of the analysis environment (default: $VISA_DEMO_ENVIRONMENT, or where `make demo` puts it)",
    )


def run(arguments: argparse.Namespace) -> int:
    """0 after Ctrl-C; 1 with one sentence when it cannot run."""
    ending = Ending()
    try:
        return _run(arguments, ending)
    except KeyboardInterrupt:
        say("\nEnded before it was started.")
        return 0
    except DemoTrouble as trouble:
        say(f"visa demo: {trouble}", error=True)
    except OSError as error:
        place = f" ({error.filename})" if error.filename else ""
        say(f"visa demo: {error.strerror or error}{place}.", error=True)
    return 1


def _run(arguments: argparse.Namespace, ending: Ending) -> int:
    from visa.cli.demo.runner import Demo

    if not 1024 <= arguments.port <= 65535:
        raise DemoTrouble(f"Port {arguments.port} cannot be used; give one from 1024 to 65535 with --port.")
    environment = _environment(arguments.environment)
    folder = prepare_folder(arguments.dir)
    with only_one(folder, f"http://127.0.0.1:{arguments.port}") as lock:
        end_all(folder)  # what a demo left that was killed together with its keeper
        if arguments.reset:
            forget(folder)
        return Demo(folder, arguments.port, environment, lock, ending, one_host=arguments.one_host).run()


def prepare_folder(folder: Path) -> Path:
    """The demo's own folder, made when it is not there; raise `DemoTrouble` when it is somebody else's."""
    folder = Path(os.path.realpath(folder))
    marker = folder / MARKER
    if folder.exists() and not marker.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DemoTrouble(f"{folder} holds something else than a demo; give another folder with --dir.")
    folder.mkdir(parents=True, exist_ok=True)
    marker.touch()
    return folder


def forget(folder: Path) -> None:
    """Remove everything that a demo kept in ``folder``."""
    for entry in folder.iterdir():
        if entry.name in (MARKER, "lock"):
            continue
        stays = removal.remove(entry)
        if stays:
            raise DemoTrouble(f"Not everything of the former demo could be removed: {stays[0]}.")


def _environment(prefix: Path) -> Path:
    prefix = Path(os.path.abspath(prefix))
    if not (prefix / "bin" / "jupyter-lab").exists():
        raise DemoTrouble(
            f"The analysis environment is not at {prefix}; run `make demo` in VISA's repository, "
            "or give a folder that has bin/jupyter-lab with --environment."
        )
    return prefix
