"""Hold what docs/developers/testing.md says of time: one clock in the code, no sleep and no stopwatch in the tests."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SLEEPS = {"time.sleep", "asyncio.sleep", "wait_for_timeout"}
READS = {f"time.{name}" for name in ("monotonic", "monotonic_ns", "perf_counter", "time", "time_ns", "localtime")}
READS |= {"loop.time", "asyncio.get_running_loop().time", "asyncio.get_event_loop().time"}
READS |= {"datetime.now", "datetime.utcnow", "datetime.today", "date.today", "datetime.datetime.now"}
WATCHES = {"time.monotonic", "time.monotonic_ns", "time.perf_counter", "time.perf_counter_ns"}
REQUESTS = {f"httpx.{name}" for name in ("get", "post", "put", "patch", "delete", "head", "options", "request")}
REQUESTS |= {"httpx.stream", "httpx.Client", "httpx.AsyncClient"}

MAY_READ = {
    "visa/clock.py": "is the clock",
    "visa/hub/sandboxes/supervisor.py": "runs alone, by any Python: nothing of ours is there to import",
    "visa/session/environment/": "runs in an environment, by any Python: nothing of ours is there to import",
    "visa/cli/check_image/probe.py": "runs in an image, by any Python: nothing of ours is there to import",
}
MAY_WAIT = {
    "tests/services/waiting.py": "waits for all others",
    "tests/services/network.py": "is a network, which may be slow",
    "tests/session/desktop/test_in_turn.py::_halting": "stops an X server for longer than a turn, again and again",
    "tests/soak/": "works for as long as is asked",
}


def uses(tree: ast.AST, names: set[str], within: tuple[str, ...] = (), virtual: bool = False) -> Iterator[str]:
    """Functions that call one of ``names``, but where time is the loop's own; ``asyncio.sleep(0)`` is no sleep."""
    for node in ast.iter_child_nodes(tree):
        inner, apart = within, virtual
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            inner = (*within, node.name)
            apart = virtual or any("looptime" in ast.unparse(one) for one in node.decorator_list)
        elif isinstance(node, ast.Call) and not virtual and _name(node.func) in names and not _is_none(node):
            yield ".".join(within)
        yield from uses(node, names, inner, apart)


def _name(function: ast.expr) -> str:
    """As it is called, whatever a module's or a page's variable is."""
    if isinstance(function, ast.Attribute):
        return function.attr if function.attr == "wait_for_timeout" else f"{_name(function.value)}.{function.attr}"
    if isinstance(function, ast.Call):
        return f"{_name(function.func)}()"
    return function.id if isinstance(function, ast.Name) else ""


def _is_none(call: ast.Call) -> bool:
    return ast.unparse(call) == "asyncio.sleep(0)"


def in_file(path: Path, names: set[str]) -> set[str]:
    """``path::function`` of each use."""
    tree = ast.parse(path.read_text())
    marks = [
        one.value for one in tree.body if isinstance(one, ast.Assign) and ast.unparse(one.targets[0]) == "pytestmark"
    ]
    if any("looptime" in ast.unparse(one) for one in marks):
        return set()
    where = path.relative_to(ROOT) if path.is_relative_to(ROOT) else path.name
    imports = [one for one in ast.walk(tree) if isinstance(one, ast.ImportFrom)]
    bare = {f"{one.module}.{alias.name}" for one in imports for alias in one.names} & names
    assert not bare, f"{where}: {bare}; import the module, so that this test sees what is called"
    return {f"{where}::{one}" for one in uses(tree, names)}


def left(folder: str, names: set[str], allowed: dict[str, str]) -> tuple[set[str], set[str]]:
    """Uses that nothing allows, and what is allowed and not there any more."""
    found = set().union(*(in_file(path, names) for path in (ROOT / folder).rglob("*.py")))
    unused = {one for one in allowed if not any(use.startswith(one) for use in found)}
    return {use for use in found if not use.startswith(tuple(allowed))}, unused


def impatient(tree: ast.AST) -> Iterator[int]:
    """Lines of requests that have httpx's own bound, 5 s."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or _name(node.func) not in REQUESTS:
            continue
        if not {"timeout", None} & {one.arg for one in node.keywords}:
            yield node.lineno


def test_no_request_has_the_five_seconds_of_httpx() -> None:
    found = {path: list(impatient(ast.parse(path.read_text()))) for path in (ROOT / "tests").rglob("*.py")}
    assert {path: lines for path, lines in found.items() if lines} == {}, "give a timeout of 60"


def test_nothing_but_the_clock_reads_the_time() -> None:
    assert left("visa", READS, MAY_READ) == (set(), set()), "use visa.clock"


def test_no_test_sleeps_or_holds_a_stopwatch() -> None:
    assert left("tests", SLEEPS | WATCHES, MAY_WAIT) == (set(), set()), "use tests.services.waiting, or looptime"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("async def f():\n await asyncio.sleep(0.1)", {"x.py::f"}),
        ("async def f():\n await asyncio.sleep(0)", set()),
        ("class C:\n def f(self):\n  g(lambda: time.sleep(n))", {"x.py::C.f"}),
        ("def f(page):\n page.wait_for_timeout(500)", {"x.py::f"}),
        ("def f():\n assert time.monotonic() - a < 5", {"x.py::f"}),
        ("@pytest.mark.looptime\nasync def f():\n await asyncio.sleep(3600)", set()),
        ("pytestmark = [pytest.mark.looptime]\nasync def f():\n await asyncio.sleep(3600)", set()),
        ("program = 'time.sleep(60)'", set()),
        ("def f():\n return asyncio.get_running_loop().time() + datetime.now(UTC)", {"x.py::f"}),
    ],
)
def test_what_counts(tmp_path: Path, text: str, found: set[str]) -> None:
    path = tmp_path / "x.py"
    path.write_text(text)
    assert in_file(path, SLEEPS | WATCHES | READS) == found


def test_a_bare_import_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.py"
    path.write_text("from time import sleep\n\nsleep(1)")
    with pytest.raises(AssertionError, match="import the module"):
        in_file(path, SLEEPS)
