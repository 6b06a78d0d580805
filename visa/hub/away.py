"""What JupyterHub answers while a database cannot be used, its own or VISA's: 503, and it means it.

JupyterHub takes a database that fails while it looks who asks for "nobody is logged in", which becomes 403: gateways,
the portal and programs would take that for the last word. Elsewhere it answers 500. There is no setting for this.
Its session, which all requests share, is usable for the next request whatever happened to the one before.
"""

from __future__ import annotations

import html
import json
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from jupyterhub.apihandlers.base import APIHandler
from jupyterhub.handlers.base import BaseHandler
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session
from tornado import web

from visa import clock
from visa.hub.around import stand
from visa.navigation import navigated
from visa.store import faults

log = logging.getLogger(__name__)

TITLE = "The service cannot be asked at the moment"
_QUIET = 5.0
"""Seconds without a request after which the session's connection is looked at before it is used: JupyterHub leaves
its last transaction open, and the server may have been restarted since."""


class DatabaseAway(web.HTTPError):
    """A database cannot be used now; ``why`` is for the log."""

    def __init__(self, why: str) -> None:
        super().__init__(503, "A database cannot be used: %s", why, reason="Service Unavailable")


def say_when_a_database_is_away() -> None:
    """From now on, for all of JupyterHub's handlers, and those that derive from them."""
    stand(BaseHandler, "get_current_user", _user)
    stand(BaseHandler, "prepare", _prepare)
    stand(BaseHandler, "_record_activity", _record)
    stand(BaseHandler, "_handle_request_exception", _exception)


def end_all_the_same(app: Any) -> None:
    """A hub that is told to end while its database is away ends: its tidying up would fail, and leave it running."""
    own = app.cleanup

    async def cleanup() -> None:
        try:
            await own()
        except SQLAlchemyError as error:
            log.warning("The hub ends without tidying up: %s", faults.said(error))

    app.cleanup = cleanup


async def _prepare(own: Callable[[Any], Awaitable[None]], self: Any) -> None:
    """JupyterHub's own, which does not tell that it could not look; what it refuses then is not its word."""
    _freshen(self)
    try:
        await own(self)
    except web.HTTPError:
        if getattr(self, "_visa_fault", None) is None:
            raise
    fault = getattr(self, "_visa_fault", None)
    if fault is not None:
        raise DatabaseAway(faults.said(fault)) from fault


def _freshen(self: Any) -> None:
    """End a transaction that was left open, so that the connection is looked at when it is used next."""
    db, now = self.db, clock.elapsed()
    quiet, self.settings["visa_asked"] = now - self.settings.get("visa_asked", now), now
    if quiet < _QUIET or not db.in_transaction() or db.new or db.dirty or db.deleted:
        return
    try:
        db.commit()
    except SQLAlchemyError as error:
        log.info("JupyterHub's database was away meanwhile: %s", faults.said(error))
        roll_back(db)


async def _user(own: Callable[[Any], Awaitable[Any]], self: Any) -> Any:
    """Who asks. A connection that broke since it was used last is replaced, and the question asked once more.

    The second time nothing is written of who was here when: a database that only reads still tells who asks.
    """
    try:
        return await own(self)
    except SQLAlchemyError as error:
        if not faults.is_fault(error):
            raise
        log.info("JupyterHub's database could not say who asks, and is asked again: %s", faults.said(error))
        roll_back(self.db)
    del self._jupyterhub_user
    for noted in ("_token_authenticated", "_refreshed_users"):
        self.__dict__.pop(noted, None)
    self._visa_only_reads = True
    try:
        return await own(self)
    except SQLAlchemyError as error:
        self._visa_fault = error
        raise


def _record(own: Callable[..., bool], self: Any, *args: Any, **kwargs: Any) -> bool:
    return False if getattr(self, "_visa_only_reads", False) else bool(own(self, *args, **kwargs))


def roll_back(db: Session) -> None:
    """The session is usable again, whatever state it and its connection are in.

    It begins anew also where its connection cannot be asked to, which the pool then replaces. `Session.invalidate`
    would take JupyterHub's users out of it: from then on every question about them would fail.
    """
    try:
        db.rollback()
    except SQLAlchemyError as error:
        log.info("Rolling back failed, so the connection is given up: %s", faults.said(error))


def _exception(own: Callable[[Any, BaseException], None], self: Any, error: BaseException) -> None:
    """Answer 503 where JupyterHub would answer 500, in the form that fits who asks."""
    if faults.is_fault(error):
        roll_back(self.db)
        error = _raised(error)
    if not isinstance(error, DatabaseAway):
        own(self, error)
        return
    log.warning("503 %s %s: %s", self.request.method, self.request.path[:300], error)
    if self._finished or self._headers_written:
        if not self._finished:
            self.finish()
        return
    self.clear()
    self.set_status(503)
    self.set_header("Retry-After", str(faults.AGAIN))
    self.set_header("Cache-Control", "no-store")
    if isinstance(self, APIHandler) or not navigated(self.request.headers):
        self.set_header("Content-Type", "application/problem+json")
        self.finish(json.dumps(document()))
    else:
        self.set_header("Content-Type", "text/html; charset=utf-8")
        self.finish(page(again=self.request.method in ("GET", "HEAD")))


def _raised(error: BaseException) -> DatabaseAway:
    away = DatabaseAway(faults.said(error))
    away.__cause__ = error
    return away


def document() -> dict[str, object]:
    """For programs: problem+json, and ``message`` as JupyterHub's own errors have it."""
    return {
        "type": f"about:blank#{faults.REASON}",
        "title": "Service Unavailable",
        "status": 503,
        "detail": faults.SENTENCE,
        "message": f"{faults.SENTENCE} {faults.REMEDY}",
        "reason": faults.REASON,
        "remedy": faults.REMEDY,
        "field": None,
    }


def page(*, again: bool) -> str:
    """For people, without anything that would have to be asked; ``again``: it comes back by itself."""
    refresh = f'<meta http-equiv="refresh" content="{faults.AGAIN}">' if again else ""
    after = "This page comes back by itself." if again else "Go back and try again."
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8">{refresh}<title>{html.escape(TITLE)}</title>'
        '<meta name="viewport" content="width=device-width"><style>:root{color-scheme:light dark}'
        "body{margin:0;min-height:100vh;display:grid;place-items:center;font:1rem/1.5 system-ui,sans-serif}"
        "main{max-width:34rem;margin:1rem;padding:1.5rem 2rem;border:1px solid #8888;border-radius:.5rem}"
        f"h1{{font-size:1.25rem;margin:0 0 .5rem}}</style></head><body><main><h1>{html.escape(TITLE)}</h1>"
        f'<p role="status">{html.escape(faults.SENTENCE)}</p><p>{html.escape(faults.REMEDY)} {after}</p>'
        "</main></body></html>"
    )
