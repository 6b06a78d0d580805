"""Reading experiment data in a pod against the node's own read of the same file, interleaved.

``python -m benchmarks.kubernetes.reading [ROUNDS] [--gigabytes N]``, on the node itself, with KUBECONFIG: a claim of
the default class is mounted read-only by subPath, as an instance's data is; each round reads the whole file in the pod
and on the node, in changing order, past the page cache (O_DIRECT) and through an emptied one. Wanted: at least 0.98
of the node's speed.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks import figures
from tests.services import cluster

WANTED = 0.98
POD, CLAIM, FOLDER = "reader", "data", "d22/2026/proposal/experiment"
PYTHON = "/opt/visa/bin/python"

WRITE = """
import os, sys
os.makedirs(os.path.dirname(sys.argv[1]), exist_ok=True)
block = os.urandom(64 << 20)
with open(sys.argv[1], "wb") as file:
    for number in range(int(sys.argv[2]) * 16):
        file.write(block[number:] + block[:number])
    os.fsync(file.fileno())
"""
READ = """
import mmap, os, sys, time
path, mode = sys.argv[1:3]
file = os.open(path, os.O_RDONLY | (os.O_DIRECT if mode == "direct" else 0))
os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
buffer, size, begun = mmap.mmap(-1, 4 << 20), 0, time.perf_counter()
while part := os.readv(file, [buffer]):
    size += part
seconds = time.perf_counter() - begun
assert size == os.stat(path).st_size
os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
print(size / 1e6 / seconds)
"""


def pod(name: str, command: list[str], mount: dict[str, object]) -> dict[str, object]:
    """A pod with the claim; ``mount`` says how."""
    container = {
        "name": "main",
        "image": cluster.image("gateway"),
        "imagePullPolicy": "IfNotPresent",
        "command": command,
        "volumeMounts": [{"name": CLAIM, "mountPath": "/data/experiment", **mount}],
        "resources": {"requests": {"cpu": "10m"}},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    read_only = bool(mount.get("readOnly"))
    volume = {"name": CLAIM, "persistentVolumeClaim": {"claimName": CLAIM, "readOnly": read_only}}
    security = {"runAsNonRoot": True, "runAsUser": 20001, "seccompProfile": {"type": "RuntimeDefault"}}
    spec = {"containers": [container], "volumes": [volume], "restartPolicy": "Never", "securityContext": security}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}


def place_on_node(space: cluster.Namespace) -> Path:
    """The folder of the node that the claim is."""
    volume = space.run("get", "pvc", CLAIM, "-o", "jsonpath={.spec.volumeName}")
    spec = json.loads(cluster.kubectl("get", "pv", volume, "-o", "json"))["spec"]
    path = Path((spec.get("local") or spec.get("hostPath") or {}).get("path", "/nonexistent"))
    if not path.is_dir():
        sys.exit(f"The claim's folder {path} is not on this machine: run this on the node, with local volumes.")
    return path


def speeds_of(space: cluster.Namespace, gigabytes: int, rounds: int) -> dict[str, dict[str, list[float]]]:
    """MB/s of each round, by mode and by who read."""
    space.claim(CLAIM, f"{gigabytes + 1}Gi")
    file = f"{FOLDER}/big.bin"
    write = ["/bin/sh", "-c", f'exec {PYTHON} -c "$1" "/data/experiment/{file}" {gigabytes}', "sh", WRITE]
    space.apply(pod("writer", write, {}))
    space.run("wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/writer", "--timeout=300s", seconds=320)
    space.apply(pod(POD, ["sleep", "3600"], {"readOnly": True, "subPath": FOLDER}))
    space.run("wait", "--for=condition=Ready", f"pod/{POD}", "--timeout=60s")
    node_file = str(place_on_node(space) / file)

    def in_pod(mode: str) -> float:
        inside = ("exec", POD, "--", PYTHON, "-c", READ, "/data/experiment/big.bin", mode)
        return float(space.run(*inside, seconds=600))

    def on_node(mode: str) -> float:
        command = [sys.executable, "-c", READ, node_file, mode]
        return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)

    ways: dict[str, Callable[[str], float]] = {"pod": in_pod, "node": on_node}
    found: dict[str, dict[str, list[float]]] = {mode: {way: [] for way in ways} for mode in ("direct", "cold")}
    for mode, speeds in found.items():
        on_node(mode)  # the first read after another kind of reading is slower, whoever makes it
        for number in range(rounds):
            for way in sorted(ways, reverse=number % 2 == 1):
                empty_cache()
                speeds[way].append(ways[way](mode))
    return found


def empty_cache() -> None:
    """Of the node, where this account may; READ at least asks for it."""
    with contextlib.suppress(PermissionError):
        Path("/proc/sys/vm/drop_caches").write_text("1")


def measure(rounds: int, gigabytes: int) -> Iterator[figures.Figure]:
    """Read in turn by pod and node."""
    with cluster.namespace("images-reading", filled=False) as space:
        found = speeds_of(space, gigabytes, rounds)
    for mode, speeds in found.items():
        for way, values in speeds.items():
            yield figures.median(f"reading, {mode}, {way}, median", "MB/s", values)
        yield figures.ratio(f"reading, {mode}, pod over node", speeds["pod"], speeds["node"], least=WANTED)


BENCHMARK = figures.Benchmark("benchmarks.kubernetes.reading", __doc__, measure, rounds=6, gigabytes=4)

if __name__ == "__main__":
    BENCHMARK.main()
