"""A gateway that dies is started again; the environment behind it does not notice."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.hub.sandboxing import GATEWAY, Place, made_place, told
from tests.hub.test_sandbox_life import SLEEP, gone, tree
from tests.services.hub import until
from visa.hub.sandboxes import instance
from visa.hub.sandboxes.endings import ending_of
from visa.hub.sandboxes.instance import Restarts, Running
from visa.hub.sandboxes.supervisor import Restarts as When
from visa.processes import Process, arguments

ANSWERS = """
import json, os, socket, sys
kept = open(os.environ["VISA_KEPT"], "a+")
kept.seek(0)
before = kept.read().split()
kept.write(sys.argv[1] + "\\n")
kept.flush()
with os.fdopen(int(os.environ["VISA_READY_FD"]), "w") as ready:
    ready.write(json.dumps({"port": 0}) + "\\n")
listening = socket.socket(fileno=int(os.environ["VISA_LISTEN_FD"]))
listening.setblocking(True)
while True:
    one, _ = listening.accept()
    one.sendall(json.dumps([os.environ["JUPYTERHUB_API_TOKEN"], before]).encode())
    one.close()
"""
BEGUN = """
import json, os, time
open("/run/visa/.t", "w").write(json.dumps(os.getpid()))
os.rename("/run/visa/.t", "/run/visa/told")
time.sleep(300)
"""


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with made_place(tmp_path) as place:
        yield place


def program(running: Running, word: str) -> Process | None:
    """The process in one of the instance's sandboxes whose command line has ``word``, as one of its own."""
    left = [running.supervisor.pid]
    while left:
        pid = left.pop()
        words, found = arguments(pid), Process.of(pid)
        if word in words and "--args" not in words and found is not None:
            return found
        for tasks in Path(f"/proc/{pid}/task").glob("*/children"):
            with suppress(OSError):
                left += map(int, tasks.read_text().split())
    return None


def descriptors(process: Process) -> list[str]:
    return [os.readlink(entry) for entry in Path(f"/proc/{process.pid}/fd").iterdir()]


def asked(port: int) -> object:
    with socket.create_connection(("127.0.0.1", port), 60) as one:
        return json.loads(b"".join(iter(lambda: one.recv(65536), b"")))


async def test_a_killed_gateway_is_replaced_and_nothing_else_is(place: Place) -> None:
    run, running = await place.run(
        (sys.executable, "-c", BEGUN), gateway_command=(sys.executable, "-c", ANSWERS, "the-gateway")
    )
    assert told(run)
    environment = program(running, BEGUN)
    assert environment is not None
    assert asked(running.port) == ["token-of-the-hub", []]
    for times in range(1, 4):
        gateway = until(lambda: program(running, "the-gateway"), 60, "a gateway")
        gateway.signal(signal.SIGKILL)
        assert gone(gateway)
        # Who asks meanwhile waits: the port is never closed.
        assert asked(running.port) == ["token-of-the-hub", ["the-gateway"] * times]
    assert program(running, BEGUN) == environment
    instance.end(running.supervisor.pid, running.supervisor, now=False)
    assert ending_of(run).code == 0
    assert tree(run) == []


async def test_it_is_asked_to_end_by_somebody_and_comes_back_too(place: Place) -> None:
    _run, running = await place.run(SLEEP, gateway_command=(sys.executable, "-c", ANSWERS, "the-gateway"))
    gateway = until(lambda: program(running, "the-gateway"), 60, "a gateway")
    gateway.signal(signal.SIGTERM)
    assert gone(gateway)
    assert asked(running.port) == ["token-of-the-hub", ["the-gateway"]]


async def test_one_that_dies_again_and_again_is_given_up_in_words(place: Place) -> None:
    gateway = GATEWAY.replace("signal.pause()", "sys.exit('lost my way')")
    command = (sys.executable, "-c", gateway)
    run, running = await place.run(SLEEP, gateway_command=command, restarts=Restarts((0, 0, 0.01), 3600))
    assert gone(running.supervisor)
    ending = ending_of(run)
    assert "gateway ended again and again (exit code 1). Last it said: lost my way" in ending.sentence
    assert ending.code == 1
    assert (run / "gateway.log").read_text().count("lost my way") == 4
    assert (run / "supervisor.log").read_text().count("started again") == 3
    assert tree(run) == []


async def test_a_stop_while_none_runs_is_heard(place: Place) -> None:
    gateway = GATEWAY.replace("signal.pause()", "sys.exit(1)")
    command = (sys.executable, "-c", gateway)
    run, running = await place.run(SLEEP, gateway_command=command, restarts=Restarts((3600,), 3600))
    until(lambda: "started again in 3600 s" in (run / "supervisor.log").read_text(), 60, "the pause")
    instance.end(running.supervisor.pid, running.supervisor, now=False)
    assert ending_of(run).code == 0
    assert tree(run) == []


async def test_an_environment_that_ends_while_none_runs_ends_the_instance(place: Place) -> None:
    gateway = GATEWAY.replace("signal.pause()", "sys.exit(1)")
    run, running = await place.run(
        ("sleep", "3456"), gateway_command=(sys.executable, "-c", gateway), restarts=Restarts((3600,), 3600)
    )
    until(lambda: "started again in 3600 s" in (run / "supervisor.log").read_text(), 60, "the pause")
    environment = until(lambda: program(running, "3456"), 60, "the environment")
    environment.signal(signal.SIGSEGV)
    assert gone(running.supervisor)
    assert "The session ended (by signal SIGSEGV)" in ending_of(run).sentence


async def test_port_and_kept_logins_are_not_the_environments(place: Place) -> None:
    run, running = await place.run(
        (sys.executable, "-c", BEGUN), gateway_command=(sys.executable, "-c", ANSWERS, "the-gateway")
    )
    assert told(run)
    gateway, environment = program(running, "the-gateway"), program(running, BEGUN)
    assert gateway is not None
    assert environment is not None
    theirs = [opened for opened in descriptors(gateway) if opened.startswith(("socket:", "/memfd:kept"))]
    assert len(theirs) >= 2
    assert not set(theirs) & set(descriptors(environment))


def test_pauses_grow_and_a_good_life_forgets_them() -> None:
    when = When([0, 1, 5], 60)
    assert [when.pause(3), when.pause(0), when.pause(59.9)] == [0, 1, 5]
    assert when.pause(0) is None
    assert [when.pause(60), when.pause(1)] == [0, 1]
