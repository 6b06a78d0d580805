"""The gateway's own handshake with an X server."""

from __future__ import annotations

from tornado.iostream import IOStream

from visa.session.rfb.handshake import Start, set_pixels, with_server


async def shake_hands(stream: IOStream) -> Start:
    """The gateway's handshake with the X server; raise `Violation` or ``StreamClosedError``."""
    steps = with_server()
    try:
        sent, count = next(steps)
        while True:
            if sent:
                await stream.write(sent)
            sent, count = steps.send(await stream.read_bytes(count))
    except StopIteration as end:
        start: Start = end.value
    await stream.write(set_pixels())
    return start
