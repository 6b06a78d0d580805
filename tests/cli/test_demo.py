"""`visa demo` when something is in its way: one clear sentence, and nothing left behind."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.services.hub import page_headers, until
from visa.cli.demo.facility.write import write_facility
from visa.cli.demo.leftovers import of
from visa.cli.demo.runner import free_ports
from visa.processes import arguments

pytestmark = pytest.mark.timeout(600)


def command(folder: Path, port: int, prefix: Path, *more: str) -> list[str]:
    arguments = ["demo", "--port", str(port), "--dir", str(folder), "--environment", str(prefix), *more]
    return [sys.executable, "-m", "visa.cli", *arguments]


def fails(*arguments: str | Path) -> str:
    """The one sentence that it ends with."""
    done = subprocess.run(
        [sys.executable, "-m", "visa.cli", "demo", *map(str, arguments)], capture_output=True, text=True
    )
    assert done.returncode == 1, done.stdout
    assert "Traceback" not in done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    return done.stderr


@contextmanager
def demo(
    folder: Path, prefix: Path, *more: str, port: int | None = None
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A running demo that has said its welcome; ended at the end if it is still there."""
    port = port or free_ports(1)[0]
    process = subprocess.Popen(command(folder, port, prefix, *more), stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        said = ""
        while "Ctrl-C ends the demo" not in said:
            line = process.stdout.readline()
            assert line, f"the demo ended: {said}"
            said += line
        yield process, f"http://127.0.0.1:{port}"
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            process.wait(60)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of demos that come one after the other: what the first has made, the next need not make again."""
    return tmp_path_factory.mktemp("demos") / "demo"


def start_instance(url: str, *, wait: bool = True) -> str:
    """Marie starts one, by her browser's means; where it is, when that is waited for."""
    with httpx.Client(base_url=url, follow_redirects=True, timeout=60) as client:
        page = client.get("/hub/login")
        xsrf = re.search(r'name="_xsrf" value="([^"]+)"', page.text)
        assert xsrf
        client.post("/hub/login?next=/services/visa/", data={"username": "marie", "password": "visa", "_xsrf": xsrf[1]})
        headers = page_headers(client)
        found = client.get("/services/visa/api/v1/experiments?limit=1", headers=headers).json()
        experiment = found["experiments"][0]["id"]
        options = {"experiments": [experiment], "environment": "imaging", "flavour": "small"}
        client.timeout = httpx.Timeout(60 if wait else 0.3)
        try:
            answer = client.post("/services/visa/api/v1/instances", json=options, headers=headers)
        except httpx.TimeoutException:
            assert not wait
            return ""
        assert answer.status_code == 202, answer.text
        return str(answer.json()["url"])


def test_things_in_the_way_are_one_sentence(tmp_path: Path, environment_prefix: Path) -> None:
    assert "environment is not at" in fails("--dir", tmp_path / "a", "--environment", tmp_path)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("x")
    for more in ([], ["--reset"]):
        said = fails("--dir", tmp_path / "mine", "--environment", environment_prefix, *more)
        assert "something else than a demo" in said
    assert (tmp_path / "mine" / "thesis.tex").exists()
    assert "cannot be used" in fails("--port", "80", "--dir", tmp_path / "a", "--environment", environment_prefix)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        said = fails("--port", port, "--dir", tmp_path / "b", "--environment", environment_prefix)
        assert f"Port {port} is in use" in said
    (tmp_path / "file").write_text("x")
    assert fails("--dir", tmp_path / "file" / "below", "--environment", environment_prefix)


def test_a_full_disk_is_one_sentence(tmp_path: Path, environment_prefix: Path) -> None:
    """On a file system of its own, of eight megabytes."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", folder]).returncode == 0
    assert mounted or os.geteuid() != 0
    try:
        if mounted:
            assert "MB are free" in fails("--dir", folder, "--environment", environment_prefix)
    finally:
        if mounted:
            subprocess.run(["umount", folder], check=True)


def test_a_second_demo_is_told_of_the_first_and_ctrl_c_leaves_nothing(folder: Path, environment_prefix: Path) -> None:
    with demo(folder, environment_prefix) as (process, url):
        (port,) = free_ports(1)
        for other in (port, url.rpartition(":")[2]):
            said = fails("--port", other, "--dir", folder, "--environment", environment_prefix)
            assert "runs in" in said
            assert url in said
        said = fails("--port", port, "--dir", folder, "--environment", environment_prefix, "--reset")
        assert "runs in" in said, "--reset does not pull the ground from under a running demo"
        start_instance(url)
        start_instance(url, wait=False)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
    assert list(of(folder)) == []
    before = sorted(path.name for path in (folder / "state" / "homes").iterdir())
    assert before == ["marie"]
    with demo(folder, environment_prefix):
        assert sorted(path.name for path in (folder / "state" / "homes").iterdir()) == before
    with demo(folder, environment_prefix, "--reset"):
        assert not (folder / "state" / "homes" / "marie").exists()
    assert list(of(folder)) == []


def test_a_demo_that_is_killed_leaves_no_process(folder: Path, environment_prefix: Path) -> None:
    """Nor is anybody else's process ended that only looks into its folder."""
    with demo(folder, environment_prefix) as (process, url):
        there = start_instance(url)
        assert re.match(rf"http://visa-[0-9a-f]{{16}}\.localhost:{url.rpartition(':')[2]}/user/marie/", there), there
        assert "demo-hosts" in httpx.get(f"{url}/hub/login", timeout=60).text
        assert {"traefik", "pasta", "jupyterhub", "supervisor.py"} >= kinds(folder) >= {"traefik", "supervisor.py"}
        log = folder / "state" / "traefik.log"
        reader = subprocess.Popen(["tail", "-f", log], stdout=subprocess.DEVNULL)
        try:
            process.kill()
            process.wait()
            # At once and on the same port: the keeper of the killed one holds the folder until all is gone.
            with demo(folder, environment_prefix, port=int(url.rpartition(":")[2])) as (second, _url):
                assert kinds(folder) == {"jupyterhub", "traefik"}, "the new demo's own"
                second.kill()
                second.wait()
                until(lambda: kinds(folder) == set(), 30, "everybody's end, with no next demo to see to it")
            assert reader.poll() is None, "a log may be read"
        finally:
            reader.kill()
            reader.wait()
    assert kinds(folder) == set()


def kinds(folder: Path) -> set[str]:
    """What runs there, by name."""
    words = [arguments(process.pid) for process in of(folder)]
    known = ("traefik", "pasta", "jupyterhub", "supervisor.py", "data.py")
    return {name for line in words for name in known if any(word.rpartition("/")[2] == name for word in line)}


def test_ctrl_c_in_the_middle_of_a_start_and_the_next_start(tmp_path: Path, environment_prefix: Path) -> None:
    folder = tmp_path / "demo"
    (port,) = free_ports(1)
    moments = (
        lambda: (folder / "lock").exists(),  # the sandbox is asked
        lambda: "data.py" in kinds(folder),
        lambda: "jupyterhub" in kinds(folder),
        lambda: "traefik" in kinds(folder),
    )
    for moment in moments:
        process = subprocess.Popen(
            command(folder, port, environment_prefix), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        until(moment, 60, "that moment")
        process.send_signal(signal.SIGINT)
        said, trouble = process.communicate(timeout=60)
        assert (process.returncode, trouble) == (0, ""), trouble
        assert said.strip().splitlines()[-1].startswith("Ended"), said
        assert kinds(folder) == set()
    with demo(folder, environment_prefix):
        assert kinds(folder) == {"jupyterhub", "traefik"}


def test_one_host_is_for_who_starts_it_to_choose_and_a_closed_terminal_ends_it_in_order(
    folder: Path, environment_prefix: Path
) -> None:
    with demo(folder, environment_prefix, "--one-host") as (process, url):
        there = start_instance(url)
        assert there.startswith("/user/marie/")
        assert "demo-hosts" not in httpx.get(f"{url}/hub/login", timeout=60).text
        assert process.stdout is not None
        process.stdout.close()
        process.send_signal(signal.SIGHUP)
        assert process.wait(60) == 0
    assert kinds(folder) == set()


def test_a_hub_that_ends_again_and_again_is_given_up(folder: Path, environment_prefix: Path) -> None:
    (port,) = free_ports(1)
    with subprocess.Popen(
        command(folder, port, environment_prefix), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        while "Ctrl-C ends the demo" not in process.stdout.readline():
            assert process.poll() is None
        for number in range(5):
            hub = until(lambda: [p for p in of(folder) if "jupyterhub" in arguments(p.pid)], 30, f"hub {number}")
            (folder / "jupyterhub_config.py").write_text("raise SystemExit('as the test wants it')")
            if number == 0:
                hub[0].signal(signal.SIGKILL)
            until(lambda: not hub[0].is_alive(), 30, "its end")  # noqa: B023 (asked at once)
        _said, trouble = process.communicate(timeout=60)
    assert process.returncode == 1
    assert trouble.count("\n") == 1
    assert "ended 5 times within a minute, last with: as the test wants it" in trouble
    assert kinds(folder) == set()


def test_a_facility_that_was_edited_badly_or_speaks_of_another_place(tmp_path: Path, environment_prefix: Path) -> None:
    folder = tmp_path / "demo"
    folder.mkdir()
    (folder / ".visa-demo").touch()
    write_facility(folder, tmp_path / "elsewhere")
    where: tuple[str | Path, ...] = (
        "--dir",
        folder,
        "--environment",
        environment_prefix,
        "--port",
        str(free_ports(1)[0]),
    )
    assert "names an environment that is not there" in fails(*where)
    text = (folder / "facility.yaml").read_text()
    (folder / "facility.yaml").write_text(text.replace("instances: 3", "instances: many"))
    said = fails(*where)
    assert "facility.yaml:" in said
    assert "visa check" in said


def test_a_desktop_is_offered_where_there_are_its_programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    monkeypatch.setenv("PATH", str(programs))
    offered = []
    for number, program in enumerate(("Xvnc", "openbox")):
        (tmp_path / str(number)).mkdir()
        write_facility(tmp_path / str(number), tmp_path)
        offered.append("desktop]" in (tmp_path / str(number) / "facility.yaml").read_text())
        (programs / program).touch(mode=0o755)
    (tmp_path / "both").mkdir()
    write_facility(tmp_path / "both", tmp_path)
    assert offered == [False, False]
    assert (tmp_path / "both/facility.yaml").read_text().count("sessions: [notebook, desktop]") == 3
