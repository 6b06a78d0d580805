"""``visa check-image IMAGE``: what a facility's own image lacks for VISA."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict

from visa.cli.check_image import engines
from visa.cli.check_image.findings import NO_SHELL, Finding, findings, possible
from visa.cli.check_image.running import CannotRun, Facts, NoShell, Ran

KINDS = ("notebook", "desktop", "video")


def sessions(text: str) -> list[str]:
    """Session kinds, with commas between."""
    given = [part.strip() for part in text.split(",") if part.strip()]
    for kind in given:
        if kind not in KINDS:
            raise argparse.ArgumentTypeError(f"{kind!r} is no session kind; known are {', '.join(KINDS)}")
    if not given:
        raise argparse.ArgumentTypeError(f"give one or more of {', '.join(KINDS)}")
    return given


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Of this subcommand."""
    parser.add_argument("image", metavar="IMAGE", help="as registry.example.org/analysis:2026.1 or with @sha256:…")
    what = "what the image is to offer, with commas: notebook (without this option), desktop, video (by Selkies)"
    parser.add_argument("--sessions", type=sessions, default=["notebook"], metavar="KINDS", help=what)
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--engine", choices=engines.ENGINES, help="run it with this one; else with the first that works")
    where.add_argument("--kubernetes", action="store_true", help="run it in a pod as an instance's, deleted at the end")
    parser.add_argument("--namespace", metavar="NAME", help="for the pod; else that of the current context")
    parser.add_argument("--pull-secret", metavar="NAME", help="for the pod: the Secret that opens the registry")
    parser.add_argument("--json", action="store_true", help="print what was found as JSON")


def run(arguments: argparse.Namespace) -> int:
    """0 when the image can be used, 1 when not or when it could not be run."""
    try:
        ran = _run(arguments)
    except CannotRun as error:
        _print_trouble(arguments, str(error))
        return 1
    except KeyboardInterrupt:
        return 130
    except NoShell:
        return _report(arguments, Facts(), [NO_SHELL], dict.fromkeys(KINDS, False))
    facts = Facts.read(ran.output)
    found = findings(facts, arguments.sessions, ran.read_only)
    return _report(arguments, facts, found, possible(facts, ran.read_only))


def _run(arguments: argparse.Namespace) -> Ran:
    if not arguments.kubernetes:
        return engines.run_with_any(arguments.image, arguments.engine)
    try:
        from visa.cli.check_image import pod
    except ImportError as error:
        raise CannotRun(f"--kubernetes needs {error.name}; pip install 'jupyterhub-visa[kubernetes]'") from error
    return pod.run(arguments.image, arguments.namespace, arguments.pull_secret)


def _print_trouble(arguments: argparse.Namespace, wrong: str) -> None:
    if arguments.json:
        print(json.dumps({"image": arguments.image, "ok": False, "trouble": wrong}, indent=1))
    else:
        print(f"{arguments.image}: not checked: {wrong}")


def _report(arguments: argparse.Namespace, facts: Facts, found: Sequence[Finding], kinds: dict[str, bool]) -> int:
    ok = all(finding.level != "error" for finding in found)
    if arguments.json:
        values = {key: value if len(value) > 1 else value[0] for key, value in facts.values.items()}
        answer = {"image": arguments.image, "ok": ok, "sessions": kinds, "facts": values}
        print(json.dumps({**answer, "findings": [asdict(finding) for finding in found]}, indent=1))
    else:
        for finding in found:
            print(finding)
        print(f"{arguments.image}: {'OK' if ok else 'cannot be used'} ({_summary(facts, kinds)})")
    return 0 if ok else 1


def _summary(facts: Facts, kinds: dict[str, bool]) -> str:
    parts = [f"{kind} {'possible' if can else 'not possible'}" for kind, can in kinds.items()]
    if facts["lab"]:
        parts.append(f"JupyterLab {facts['lab']}")
    if facts["start-again"]:
        parts.append(f"first answer after {facts['start-first']} s, then {facts['start-again']} s")
    if facts["kernel"]:
        parts.append(f"kernel after {facts['kernel']} s")
    return ", ".join(parts)
