"""``python -m visa.hub.awaiter NAMESPACE DAEMONSET SECONDS``: wait until every node has the images.

The chart runs it before an install or upgrade goes on: the first person after it does not wait for a pull.
A DaemonSet of the given name pulls (its pods are ready when they have everything).
"""

from __future__ import annotations

import asyncio
import sys

from kubernetes_asyncio import client, config
from kubernetes_asyncio.client.exceptions import ApiException

from visa import clock

_LOOK = 1.0


async def awaited(namespace: str, name: str, seconds: float) -> bool:
    """Whether all nodes had the images within ``seconds``; prints how far it is when that changes."""
    config.load_incluster_config()
    end, said = clock.elapsed() + seconds, ""
    async with client.ApiClient() as connection:
        api = client.AppsV1Api(connection)
        while clock.elapsed() < end:
            try:
                found = await asyncio.wait_for(api.read_namespaced_daemon_set(name, namespace), 10)
            except (OSError, ApiException) as error:
                now, done = f"The API server does not say: {getattr(error, 'reason', None) or error}", False
            else:
                status = found.status
                wanted, ready = status.desired_number_scheduled or 0, status.number_ready or 0
                now = f"{ready} of {wanted} nodes have the images"
                done = status.observed_generation == found.metadata.generation and ready >= wanted
            if now != said:
                print(now, flush=True)
                said = now
            if done:
                return True
            await asyncio.sleep(_LOOK)
    return False


if __name__ == "__main__":
    if not asyncio.run(awaited(sys.argv[1], sys.argv[2], float(sys.argv[3]))):
        sys.exit("Not every node has the images; the pods of the DaemonSet say why.")
