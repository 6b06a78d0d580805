"""Asking the API server: make and delete pods and claims. Faults are `StartFailed` with words for people."""

from __future__ import annotations

import asyncio
import json
import logging
from dataclasses import dataclass
from functools import partial
from typing import Any

from kubernetes_asyncio.client.exceptions import ApiException

from visa import clock
from visa.hub.admitted import StartFailed
from visa.hub.pods import failures
from visa.hub.pods.watch import PodWatch

log = logging.getLogger(__name__)

_TRIES = 5


class NoAnswer(Exception):
    """The API server cannot be reached or does not answer in time."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """One namespace. ``timeout``: seconds for a request; ``patience``: seconds for all tries together."""

    api: Any
    namespace: str
    watch: PodWatch
    timeout: float
    patience: float
    contact: str

    async def create(self, pod: dict[str, Any]) -> None:
        """Make the pod; a former one of its name ends first. Raise `StartFailed`."""
        name = pod["metadata"]["name"]
        for attempt in range(_TRIES):
            try:
                await self._ask(self.api.create_namespaced_pod, self.namespace, pod, _preload_content=False)
            except ApiException as error:
                if error.status != 409:
                    raise self._refused(name, error) from error
                log.info("A former pod %s is still there: ending it", name)
                await self.delete(name, grace=0)
            except NoAnswer as error:
                # It may have been made all the same: the next try finds it there and ends it.
                log.warning("The API server does not take pod %s (try %d): %s", name, attempt + 1, error)
                await asyncio.sleep(0.2 * 2**attempt)
            else:
                return
        raise StartFailed("The cluster does not answer.", f"Try again in a few minutes, or ask {self.contact}.")

    async def have_claim(self, claim: dict[str, Any]) -> None:
        """Make the claim unless it is there. Raise `StartFailed`."""
        name = claim["metadata"]["name"]
        read = self.api.read_namespaced_persistent_volume_claim
        create = self.api.create_namespaced_persistent_volume_claim
        try:
            await self._ask(read, name, self.namespace, _preload_content=False)
        except ApiException as error:
            if error.status != 404:
                raise self._refused(name, error) from error
            try:
                await self._ask(create, self.namespace, claim, _preload_content=False)
            except ApiException as refusal:
                if refusal.status != 409:
                    raise self._refused(name, refusal) from refusal
        except NoAnswer as error:
            raise StartFailed(
                "The cluster does not answer.", f"Try again in a few minutes, or ask {self.contact}."
            ) from error

    async def events(self, pod: dict[str, Any]) -> list[dict[str, Any]]:
        """What the cluster says of this pod, newest first; asked for only while it is slow to start."""
        selector = f"involvedObject.uid={pod['metadata']['uid']}"
        list_events = self.api.list_namespaced_event
        try:
            answer = await self._ask(list_events, self.namespace, field_selector=selector, _preload_content=False)
            items = json.loads(await answer.read()).get("items", [])
        except (ApiException, NoAnswer, ValueError) as error:
            log.warning("Events of pod %s cannot be read: %s", pod["metadata"]["name"], error)
            return []
        return sorted(items, key=lambda item: str(item.get("lastTimestamp") or ""), reverse=True)

    async def delete(self, name: str, *, grace: int) -> None:
        """Delete the pod and wait until it is gone. Raise ``TimeoutError`` when the cluster does not do it."""
        end, asked = clock.elapsed() + self.patience + grace, False
        delete = partial(self.api.delete_namespaced_pod, grace_period_seconds=grace, _preload_content=False)
        while clock.elapsed() < end:
            try:
                if not asked:
                    await self._ask(delete, name, self.namespace)
                    asked = True
                elif not await self._there(name):
                    return
                await self.watch.changed(name, 1.0)
            except ApiException as error:
                if error.status != 404:
                    raise
                return
            except NoAnswer as error:
                log.warning("Pod %s cannot be deleted just now: %s", name, error)
                await asyncio.sleep(0.5)
        raise TimeoutError(f"pod {name} did not go within {self.patience + grace:.0f} s")

    async def _there(self, name: str) -> bool:
        """As the watch knows; asked when that is blind."""
        return name in self.watch.pods if not self.watch.blind else await self.exists(name)

    async def exists(self, name: str) -> bool:
        """Whether the API server knows the pod. Raise ``ApiException`` or `NoAnswer`."""
        try:
            await self._ask(self.api.read_namespaced_pod, name, self.namespace, _preload_content=False)
        except ApiException as error:
            if error.status == 404:
                return False
            raise
        return True

    async def _ask(self, call: Any, *arguments: Any, **named: Any) -> Any:
        """One request, with its limit; raise ``ApiException`` for an answer that is none, or `NoAnswer`."""
        try:
            answer = await asyncio.wait_for(call(*arguments, **named), self.timeout)
        except OSError as error:  # TimeoutError and all of aiohttp's connection faults are one
            raise NoAnswer(str(error) or type(error).__name__) from error
        if answer.status >= 400:
            text = (await answer.read()).decode(errors="replace")
            refusal = ApiException(status=answer.status, reason=answer.reason)
            refusal.body = text
            raise refusal
        return answer

    def _refused(self, name: str, error: ApiException) -> StartFailed:
        said = str(error.body or error.reason)
        log.error("The API server refused %s: %s %s", name, error.status, said)
        cause = failures.refused_by_api(int(error.status or 0), said, self.contact)
        return StartFailed(cause.sentence, cause.remedy)
