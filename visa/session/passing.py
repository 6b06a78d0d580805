"""A request of the session: streamed to Jupyter and its answer back, at the pace of the slower side."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from functools import partial

from tornado.httputil import HTTPHeaders, ResponseStartLine
from tornado.iostream import IOStream, StreamClosedError

from visa.instances.access import Role, may
from visa.session import headers, pages, run, upstream
from visa.session.crowd import TooMany
from visa.session.frames import PART
from visa.session.guard import SAFE_METHODS, Admitted, Guard, Refused
from visa.session.hub import Visitor
from visa.session.turnstile import Turn

log = logging.getLogger(__name__)

_CHUNKED = frozenset({"POST", "PUT", "PATCH"})


class Session(Guard):
    """Everything that is not the gateway's own."""

    def initialize(self) -> None:
        """Nothing is under way yet."""
        self._exchange: upstream.Exchange | None = None
        self._admitted: Admitted | None = None
        self._counted = False
        self._turn: Turn | None = None
        self._instead: Callable[[], None] | None = None

    async def prepare(self) -> None:
        """Decide before a byte of the body is taken, then send the head on."""
        try:
            self._admitted = admitted = await self.admit()
            self.gateway.people.transfers.add(self)
            if self.request.method not in SAFE_METHODS or self.navigates:
                self.gateway.activity.happened()
            passes = await self.before(admitted)
            if passes is not None:
                await self._connect(passes)
        except Refused as error:
            self._end_with(partial(self.refuse, error))
        except upstream.NotListening:
            self._end_with(self.wait)
        if self._gone:  # while it was decided
            self._end()

    def _end_with(self, answer: Callable[[], None]) -> None:
        """Answer at once when a body would come; else in turn, so that the connection can be used again."""
        if self.has_body:
            self.set_header("Connection", "close")
            answer()
        else:
            self._instead = answer

    async def before(self, admitted: Admitted) -> Admitted | None:
        """What is passed on of a request that the role may make; None when it is answered otherwise, or later."""
        return admitted

    def answer_with(self, status: int, content: object) -> None:
        """JSON instead of what is behind the gateway."""
        self._end_with(partial(self._json, status, content))

    def _json(self, status: int, content: object) -> None:
        self.set_status(status)
        self.set_header("Cache-Control", "no-store")
        if status == 204:
            self.finish()
            return
        told, budget = json.dumps(content).encode(), self.gateway.budget
        if not budget.hold(self, self.visitor_here.name, len(told)):
            self.refuse(Refused(429, "Too many answers are on their way to you. Try again when they are there."))
            return
        self.set_header("Content-Type", "application/json")
        self.finish(told).add_done_callback(lambda _: budget.release(self))

    async def _connect(self, admitted: Admitted, body: bytes | None = None) -> None:
        method = self.request.method or "GET"
        sent = headers.inward(self.request.headers, admitted.identity)
        sent["X-Forwarded-For"] = self.request.remote_ip or ""
        if body is not None:
            sent["Content-Length"] = str(len(body))
        elif "Transfer-Encoding" in self.request.headers:
            if method not in _CHUNKED:
                raise Refused(411, "A body of unknown length is not accepted here.")
            sent["Transfer-Encoding"] = "chunked"
        elif "Content-Length" in self.request.headers:
            sent["Content-Length"] = self.request.headers["Content-Length"]
        elif method in _CHUNKED:
            sent["Content-Length"] = "0"
        await self._enter(admitted.visitor.name)
        stream = await self.reach(admitted)
        if self._gone:
            stream.close()
            return
        stream.read_chunk_size = part = min(PART, self.gateway.turnstile.part)
        exchange = upstream.Exchange(stream, self._on_headers, self._on_data, self._on_bulk, part)
        self.gateway.begun()
        self._counted = True
        try:
            await exchange.send_head(method, self.uri(admitted), sent)
            if body:
                await exchange.send(body)
        except upstream.Broken as error:
            raise upstream.NotListening(str(error)) from error
        self._exchange = exchange

    async def _enter(self, name: str) -> None:
        try:
            self._turn = await self.gateway.turnstile.enter(name, self._give_up)
        except TooMany as error:
            raise Refused(429, str(error)) from None
        if self._gone:
            self._leave()

    def _leave(self) -> None:
        turn, self._turn = self._turn, None
        if turn is not None:
            turn.leave()

    def _moves(self) -> None:
        if self._turn is not None:
            self._turn.moves()

    @property
    def visitor_here(self) -> Visitor:
        """Who asked, in her role as it was when she was admitted."""
        return self._admitted.visitor if self._admitted else Visitor("", Role.NONE, {})

    def reconsider(self, visitor: Visitor) -> None:
        """Go on, or cut off what her role does not allow any more."""
        if self._admitted is None or not may(visitor.role, self.request.method or "", self._admitted.path):
            self._cut_off()

    def _cut_off(self) -> None:
        """Not a byte more goes either way: the browser must not take a part for the whole."""
        log.info("%s %s: cut off, the role does not allow it any more", self.request.method, self.request.path)
        self._break()

    def _give_up(self) -> None:
        log.info("%s %s: cut off, too many others last too", self.request.method, self.request.path)
        self._break()

    def _break(self) -> None:
        self._gone = True
        self.cut()
        if self._target is not None:
            self._target.close()
        self._end()

    behind = "Jupyter"
    """What answers, for people."""

    async def reach(self, admitted: Admitted) -> IOStream:
        """A stream to what answers; raise `Refused` or `upstream.NotListening`."""
        return await self.gateway.connect()

    def uri(self, admitted: Admitted) -> str:
        """The address there."""
        return admitted.uri

    def wait(self) -> None:
        """Jupyter is not there yet, or not any more."""
        gone = self.gateway.was_ready
        if self.navigates:
            # Beside a desktop it starts when somebody opens it.
            run.ask(self.gateway.settings.run, "notebook")
            show = pages.ended if gone else pages.starting
            self.show(*show(self.gateway.settings.prefix, self.gateway.portal))
        else:
            self.refuse(Refused(503, "Jupyter has stopped answering." if gone else "Jupyter is starting."))

    async def data_received(self, chunk: bytes) -> None:
        """A part of the body goes on; the browser waits until Jupyter took it."""
        if self._exchange is None or self._finished:
            self.drop(chunk)
            return
        try:
            await self._exchange.send(chunk)
            self._moves()
        except upstream.Broken as error:
            log.info("%s %s: %s", self.request.method, self.request.path, error)
            # Jupyter may have said why before it closed.
            await self._answer()

    async def complete(self) -> None:
        """The request is here as a whole."""

    async def _pass_on(self) -> None:
        await self.complete()
        if self._instead is not None:
            self._instead()
        elif not self._finished:
            await self._answer()

    get = head = post = delete = patch = put = options = _pass_on

    async def _answer(self) -> None:
        if self._exchange is None:
            return
        exchange, self._exchange = self._exchange, None
        self._answering = exchange
        try:
            await exchange.answer()
            if not self._finished:
                self.finish()
        except (upstream.Broken, StreamClosedError) as error:
            log.info("%s %s: %s", self.request.method, self.request.path, error or "the browser went away")
            if self._headers_written:
                self.cut()  # the browser must not take a part for the whole
            elif not self._gone:
                self.refuse(Refused(502, f"{self.behind} closed the connection without an answer."))

    _answering: upstream.Exchange | None = None
    _target: IOStream | None = None
    _gone = False

    async def _on_headers(self, line: ResponseStartLine, received: HTTPHeaders, bulk: bool) -> None:
        self.set_status(line.code, line.reason or "-")
        for name in ("Content-Type", "Date"):
            self.clear_header(name)
        for name, value in headers.outward(received, self.gateway.settings.prefix):
            self.add_header(name, value)
        if "Content-Length" in received:
            self.set_header("Content-Length", received["Content-Length"])
        if bulk:
            self.set_header("Connection", "close")
        if self._turn is not None:
            self._turn.answers()
        await self.flush()

    async def _on_data(self, chunk: bytes) -> None:
        self.write(chunk)
        await self.flush()
        self._moves()

    async def _on_bulk(self, source: IOStream, size: int) -> None:
        """A large answer: from stream to stream. The browser's connection ends with it."""
        if self._gone:
            raise StreamClosedError
        self._auto_finish = False
        self._target = target = self.detach()
        target.set_close_callback(source.close)
        try:
            await upstream.pump(source, target, size, lambda: self.gateway.turnstile.part, self._moves)
        finally:
            target.close()
            self._log()
            self.on_finish()

    def compute_etag(self) -> None:
        """Jupyter's own, if any."""
        return

    def on_finish(self) -> None:
        """The request is over: it keeps nothing waiting."""
        self._end()

    def on_connection_close(self) -> None:
        """The browser went away: Jupyter need not go on."""
        self._gone = True
        self._end()

    def _end(self) -> None:
        for exchange in (self._exchange, self._answering):
            if exchange is not None:
                exchange.close()
        self.gateway.people.transfers.discard(self)
        self._leave()
        if self._counted:
            self._counted = False
            self.gateway.ended()
