"""What a removed collaborator leaves behind: programs end with a restart, changed start-up files are told."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.hub.sharing.members import Instance
from tests.services.hub import RunningHub
from tests.services.kernel import Kernel
from tests.services.waiting import until

LINE = ".ipython/profile_default/startup/99-left.py"
LEAVES = f"""
import os, subprocess, sys
home = os.environ["HOME"]
os.makedirs(os.path.dirname(f"{{home}}/{LINE}"), exist_ok=True)
open(f"{{home}}/{LINE}", "w").write("LEFT = True")
held = "import fcntl, os, time; f = open(os.environ['HOME'] + '/held', 'w'); fcntl.flock(f, 2); time.sleep(10**6)"
left = subprocess.Popen([sys.executable, "-c", held], start_new_session=True)
print("left", left.pid)
"""
LOOKS = """
import fcntl, os
try:
    fcntl.flock(open(os.environ["HOME"] + "/held", "w"), fcntl.LOCK_EX | fcntl.LOCK_NB)
    print("free")
except OSError:
    print("held")
"""


@pytest.fixture
def instance(shared_hub: RunningHub) -> Iterator[Instance]:
    made = Instance(shared_hub, "left-behind")
    made.start(experiments=["exp-1"])
    made.share()
    yield made
    made.remove()


def of(instance: Instance, who: str) -> Kernel:
    return Kernel.begin(instance.url, {"Authorization": f"token {instance.token(who)}"})


def files(instance: Instance) -> dict[str, Any]:
    """What the owner is told."""
    with instance.hub.rest(instance.token("marie")) as rest:
        answer = rest.post(f"instances/{instance.id}/startup-files", json={"username": "rosalind"})
        assert answer.status_code == 200, answer.text
        return dict(answer.json())


@pytest.mark.backend
def test_a_restart_ends_what_a_removed_collaborator_left_and_their_lines_are_told(instance: Instance) -> None:
    instance.let_in("rosalind", "collaborator")
    instance.in_within("rosalind")
    until(lambda: files(instance)["told"], 60, "the instance tells")
    assert LINE not in [one["path"] for one in files(instance)["files"]]
    kernel = of(instance, "rosalind")
    assert "left" in kernel.run(LEAVES)
    with instance.hub.rest(instance.token("marie")) as rest:
        assert rest.delete(f"instances/{instance.id}/members/rosalind").status_code == 204
        instance.out_within("rosalind")
        mine = of(instance, "marie")
        until(lambda: "held" in mine.run(LOOKS), 60, "it runs on as the owner")
        told = {one["path"]: one for one in files(instance)["files"]}
        assert told[LINE]["kind"] == "file"
        assert "kernel" in told[LINE]["why"]
        answer = rest.post(f"instances/{instance.id}/restart", timeout=120)
        assert answer.status_code == 202, answer.text
        until(lambda: instance.get("marie").status_code == 200, 120, "Jupyter's answer")
        assert "free" in of(instance, "marie").run(LOOKS), "its end is the restart's"
        until(
            lambda: LINE in [one["path"] for one in files(instance)["files"]], 60, "the line is told by clean processes"
        )
        assert instance.get("rosalind").status_code in (401, 403)
