"""Bodies must arrive at a minimum rate: a client that sends slowly holds memory and a connection."""

import asyncio
from dataclasses import dataclass

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from omnireel.api.http.errors import RequestError


@dataclass(frozen=True)
class Pace:
    """The slowest transfer that is allowed.

    max_slow_s: how long, in all, it may take longer than min_bytes_per_s allows
    """

    min_bytes_per_s: int
    max_slow_s: float


class BodyPace:
    """Ends the reading of a body that arrives too slowly with RequestError, 400.

    Only time in which the server waits for the client counts. A fast beginning earns nothing for later.
    """

    def __init__(self, app: ASGIApp, *, pace: Pace) -> None:
        self.app = app
        self.pace = pace

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection; anything but HTTP passes through."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        loop, late_s, is_whole = asyncio.get_running_loop(), 0.0, False

        async def receive_in_time() -> Message:
            nonlocal late_s, is_whole
            if is_whole:  # what follows is the disconnect, which may come at any time
                return await receive()
            began = loop.time()
            try:
                async with asyncio.timeout(self.pace.max_slow_s - late_s):
                    message = await receive()
            except TimeoutError:
                is_whole = True
                raise _too_slow() from None
            allowed_s = len(message.get("body", b"")) / self.pace.min_bytes_per_s
            late_s = max(0.0, late_s + loop.time() - began - allowed_s)
            is_whole = not message.get("more_body", False)
            return message

        await self.app(scope, receive_in_time, send)


def _too_slow() -> RequestError:
    return RequestError("The body arrived too slowly.", error_type="bad_request", status=400)
