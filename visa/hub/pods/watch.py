"""One watch of a namespace's instances, shared by all spawners of a hub.

KubeSpawner's own lists every pod every few seconds, which holds up a hub with a thousand of them, and when
it dies its picture freezes without a word (jupyterhub/kubespawner#938). This one lists by pages, then
follows; when nothing is heard it connects again, and says since when it is blind.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
from kubernetes_asyncio.client.exceptions import ApiException

from visa import clock

log = logging.getLogger(__name__)

Pod = dict[str, Any]

_PAGE = 100
_FOLLOW = 240
"""Seconds after which the API server ends a watch by itself."""
_SILENCE = 90
"""Seconds without a byte after which the connection is taken for dead; bookmarks come about every minute."""
_BACKOFF = (0.2, 5.0)
_FAULTS = (ApiException, aiohttp.ClientError, OSError, ValueError)
"""Of the API server or the way to it; anything else is ours."""


class PodWatch:
    """``pods``: what is known, by name, cut down to what is used. ``on_change`` gets every pod that changed."""

    def __init__(self, api: Any, namespace: str, selector: str) -> None:
        self._api, self._namespace, self._selector = api, namespace, selector
        self.pods: dict[str, Pod] = {}
        self.on_change: list[Callable[[str, Pod | None], None]] = []
        self._waiting: dict[str, set[asyncio.Event]] = {}
        self._task: asyncio.Task[None] | None = None
        self._loaded = asyncio.Event()
        self._heard = clock.elapsed()

    def start(self) -> None:
        """Begin; harmless when it runs. A watch that ended by a fault of ours begins anew."""
        if self._task is None or self._task.done():
            if self._task is not None and not self._task.cancelled() and self._task.exception() is not None:
                log.error("The watch of instances failed; it begins anew", exc_info=self._task.exception())
            self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """End it."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    async def loaded(self, seconds: float) -> bool:
        """Whether all pods are known, waited for at most ``seconds``."""
        try:
            await asyncio.wait_for(self._loaded.wait(), seconds)
        except TimeoutError:
            return False
        return True

    @property
    def blind(self) -> float:
        """Seconds for which nothing was heard of the API server beyond what is usual; 0 when all is well."""
        silent = clock.elapsed() - self._heard
        return silent if silent > _SILENCE + 10 else 0.0

    async def changed(self, name: str, seconds: float) -> None:
        """Wait until the pod changes, at most ``seconds``."""
        event = asyncio.Event()
        self._waiting.setdefault(name, set()).add(event)
        try:
            await asyncio.wait_for(event.wait(), seconds)
        except TimeoutError:
            return
        finally:
            self._waiting[name].discard(event)
            if not self._waiting[name]:
                del self._waiting[name]

    # the watch itself

    async def _run(self) -> None:
        pause = _BACKOFF[0]
        version: str | None = None
        while True:
            began = clock.elapsed()
            try:
                if version is None:
                    version = await self._list()
                async for kind, item in self._follow(version):
                    version = self._take(kind, item) or version
                    pause = _BACKOFF[0]
            except _Gone:
                version = None
            except Exception as error:
                ours = not isinstance(error, _FAULTS)
                said = "The API server cannot be asked about instances (%s); again in %.1f s"
                log.warning(said, _say(error), pause, exc_info=ours)
                version = None
            # Also after an end in order: a server or proxy may end every watch at once.
            await asyncio.sleep(pause)
            pause = _BACKOFF[0] if clock.elapsed() - began > 2 * _BACKOFF[1] else min(2 * pause, _BACKOFF[1])

    async def _list(self) -> str:
        """Take in everything, page by page, and drop what is gone; the version to follow from."""
        seen: set[str] = set()
        more: dict[str, str] = {}
        while True:
            answer = await self._ask(limit=_PAGE, **more)
            page = json.loads(await answer.read())
            if answer.status >= 400:
                raise _Gone if answer.status == 410 else ApiException(status=answer.status, reason=page.get("message"))
            self._heard = clock.elapsed()
            for item in page["items"]:
                seen.add(item["metadata"]["name"])
                self._put(slim(item))
            after = page["metadata"].get("continue")
            if not after:
                break
            more = {"_continue": after}
        for name in set(self.pods) - seen:
            self._drop(name)
        self._loaded.set()
        return str(page["metadata"]["resourceVersion"])

    async def _ask(self, **parameters: Any) -> Any:
        return await self._api.list_namespaced_pod(
            self._namespace,
            label_selector=self._selector,
            _preload_content=False,
            _request_timeout=aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=_SILENCE),
            **parameters,
        )

    async def _follow(self, version: str) -> AsyncIterator[tuple[str, Pod]]:
        answer = await self._ask(
            watch=True, resource_version=version, allow_watch_bookmarks=True, timeout_seconds=_FOLLOW
        )
        try:
            if answer.status >= 400:
                raise _Gone if answer.status == 410 else ApiException(status=answer.status, reason=answer.reason)
            while line := await answer.content.readline():
                self._heard = clock.elapsed()
                event = json.loads(line)
                if event["type"] == "ERROR":
                    if event["object"].get("code") == 410:
                        raise _Gone
                    raise ApiException(status=event["object"].get("code"), reason=event["object"].get("message"))
                yield event["type"], event["object"]
        finally:
            answer.close()

    def _take(self, kind: str, item: Pod) -> str | None:
        if kind == "DELETED":
            self._drop(item["metadata"]["name"])
        elif kind != "BOOKMARK":
            self._put(slim(item))
        version = item["metadata"].get("resourceVersion")
        return None if version is None else str(version)

    def _put(self, pod: Pod) -> None:
        name = pod["metadata"]["name"]
        if self.pods.get(name) != pod:
            self.pods[name] = pod
            self._tell(name, pod)

    def _drop(self, name: str) -> None:
        if self.pods.pop(name, None) is not None:
            self._tell(name, None)

    def _tell(self, name: str, pod: Pod | None) -> None:
        for event in self._waiting.get(name, ()):
            event.set()
        for listener in self.on_change:
            try:
                listener(name, pod)
            except Exception:
                log.exception("What follows from a change of pod %s failed", name)


class _Gone(Exception):
    """The version to follow from is too old: list again."""


def _say(error: BaseException) -> str:
    if isinstance(error, ApiException):
        return f"{error.status} {error.reason}"
    return str(error) or type(error).__name__


def slim(pod: Pod) -> Pod:
    """What is used of a pod: a tenth of its size."""
    meta, status, spec = pod["metadata"], pod.get("status") or {}, pod.get("spec") or {}
    labels = meta.get("labels") or {}
    return {
        "metadata": {
            "name": meta["name"],
            "uid": meta.get("uid"),
            "creationTimestamp": meta.get("creationTimestamp"),
            "deletionTimestamp": meta.get("deletionTimestamp"),
            "labels": {key: labels[key] for key in ("visa/instance",) if key in labels},
        },
        "spec": {"nodeName": spec.get("nodeName")},
        "status": {
            key: status[key]
            for key in (
                "phase",
                "reason",
                "message",
                "podIP",
                "conditions",
                "containerStatuses",
                "initContainerStatuses",
            )
            if key in status
        },
    }
