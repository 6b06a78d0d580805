"""A small API server: lists pods by pages and lets them be watched, with faults that a real one seldom has."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

from aiohttp import web
from kubernetes_asyncio.client import ApiClient, Configuration, CoreV1Api

Pod = dict[str, Any]


def pod(name: str, **status: Any) -> Pod:
    """As small as a pod can be."""
    meta = {"name": name, "uid": f"u-{name}", "labels": {"visa/instance": name}, "creationTimestamp": "2026-11-25"}
    return {"metadata": meta, "spec": {"nodeName": "n"}, "status": {"phase": "Running", **status}}


class ApiServer:
    """``answers``: statuses or texts given to the next requests instead of the truth; ``silent``: it never answers."""

    def __init__(self) -> None:
        self.pods: dict[str, Pod] = {}
        self.version = 100
        self.lists: list[dict[str, str]] = []
        self.watches: list[dict[str, str]] = []
        self.answers: list[int | str] = []
        self.silent = False
        self.ends_at_once = False
        self.too_old_pages = 0
        self.limits: list[int] = []
        self._streams: list[asyncio.Queue[bytes | None]] = []

    # what happens in the cluster

    def put(self, made: Pod) -> None:
        """Make or change a pod; watchers hear of it."""
        name = made["metadata"]["name"]
        kind = "MODIFIED" if name in self.pods else "ADDED"
        self.pods[name] = made
        self.say(kind, self._numbered(made))

    def remove(self, name: str) -> None:
        """Delete one."""
        self.say("DELETED", self._numbered(self.pods.pop(name)))

    def forget(self, name: str) -> None:
        """Delete one while nobody hears of it."""
        del self.pods[name]

    def say(self, kind: str, item: Any) -> None:
        """An event to whoever watches now."""
        for stream in self._streams:
            stream.put_nowait(json.dumps({"type": kind, "object": item}).encode() + b"\n")

    def write(self, line: bytes) -> None:
        """These very bytes."""
        for stream in self._streams:
            stream.put_nowait(line)

    def cut(self) -> None:
        """Break the connections of whoever watches."""
        for stream in self._streams:
            stream.put_nowait(None)

    def end_watches(self) -> None:
        """End them in order, as after some minutes."""
        for stream in self._streams:
            stream.put_nowait(b"")

    def _numbered(self, made: Pod) -> Pod:
        self.version += 1
        return {**made, "metadata": {**made["metadata"], "resourceVersion": str(self.version)}}

    # answers

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        query = dict(request.query)
        following = query.get("watch") in ("true", "True")
        (self.watches if following else self.lists).append(query)
        if self.silent:
            await asyncio.Event().wait()
        if self.answers:
            answer = self.answers.pop(0)
            if isinstance(answer, str):
                return web.Response(text=answer, content_type="application/json")
            return web.json_response({"kind": "Status", "code": answer, "message": "no"}, status=answer)
        return await self._follow(request) if following else self._page(query)

    def _page(self, query: dict[str, str]) -> web.Response:
        first = int(query.get("continue", "0"))
        if first and self.too_old_pages:
            self.too_old_pages -= 1
            return web.json_response({"code": 410, "message": "The provided continue parameter is too old"}, status=410)
        limit = int(query["limit"])
        self.limits.append(limit)
        items = list(self.pods.values())
        meta = {"resourceVersion": str(self.version)}
        if first + limit < len(items):
            meta["continue"] = str(first + limit)
        return web.json_response({"kind": "PodList", "metadata": meta, "items": items[first : first + limit]})

    async def _follow(self, request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Type": "application/json"})
        answer.enable_chunked_encoding()
        await answer.prepare(request)
        if self.ends_at_once:
            return answer
        stream: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._streams.append(stream)
        try:
            while (line := await stream.get()) is not None:
                if not line:
                    return answer
                await answer.write(line)
            assert request.transport is not None
            request.transport.abort()
        finally:
            self._streams.remove(stream)
        return answer

    @contextlib.asynccontextmanager
    async def served(self) -> AsyncIterator[CoreV1Api]:
        """A client of it."""
        app = web.Application()
        app.router.add_get("/api/v1/namespaces/visa/pods", self._answer)
        runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        configuration = Configuration(host=f"http://127.0.0.1:{runner.addresses[0][1]}")
        try:
            async with ApiClient(configuration) as client:
                yield CoreV1Api(client)
        finally:
            await runner.cleanup()
