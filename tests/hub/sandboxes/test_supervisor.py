"""What the supervisor does to a part before it runs. Whole instances are in tests/hub/test_sandbox_life.py."""

from __future__ import annotations

import subprocess
import sys

import pytest

PREPARE = """
import sys
from visa.hub.sandboxes.supervisor import Part
began, adjust = sys.argv[1:]
with open("/proc/self/oom_score_adj", "w") as file:
    file.write(began)
part = Part.__new__(Part)
part.plan = {"cgroups": [], "memory": None}
part._prepare(int(adjust))
print(open("/proc/self/oom_score_adj").read())
"""


@pytest.mark.parametrize(("began", "adjust", "then"), [(20, 0, 20), (20, 300, 320), (500, 300, 800), (900, 300, 999)])
def test_nobody_s_place_when_memory_ends_is_made_better(began: int, adjust: int, then: int) -> None:
    """Below systemd's user sessions and in pods all begin higher, and only root may go below that: nothing started."""
    told = subprocess.run([sys.executable, "-c", PREPARE, str(began), str(adjust)], capture_output=True, check=True)
    assert int(told.stdout) == then
