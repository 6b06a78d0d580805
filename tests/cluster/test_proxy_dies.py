"""The chart's proxy is killed in its container: the kubelet starts it again, and the hub fills it."""

from __future__ import annotations

from tests.services.hub import until
from tests.services.kernel import Kernel
from tests.services.release import Release

KILL = """
const fs = require("fs");
for (const pid of fs.readdirSync("/proc").filter((name) => /^[0-9]+$/.test(name) && name !== "1")) {
  let line = "";
  try { line = fs.readFileSync(`/proc/${pid}/cmdline`, "utf8"); } catch { continue; }
  if (line.includes("configurable-http-proxy") && Number(pid) !== process.pid) process.kill(Number(pid), "SIGKILL");
}
"""


def restarts(release: Release) -> int:
    (pod,) = release.pods("proxy")
    (status,) = pod["status"]["containerStatuses"]
    return int(status["restartCount"])


def test_a_proxy_that_is_killed_in_its_container_comes_back_and_sessions_go_on(release: Release) -> None:
    release.remove("marie")
    release.start("marie", "steady")
    token = release.token("marie")
    kernel = Kernel.begin(f"{release.url}/user/marie/steady/", {"Authorization": f"token {token}"})
    kernel.run("kept = 6 * 7")
    (before,), count = release.pods("proxy"), restarts(release)
    release.namespace.inside(before["metadata"]["name"], "/usr/bin/node", "-e", KILL, container="proxy", check=False)
    until(lambda: restarts(release) == count + 1, 120, "the kubelet's restart")
    assert kernel.run_once_back("print(kept)") == "42\n"
    with release.rest(token) as rest:
        until(lambda: rest.get("me").status_code == 200, 60, "the portal's route")
    (after,) = release.pods("proxy")
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    release.remove("marie")
