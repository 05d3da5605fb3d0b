"""The body of an upload: a stream of bytes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

from starlette.requests import ClientDisconnect, Request

from omnireel.api.http.errors import RequestError
from omnireel.errors import Cancelled

# Closing a connection with unread data resets it, and the client loses the answer. So this much of a refused
# body is read and dropped.
_MAX_DISCARD = 64 * 1024 * 1024
_DISCARD_S = 30.0


class IncomingFile:
    """The body of a request, read once and in pieces. Raises RequestError, 415, if it is compressed."""

    def __init__(self, request: Request) -> None:
        if request.headers.get("content-encoding", "").strip().lower() not in ("", "identity", "none"):
            raise RequestError("Send the file uncompressed.", error_type="bad_request", status=415)
        length = request.headers.get("content-length", "")
        self.num_bytes = int(length) if length.isdecimal() and len(length) < 19 else None
        self._waits = request.headers.get("expect", "").lower() == "100-continue"
        self._chunks = request.stream()
        self._num_read = 0

    async def chunks(self) -> AsyncIterator[bytes]:
        """Its bytes. Raises RequestError as `BodyPace`, Cancelled if the client disconnects."""
        try:
            async for chunk in self._chunks:
                self._num_read += len(chunk)
                yield chunk
        except ClientDisconnect:
            raise Cancelled("The client closed the connection.") from None

    async def discard(self) -> None:
        """Read and drop the rest for a while, so that a client that is refused can read the answer."""
        if self._waits and not self._num_read:
            return  # the client waits for 100 Continue before it sends
        with suppress(TimeoutError, ClientDisconnect, RequestError, RuntimeError):
            async with asyncio.timeout(_DISCARD_S):
                num_discarded = 0
                async for chunk in self._chunks:
                    num_discarded += len(chunk)
                    if num_discarded > _MAX_DISCARD:
                        return
