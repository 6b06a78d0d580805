"""When memory ends, what people started goes first: Jupyter, terminals and other kernels live on."""

from __future__ import annotations

import httpx
import pytest

from tests.hub.test_restart import start
from tests.services.hub import RunningHub
from tests.services.kernel import Kernel
from tests.services.waiting import until

pytestmark = pytest.mark.timeout(300)

EAT = """
import subprocess, sys
small = "import sys; x = bytearray(48 << 20); x[::4096] = b'x' * len(x[::4096]); print(1, flush=True); sys.stdin.read()"
eaters, count = [], 0
while not any(one.poll() is not None for one in eaters) and count < 200:
    one = subprocess.Popen([sys.executable, "-c", small], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    eaters.append(one)
    count += 1
    one.stdout.readline()
print("killed", [one.returncode for one in eaters if one.poll() is not None])
for one in eaters:
    one.kill()
    one.wait()
"""
VALUES = """
import os
def value(pid):
    return int(open(f"/proc/{pid}/oom_score_adj").read())
print(value("self"), value(os.getppid()))
"""


def test_many_small_programs_fill_the_memory_and_none_else_is_killed(shared_hub: RunningHub) -> None:
    """Jupyter is larger than each of them, and the kernel of the system takes the largest of equals."""
    token, base = shared_hub.token("marie"), f"{shared_hub.url}/user/marie/full/"
    start(shared_hub, token, "full")
    headers = {"Authorization": f"token {token}"}
    kept, eater = Kernel.begin(base, headers), Kernel.begin(base, headers)
    kept.run("kept = 6 * 7")
    with httpx.Client(base_url=base, headers=headers, timeout=30) as client:
        terminal = client.post("api/terminals").json()["name"]
        began = client.get("api/status").json()["started"]
        assert "killed [-9" in eater.run(EAT, 200)
        assert client.get("api/status").json()["started"] == began, "the same Jupyter"
        assert [one["name"] for one in client.get("api/terminals").json()] == [terminal]
        assert kept.run("print(kept)") == "42\n"
    with shared_hub.api(token) as api:
        assert api.get("/users/marie").json()["servers"]["full"]["ready"]
        api.request("DELETE", "/users/marie/servers/full", json={"remove": True})


def test_a_kernel_that_eats_it_all_goes_alone(shared_hub: RunningHub) -> None:
    token, base = shared_hub.token("marie"), f"{shared_hub.url}/user/marie/eats/"
    start(shared_hub, token, "eats")
    headers = {"Authorization": f"token {token}"}
    kept, eater = Kernel.begin(base, headers), Kernel.begin(base, headers)
    kept.run("kept = 6 * 7")
    with httpx.Client(base_url=base, headers=headers, timeout=30) as client:
        began = client.get("api/status").json()["started"]
        terminal = client.post("api/terminals").json()["name"]
        eater.dies_of("x = []\nwhile True: x.append(b'x' * (16 << 20))")
        assert client.get("api/status").json()["started"] == began, "the same Jupyter"
        assert [one["name"] for one in client.get("api/terminals").json()] == [terminal]
        assert kept.run("print(kept)") == "42\n"
    with shared_hub.api(token) as api:
        api.request("DELETE", "/users/marie/servers/eats", json={"remove": True})


@pytest.mark.backend
def test_kernels_and_terminals_go_before_jupyter(shared_hub: RunningHub) -> None:
    token, base = shared_hub.token("marie"), f"{shared_hub.url}/user/marie/order/"
    start(shared_hub, token, "order")
    headers = {"Authorization": f"token {token}"}
    kernel, jupyter = map(int, (found := Kernel.begin(base, headers)).run(VALUES).split())
    assert kernel == 1000
    assert jupyter < kernel
    assert jupyter >= 300, "a gateway's is lower, where it can be"
    with httpx.Client(base_url=base, headers=headers, timeout=30) as client:
        client.post("api/terminals")
        shells = "import psutil; print(*(p.pid for p in psutil.Process(os.getppid()).children() if p.terminal()))"
        pids = until(lambda: found.run(shells).split(), 60, "the terminal")
        assert [found.run(f"print(value({pid}))") for pid in pids] == ["1000\n"]
    with shared_hub.api(token) as api:
        api.request("DELETE", "/users/marie/servers/order", json={"remove": True})
