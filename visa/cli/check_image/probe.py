"""Runs inside the image, on Jupyter's own Python (3.8 and later): starts Jupyter as VISA does and measures it.

Prints ``fact KEY VALUE`` lines, as probe.sh does, and ``log TEXT`` with what Jupyter said where something failed.
"""

import importlib.util
import json
import os
import socket
import subprocess
import sys
import time

RUN = os.environ["VISA_RUN"]
BASE = os.environ["VISA_BASE_URL"]
SOCKET = RUN + "/jupyter.sock"
LOG = RUN + "/jupyter.log"
PACKAGES = ("jupyter_server", "jupyter_client", "jupyterlab", "jupyterlab_server", "tornado", "traitlets", "nbformat")
KERNEL_PACKAGES = ("ipykernel", "IPython")
PATIENCE = 60


def fact(key, value):
    print(f"fact {key} {value}", flush=True)


def folder_of(package):
    """Where a package is; None when it is not there."""
    spec = importlib.util.find_spec(package)
    return os.path.dirname(spec.origin) if spec and spec.origin else None


def usable(source):
    """Whether Python would take the byte code that stands beside a source file."""
    try:
        with open(importlib.util.cache_from_source(source), "rb") as file:
            head = file.read(16)
    except OSError:
        return False
    flags = int.from_bytes(head[4:8], "little")
    if head[:4] != importlib.util.MAGIC_NUMBER:
        return False
    return bool(flags & 1) or int.from_bytes(head[8:12], "little") == int(os.stat(source).st_mtime) & 0xFFFFFFFF


def byte_code():
    """How many files of Jupyter have byte code, of how many."""
    all_files = found = 0
    for package in PACKAGES + KERNEL_PACKAGES:
        for place, _, names in os.walk(folder_of(package) or os.devnull):
            sources = [os.path.join(place, name) for name in names if name.endswith(".py")]
            all_files += len(sources)
            found += sum(map(usable, sources))
    fact("bytecode", f"{found}/{all_files}")


def ask(path):
    """Status and body of one request by the socket, as the gateway makes them."""
    with socket.socket(socket.AF_UNIX) as stream:
        stream.settimeout(20)
        stream.connect(SOCKET)
        stream.sendall(f"GET {BASE}{path} HTTP/1.0\r\nHost: visa\r\n\r\n".encode())
        answer = b""
        while True:
            part = stream.recv(65536)
            if not part:
                break
            answer += part
    first, _, rest = answer.partition(b"\r\n\r\n")
    return int(first.split()[1]), rest


def started(process, began):
    """Seconds until the first answer; None when Jupyter ended or never answered."""
    while process.poll() is None and time.monotonic() - began < PATIENCE:
        try:
            ask("api")
        except OSError:
            time.sleep(0.01)
        else:
            return time.monotonic() - began
    return None


def launch():
    """Jupyter, in the way that VISA starts it."""
    with open(LOG, "wb") as log:
        return subprocess.Popen(["/bin/sh", RUN + "/launch"], stdin=subprocess.DEVNULL, stdout=log, stderr=log)


def say_log():
    with open(LOG, errors="replace") as file:
        for line in [line for line in file.read().splitlines() if line.strip()][-6:]:
            print("log", line[:400], flush=True)


def look_at_kernels():
    """Kernels that are offered, and whether the default one comes to life."""
    _, body = ask("api/kernelspecs")
    specs = json.loads(body)
    fact("kernels", " ".join(sorted(specs.get("kernelspecs", {}))))
    if not specs.get("kernelspecs"):
        return
    # By its own channels: Jupyter knows that a kernel lives only when a browser has spoken with it.
    began = time.monotonic()
    try:
        from jupyter_client.manager import start_new_kernel

        manager, client = start_new_kernel(PATIENCE, specs["default"], stderr=subprocess.DEVNULL)
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    except Exception as error:
        fact("kernel", "")
        print("log", (str(error).splitlines() or [type(error).__name__])[-1][:400], flush=True)
    else:
        fact("kernel", f"{time.monotonic() - began:.2f}")


def measure():
    """Twice, since the first start also reads the files from the disk."""
    for turn in ("first", "again"):
        began = time.monotonic()
        process = launch()
        try:
            seconds = started(process, began)
            fact("start-" + turn, f"{seconds:.2f}" if seconds is not None else "")
            if seconds is None:
                say_log()
                return
            if turn == "again":
                fact("page", ask("lab")[0])
                look_at_kernels()
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


def main():
    fact("python-version", ".".join(map(str, sys.version_info[:3])))
    for key, package in (("rfc3987", "rfc3987_syntax"), ("jupyterhub", "jupyterhub")):
        if importlib.util.find_spec(package):
            fact(key, "present")
    byte_code()
    measure()


main()
