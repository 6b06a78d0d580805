"""The REST API: the operations on one's own choices and instances. Those on people are in `visa.portal.sharing.api`."""

from __future__ import annotations

from typing import Any

from visa.catalogue.base import Search
from visa.portal import models
from visa.portal.operations import OPERATIONS, READ, WRITE, Call, Operation, operation
from visa.portal.sharing import api as people

__all__ = ["OPERATIONS", "READ", "WRITE", "Call", "Operation", "people"]


@operation("GET", "me", "Who the token belongs to", gives=models.MeOut)
async def me(call: Call) -> models.MeOut:
    """Her own description."""
    return await call.service.me(call.caller)


@operation("GET", "experiments", "Search one's experiments", gives=models.ExperimentsOut, given=models.ExperimentQuery)
async def experiments(call: Call) -> models.ExperimentsOut:
    """One page."""
    query: models.ExperimentQuery = call.given
    answer = await call.service.search(call.caller, Search(**query.model_dump()))
    return models.ExperimentsOut(
        experiments=[
            models.ExperimentOut.model_validate(
                {**{name: getattr(e, name) for name in models.ExperimentOut.model_fields}, "team": sorted(e.team)}
            )
            for e in answer.value.experiments
        ],
        total=answer.value.total,
        offset=query.offset,
        instruments=[models.Choice(id=key, name=name) for key, name in answer.value.instruments],
        years=list(answer.value.years),
        stale=answer.stale,
        as_of=answer.as_of,
    )


@operation("GET", "environments", "Environments, with the reason where not allowed", gives=list[models.EnvironmentOut])
async def environments(call: Call) -> list[models.EnvironmentOut]:
    """All of them."""
    return await call.service.environments(call.caller)


@operation("GET", "flavours", "Flavours, with the reason where not allowed now", gives=list[models.FlavourOut])
async def flavours(call: Call) -> list[models.FlavourOut]:
    """All of them."""
    return await call.service.flavours(call.caller)


@operation("GET", "quotas", "One's own limits and what is held of them", gives=list[models.QuotaOut])
async def own_quotas(call: Call) -> list[models.QuotaOut]:
    """Her limits."""
    return await call.service.quotas(call.caller)


@operation("GET", "instances", "One's instances, newest first", gives=list[models.InstanceOut])
async def instances(call: Call) -> list[models.InstanceOut]:
    """All of hers."""
    return await call.service.instances(call.caller)


@operation("POST", "instances", "Start a new instance", gives=models.InstanceOut, given=models.StartIn, status=202)
async def create(call: Call) -> models.InstanceOut:
    """Start one."""
    return await call.service.start_new(call.caller, call.given)


@operation("GET", "instances/{id}", "One instance", gives=models.InstanceOut)
async def instance(call: Call) -> models.InstanceOut:
    """One of hers."""
    return await call.service.instance(call.caller, call.path["id"])


@operation("PATCH", "instances/{id}", "Give it another title", gives=models.InstanceOut, given=models.TitleIn)
async def rename(call: Call) -> models.InstanceOut:
    """Rename."""
    return await call.service.rename(call.caller, call.path["id"], call.given.title)


@operation("DELETE", "instances/{id}", "Stop and delete it; files stay", gives=models.Nothing, status=204)
async def delete(call: Call) -> models.Nothing:
    """Delete."""
    await call.service.delete(call.caller, call.path["id"])
    return models.Nothing()


@operation("POST", "instances/{id}/start", "Start it again", gives=models.InstanceOut, status=202)
async def start(call: Call) -> models.InstanceOut:
    """Start a stopped one."""
    return await call.service.start_again(call.caller, call.path["id"])


@operation("POST", "instances/{id}/stop", "Stop it; files stay", gives=models.InstanceOut, status=202)
async def stop(call: Call) -> models.InstanceOut:
    """Stop."""
    return await call.service.stop(call.caller, call.path["id"])


@operation("POST", "instances/{id}/restart", "Stop it and start it again", gives=models.InstanceOut, status=202)
async def restart(call: Call) -> models.InstanceOut:
    """With processes of its own alone: kernels, terminals and programs end, files stay."""
    return await call.service.restart(call.caller, call.path["id"])


@operation("GET", "instances/{id}/events", "Progress of its start (server-sent events)", gives=str, stream=True)
async def events(call: Call) -> Any:
    """Steps, then the end."""
    await call.service.instance(call.caller, call.path["id"])
    return call.service.progress(call.caller, call.path["id"])
