"""One HTTP/1.1 request and its response, on a connection that is used for nothing else.

The server is assumed to be hostile: everything it sends is counted, and every wait has a limit.
"""

import asyncio
from collections.abc import Mapping
from importlib.metadata import version

import h11

from omnireel.net.connector import READ_BYTES
from omnireel.net.errors import FetchError
from omnireel.net.policy import EgressLimits
from omnireel.net.urls import Target

# Operators of other hosts can see what asks them, and where to read about it.
USER_AGENT = f"omnireel/{version('omnireel')} (+https://pypi.org/project/omnireel/)"
_HEADER_READ_BYTES = 4096
_MAX_INFORMATIONAL = 8
# Parsing a chunk costs the same however small it is: a body in tiny chunks would block the event loop.
_MIN_CHUNK_BYTES = 128
_FREE_CHUNKS = 1000


class Exchange:
    """Writes one request and reads its response."""

    def __init__(self, reader: asyncio.StreamReader, limits: EgressLimits) -> None:
        self._reader = reader
        self._limits = limits
        self._parser = h11.Connection(h11.CLIENT, max_incomplete_event_size=limits.max_header_bytes)
        self._num_chunks = 0
        self._num_bytes = 0
        self._is_complete = False
        self._has_ended = False

    def request(
        self, target: Target, method: str = "GET", headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> bytes:
        """The bytes of a request for `target`; they hold nothing from the request of our own caller.

        headers: in addition to those that every request has; with a body, Content-Length must be among them
        """
        every = {
            "Host": target.authority,
            "User-Agent": USER_AGENT,
            "Accept": "*/*",
            "Accept-Encoding": "identity",
            "Connection": "close",
        }
        request = h11.Request(
            method=method, target=target.resource, headers=list((every | dict(headers or {})).items())
        )
        events = [request, *([h11.Data(data=body)] if body else []), h11.EndOfMessage()]
        return b"".join(self._parser.send(event) or b"" for event in events)

    async def read_head(self) -> h11.Response:
        """The response's status and headers, which have to be complete within the idle limit.

        Raises FetchError.
        """
        try:
            async with asyncio.timeout(self._limits.idle_s):
                return await self._read_head()
        except TimeoutError:
            raise _stalled(self._limits) from None

    async def _read_head(self) -> h11.Response:
        for _ in range(_MAX_INFORMATIONAL):
            while (event := self._next_event()) is h11.NEED_DATA:
                self._parser.receive_data(await self._read(_HEADER_READ_BYTES))
            if isinstance(event, h11.Response):
                return event
        raise FetchError("it does not answer in proper HTTP")

    async def read_body(self) -> bytes:
        """The next bytes of the response's body; empty at its end. Raises FetchError."""
        while not self._is_complete:
            parts = self._parse_body()
            if parts:
                return b"".join(parts)
            if not self._is_complete:
                self._parser.receive_data(await self._read(READ_BYTES))
        return b""

    def _parse_body(self) -> list[bytes]:
        """The parts of the body that have arrived and are not returned yet."""
        parts = []
        while isinstance(event := self._next_event(), h11.Data):
            parts.append(bytes(event.data))
            self._num_chunks += 1
            self._num_bytes += len(event.data)
            if self._num_chunks > max(_FREE_CHUNKS, self._num_bytes // _MIN_CHUNK_BYTES):
                raise FetchError("it is sent in too many small chunks")
        self._is_complete = event is not h11.NEED_DATA
        return parts

    def _next_event(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        try:
            return self._parser.next_event()
        except h11.RemoteProtocolError:
            raise FetchError(
                "it breaks off or does not answer in proper HTTP", is_temporary=self._has_ended
            ) from None

    async def _read(self, max_bytes: int) -> bytes:
        try:
            async with asyncio.timeout(self._limits.idle_s):
                data = await self._reader.read(max_bytes)
        except TimeoutError:
            raise _stalled(self._limits) from None
        except OSError:
            raise FetchError("the connection broke", is_temporary=True) from None
        self._has_ended = not data
        return data


def _stalled(limits: EgressLimits) -> FetchError:
    return FetchError(f"nothing arrived for {limits.idle_s:g} s")
