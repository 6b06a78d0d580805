"""What stands before a handler and looks at a request's head only: tornado's delegates pass all else on as it is."""

from __future__ import annotations

from collections.abc import Awaitable

from tornado.httputil import HTTPHeaders, HTTPMessageDelegate, RequestStartLine, ResponseStartLine


class Head(HTTPMessageDelegate):
    """One request's, on its way to ``handler``; who derives from it says what `came` does."""

    def __init__(self, handler: HTTPMessageDelegate) -> None:
        self._handler = handler

    def came(self, headers: HTTPHeaders) -> None:
        """The head is whole; ``headers`` may be changed before the handler has them."""
        raise NotImplementedError

    def headers_received(
        self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders
    ) -> Awaitable[None] | None:
        """Look at it, and pass it on."""
        self.came(headers)
        return self._handler.headers_received(start_line, headers)

    def data_received(self, chunk: bytes) -> Awaitable[None] | None:
        """As it is."""
        return self._handler.data_received(chunk)

    def finish(self) -> None:
        """As it is."""
        self._handler.finish()

    def on_connection_close(self) -> None:
        """As it is."""
        self._handler.on_connection_close()
