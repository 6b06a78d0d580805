"""On Kubernetes the gateway tells the hub that it listens, and later what it noticed.

The hub need not wait for the kubelet's next round, and answers with the certificate for this pod's address:
the proxy then knows that it speaks with this gateway, and with nothing else in the pod.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import os
import ssl
from collections.abc import Awaitable, Callable
from typing import Any

from visa import clock
from visa.session import run
from visa.session.hub import Hub, HubRefused, HubUnavailable
from visa.session.kept import Kept
from visa.session.settings import BadSettings, GatewaySettings

log = logging.getLogger(__name__)

_PATIENCE = 120.0
"""Seconds for which the hub may not answer, or not expect this gateway (it restarted), before it is given up."""
_PAUSES = (0.05, 2.0)
_LOOK = 2.0
_KILLED = "killed-for-memory"


def url_of(address: str, port: int, tls: bool) -> str:
    """Where the proxy reaches this gateway; raise `BadSettings`."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError as error:
        raise BadSettings(f"VISA_ADDRESS {address!r} is not an address") from error
    host = f"[{ip}]" if ip.version == 6 else str(ip)
    return f"{'https' if tls else 'http'}://{host}:{port}"


async def environment_began(settings: GatewaySettings) -> None:
    """Until the launcher runs in the environment: a gateway beside an image that cannot be had is no instance."""
    while "began" not in os.listdir(settings.run):
        await asyncio.sleep(0.01)


async def announce(hub: Hub, settings: GatewaySettings, port: int, kept: Kept | None = None) -> ssl.SSLContext | None:
    """Tell the hub, once the environment runs, that this gateway listens at ``port``.

    The TLS context to serve with; None for plain HTTP. Where a former gateway of the instance left its certificate for
    the same address in ``kept``, the hub knows already, and need not be there.
    Raise `HubUnavailable` or `HubRefused` when the hub does not take it for two minutes.
    """
    kept, url = kept or Kept(), url_of(settings.address, port, settings.tls)
    served = next((line for line in kept.lines if line.get("served") == url), None)
    if served is None:
        await environment_began(settings)
        answer = await _patiently(lambda: hub.report({"url": url}))
        if settings.tls and not (answer.get("certificate") and answer.get("key")):
            raise HubRefused("the hub gave no certificate although VISA_TLS is set")
        served = {"served": url, "certificate": answer.get("certificate"), "key": answer.get("key")}
        kept.add(**served)
    kept.state.append(lambda: [served])
    return context(str(served["certificate"]), str(served["key"])) if settings.tls else None


async def _patiently(ask: Callable[[], Awaitable[dict[str, Any]]]) -> dict[str, Any]:
    end, pause = clock.elapsed() + _PATIENCE, _PAUSES[0]
    while True:
        try:
            return await ask()
        except (HubUnavailable, HubRefused) as error:
            # Refused too: network policies reach a new pod late, and a hub that restarts knows nobody yet.
            if clock.elapsed() > end:
                raise
            log.warning("The hub does not take the report (%s); again in %.2f s", error, pause)
        await asyncio.sleep(pause)
        pause = min(1.5 * pause, _PAUSES[1])


def context(certificate: str, key: str) -> ssl.SSLContext:
    """To serve with; nothing is written where the environment could read it."""
    descriptor = os.memfd_create("certificate")
    try:
        os.write(descriptor, f"{certificate}\n{key}\n".encode())
        made = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        made.load_cert_chain(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)
    return made


def memory_told(settings: GatewaySettings) -> int:
    """How many were killed before a gateway took over from one that has told of them."""
    return _count(os.path.join(settings.run, _KILLED))


async def tell_of_memory(hub: Hub, settings: GatewaySettings, told: int = 0) -> None:
    """Until cancelled: tell the hub when a program in the environment was killed for memory, beyond ``told``.

    A kernel that is killed leaves Jupyter, and on cgroup v1 the pod, running. The count comes from the
    environment, so nothing but a number is taken from it.
    """
    path = os.path.join(settings.run, _KILLED)
    while True:
        await asyncio.sleep(_LOOK)
        count = _count(path)
        if count <= told:
            continue
        times = "A program" if count == 1 else f"{count} programs"
        notice = f"{times} in this instance ended because the memory was full: perhaps a notebook's kernel."
        try:
            await hub.report({"notice": f"{notice} Use less at once, or choose a flavour with more memory."})
        except (HubUnavailable, HubRefused) as error:
            log.warning("The hub was not told of full memory; the next look tries again: %s", error)
        else:
            told = count


def _count(path: str) -> int:
    try:
        text = run.read(path, 16)
    except OSError:
        return 0
    return int(text) if text.strip().isdigit() and len(text.strip()) < 7 else 0
