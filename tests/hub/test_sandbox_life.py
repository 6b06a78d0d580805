"""How instances begin and end: reasons, orphans, restarts, cancelled starts."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.hub.sandboxing import Place, made_place, told, wait_for_file
from tests.services.waiting import eventually, until
from visa.hub import inside
from visa.hub.admitted import StartFailed
from visa.hub.sandbox import VisaSandboxSpawner, _supervisors
from visa.hub.sandboxes import instance
from visa.hub.sandboxes.endings import ending_of
from visa.hub.sandboxes.instance import Start
from visa.identifiers import DataRootId, ExperimentId
from visa.instances.model import Mount, Resources
from visa.processes import Process, all_pids, arguments

SLEEP = ("sleep", "300")


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with made_place(tmp_path) as place:
        yield place


def gone(process: Process) -> bool:
    """Wait for its end."""

    def ended() -> bool:
        instance.reap()
        return not process.is_alive()

    return bool(until(ended, what=f"the end of {process}"))


def tree(run: Path) -> list[int]:
    """Every process whose control group or command line names the instance (or state folder) at ``run``."""
    found = []
    for pid in all_pids():
        try:
            groups = Path(f"/proc/{pid}/cgroup").read_text()
        except OSError:
            continue
        if run.name in groups or any(str(run) in word for word in arguments(pid)):
            found.append(pid)
    return found


async def test_a_start_says_its_steps(place: Place) -> None:
    run, running = await place.run(SLEEP)
    socket.create_connection(("127.0.0.1", running.port)).close()
    assert len(place.steps) == 3
    assert json.loads((run / "instance.json").read_text())["pid"] == running.supervisor.pid


async def test_stop_asks_first_and_leaves_nothing(place: Place) -> None:
    script = "trap 'echo asked > $VISA_RUN/asked; exit 0' TERM; touch $VISA_RUN/up; while :; do sleep 0.1; done"
    run, running = await place.run(("sh", "-c", script))
    wait_for_file(run / "shared" / "up")
    instance.end(running.supervisor.pid, running.supervisor, now=False)
    assert (run / "shared" / "asked").read_text() == "asked\n"
    assert tree(run) == []
    assert ending_of(run).code == 0


async def test_an_environment_that_does_not_listen_is_killed_with_all_its_descendants(place: Place) -> None:
    script = "trap 'echo asked > $VISA_RUN/asked' TERM; (setsid nohup sleep 300 &) ; touch $VISA_RUN/up; "
    run, running = await place.run(("sh", "-c", script + "while :; do sleep 0.1; done"))
    wait_for_file(run / "shared" / "up")
    assert len(tree(run)) >= 5
    instance.end(running.supervisor.pid, running.supervisor, now=True)
    assert not (run / "shared" / "asked").exists(), "who would not listen is not asked first"
    assert tree(run) == []


@pytest.mark.parametrize(
    ("script", "said"),
    [("echo no such module >&2; exit 3", "exit code 3). Last it said: no such module"), ("kill -SEGV $$", "SIGSEGV")],
)
async def test_the_end_of_the_environment_ends_the_instance_and_is_told(place: Place, script: str, said: str) -> None:
    run, running = await place.run(("sh", "-c", f"sleep 0.3; {script}"))
    assert gone(running.supervisor)
    ending = ending_of(run)
    assert ending.code != 0
    assert said in ending.sentence
    assert tree(run) == []


async def test_memory_beyond_the_flavour_ends_the_instance_in_words(place: Place) -> None:
    if place.machine.control.kind not in ("cgroup1", "cgroup2"):
        pytest.fail("these tests need a machine whose control groups root may use")
    program = """
import os, time
while not os.path.exists("/run/visa/go"):
    time.sleep(0.02)
x = b"x" * (400 << 20)
time.sleep(60)
"""
    run, running = await place.run((sys.executable, "-c", program))
    (run / "shared" / "go").touch()
    assert gone(running.supervisor)
    assert "its memory was full" in ending_of(run).sentence


async def test_memory_is_limited_for_each_process_where_there_are_no_control_groups(place: Place) -> None:
    from visa.hub.sandboxes.cgroups import ControlGroups

    program = (
        "import os, resource, json\ntry:\n x = bytearray(400 << 20); out = 'had it'\n"
        "except MemoryError:\n out = 'refused'\n"
        "open('/run/visa/.t','w').write(json.dumps(out)); os.rename('/run/visa/.t', '/run/visa/told')"
    )
    machine = replace(place.machine, control=ControlGroups("rlimit"))
    run, _running = await place.run((sys.executable, "-c", program + "; import time; time.sleep(60)"), machine=machine)
    assert told(run) == "refused"
    assert "not enforced" in machine.control.sentence


async def test_cpu_is_that_of_the_flavour(place: Place) -> None:
    program = """
import json, os, time
def burn():
    end = time.monotonic() + 1.5
    while time.monotonic() < end: pass
pids = []
for _ in range(2):
    pid = os.fork()
    if pid == 0:
        burn(); os._exit(0)
    pids.append(pid)
for pid in pids: os.waitpid(pid, 0)
used = os.times()
open('/run/visa/.t', 'w').write(json.dumps(used.children_user + used.children_system))
os.rename('/run/visa/.t', '/run/visa/told'); time.sleep(60)
"""
    half = place.spec(resources=Resources(cpu=0.5, memory=256 << 20, gpu=0, scratch=1 << 30))
    run, _running = await place.run((sys.executable, "-c", program), half)
    assert told(run) < 1.1  # without a limit 3 s on two cores


async def test_the_log_of_an_environment_stays_small(place: Place) -> None:
    script = "yes 'a long line of noise' | head -c 20000000; touch $VISA_RUN/done; sleep 60"
    run, _running = await place.run(("sh", "-c", script))
    wait_for_file(run / "shared" / "done")
    assert sum(p.stat().st_size for p in run.glob("environment.log*")) <= 5_000_000


async def test_a_cancelled_start_leaves_nothing(place: Place) -> None:
    start = place.start(SLEEP, gateway_command=(sys.executable, "-c", "import time; time.sleep(300)"))
    starting = asyncio.create_task(start.run())
    run = start.site.run_folder(start.identifier).path
    await eventually((run / "gateway.log").exists, "the gateway", pause=0.001)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert tree(run) == []
    assert not (run / "shared").exists()


async def test_a_start_cancelled_before_its_supervisor_runs_leaves_nothing(place: Place) -> None:
    steps: list[Callable[[Path], object]] = [
        lambda run: True,
        lambda run: run.exists(),
        lambda run: list(run.iterdir()) if run.exists() else [],
        lambda run: tree(run),
    ]
    for step in steps:
        start = place.start(SLEEP)
        run = start.site.run_folder(start.identifier).path
        starting = asyncio.create_task(start.run())
        await eventually(lambda step=step, run=run: step(run), pause=0)
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting
        await eventually(lambda run=run: not tree(run), lambda run=run: f"the end of {tree(run)}")


def spawned(start: Start) -> subprocess.Popen[bytes]:
    plan, opened = start._prepare()
    return instance._spawn(start.site.run_folder(start.identifier).path, plan, opened)


def test_a_supervisor_begins_with_its_signals_blocked(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python drops a KeyboardInterrupt that comes at some places of an import."""
    program = place.folder / "says"
    program.write_text("import signal; print(*sorted(map(int, signal.pthread_sigmask(signal.SIG_BLOCK, []))))")
    monkeypatch.setattr(instance, "SUPERVISOR", program)
    start = place.start(SLEEP)
    process = spawned(start)
    assert process.stdout is not None
    with process.stdout:
        assert process.stdout.read() == b"2 15\n"
    assert process.wait(60) == 0
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == set()
    start.clear(start.site.run_folder(start.identifier))


def test_a_stop_that_comes_at_once_starts_nothing(place: Place) -> None:
    start = place.start(SLEEP)
    process = spawned(start)
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 0
    assert process.stdout is not None
    process.stdout.close()
    run = start.site.run_folder(start.identifier)
    assert json.loads((run.path / "exit.json").read_text())["who"] == "stop"
    assert not (run.path / "network.pid").exists()
    assert tree(run.path) == []
    start.clear(run)


async def test_the_tether_ends_all_when_it_is_killed(place: Place) -> None:
    demo = await asyncio.create_subprocess_exec("sleep", "300")
    tether = Process.of(demo.pid)
    run, running = await place.run(SLEEP, tether=tether)
    demo.kill()
    await demo.wait()
    assert gone(running.supervisor)
    assert tree(run) == []


async def test_a_killed_supervisor_takes_everything_with_it(place: Place) -> None:
    run, running = await place.run(SLEEP)
    running.supervisor.signal(signal.SIGKILL)
    assert gone(running.supervisor)
    VisaSandboxSpawner._sweep(place.state, set(), 0.0)
    await eventually(lambda: not tree(run), lambda: f"the end of {tree(run)}")
    assert "supervisor was killed" in ending_of(run).sentence


async def test_a_sweep_ends_what_nobody_knows_and_spares_the_rest(place: Place) -> None:
    known, running = await place.run(SLEEP)
    unknown, other = await place.run(SLEEP)
    assert set(_supervisors(place.state)) == {known.name, unknown.name}
    assert VisaSandboxSpawner._sweep(place.state, {known.name}, 60.0) == []
    assert VisaSandboxSpawner._sweep(place.state, {known.name}, 0.0) == [unknown.name]
    assert running.supervisor.is_alive()
    assert not other.supervisor.is_alive()
    assert not (unknown / "shared").exists()
    assert (known / "shared").exists()


async def test_an_instance_outlives_the_process_that_started_it(place: Place) -> None:
    run, running = await place.run(SLEEP)
    assert os.getsid(running.supervisor.pid) == running.supervisor.pid
    os.kill(running.supervisor.pid, signal.SIGHUP)
    os.kill(running.supervisor.pid, signal.SIGPIPE)
    instance.end(running.supervisor.pid, running.supervisor, now=False)
    assert json.loads((run / "exit.json").read_text())["who"] == "stop", "it lived until it was asked to end"


async def refused(place: Place, **changes: object) -> str:
    with pytest.raises(StartFailed) as caught:
        await place.start(SLEEP, place.spec(**changes)).run()
    assert tree(place.state / "instances") == []
    return str(caught.value.message)


def mount(root: str, path: str, target: str, read_only: bool = True) -> Mount:
    return Mount(DataRootId(root), path, target, read_only, ExperimentId("E1"))


async def test_missing_data_is_said_with_its_experiment_and_not_made(place: Place) -> None:
    sentence = await refused(place, mounts=(mount("raw", "E77", "/data/E1"),))
    assert "data of experiment E1 is not there" in sentence
    assert not (place.folder / "data" / "E77").exists()


async def test_links_out_of_the_data_root_are_refused(place: Place) -> None:
    (place.folder / "data" / "bad").symlink_to(place.state)
    assert "leads out of the data root" in await refused(place, mounts=(mount("raw", "bad", "/data/E1"),))
    (place.folder / "data" / "up").symlink_to("..")
    assert "leads out of the data root" in await refused(place, mounts=(mount("raw", "up", "/data/E1"),))


async def test_a_missing_shared_folder_is_left_out_and_a_present_one_is_writable(place: Place) -> None:
    script = "ls / > $VISA_RUN/.t; touch /shared/E1/mine; mv $VISA_RUN/.t $VISA_RUN/told; sleep 60"
    shared = mount("shared", "E1", "/shared/E1", read_only=False)
    run, _running = await place.run(("sh", "-c", script), place.spec(mounts=(shared,)))
    assert "shared" not in wait_for_file(run / "shared" / "told")
    folder = place.folder / "shared" / "E1"
    folder.mkdir(parents=True)
    folder.chmod(0o777)
    run, _running = await place.run(("sh", "-c", script), place.spec(mounts=(shared,)))
    assert "shared" in wait_for_file(run / "shared" / "told")
    assert (folder / "mine").exists()


async def test_a_home_that_is_a_link_or_somebody_elses_is_refused(place: Place) -> None:
    homes = place.state / "homes"
    homes.mkdir()
    (homes / "marie").symlink_to("/root")
    assert "home folder could not be opened" in await refused(place)
    (homes / "marie").unlink()
    (homes / "marie").mkdir()
    assert "belongs to the account 0" in await refused(place)


async def test_an_environment_without_jupyterlab_is_said(place: Place) -> None:
    start = place.start(inside.LAUNCH)
    data = start.facility.model_dump()
    data["environments"]["plain"]["local"]["prefix"] = str(place.folder / "prefix")
    with pytest.raises(StartFailed, match="has no JupyterLab"):
        await replace(start, facility=type(start.facility).model_validate(data)).run()
    data["environments"]["plain"]["local"]["prefix"] = str(place.folder / "nowhere")
    with pytest.raises(StartFailed, match="is not installed"):
        await replace(start, facility=type(start.facility).model_validate(data)).run()


async def test_a_state_folder_that_every_instance_would_see_is_refused(place: Place) -> None:
    start = place.start(SLEEP)
    data = start.facility.model_dump()
    data["environments"]["plain"]["local"]["prefix"] = str(place.folder)
    with pytest.raises(StartFailed, match="lies inside"):
        await replace(start, facility=type(start.facility).model_validate(data)).run()
