"""One HTTP request and its answer on a connection that is used for nothing else.

The other side is taken to be hostile: what it sends is counted, and what it does not send is not waited for.
"""

import asyncio
from collections.abc import Mapping

import h11

from omnireel.errors import InputError
from omnireel.net.connector import READ_BYTES, EgressLimits
from omnireel.net.errors import not_fetched
from omnireel.net.urls import Target

_HEADER_READ_BYTES = 4096
_MAX_INFORMATIONAL = 8
# Parsing a chunk costs the same whatever it holds; a body cut into crumbs would hold up the event loop.
_MIN_CHUNK_BYTES = 128
_FREE_CHUNKS = 1000


class Exchange:
    """One request and what comes back on a connection that is used for nothing else."""

    def __init__(self, reader: asyncio.StreamReader, limits: EgressLimits) -> None:
        self._reader = reader
        self._limits = limits
        self._parser = h11.Connection(h11.CLIENT, max_incomplete_event_size=limits.max_header_bytes)
        self._num_chunks = 0
        self._num_bytes = 0
        self._is_over = False

    def request(
        self, target: Target, method: str = "GET", headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> bytes:
        """The bytes that ask for `target`; nothing of a caller's own request is in them.

        headers: beside those that every request has; a body needs its Content-Length among them
        """
        every = {
            "Host": target.authority,
            "User-Agent": "omnireel",
            "Accept": "*/*",
            "Accept-Encoding": "identity",
            "Connection": "close",
        }
        asked = h11.Request(
            method=method, target=target.resource, headers=list((every | dict(headers or {})).items())
        )
        events = [asked, *([h11.Data(data=body)] if body else []), h11.EndOfMessage()]
        return b"".join(self._parser.send(event) or b"" for event in events)

    async def head(self) -> h11.Response:
        """Status and headers; they have to be complete within the idle limit."""
        try:
            async with asyncio.timeout(self._limits.idle_s):
                return await self._head()
        except TimeoutError:
            raise _stalled(self._limits) from None

    async def _head(self) -> h11.Response:
        for _ in range(_MAX_INFORMATIONAL):
            while (event := self._parse()) is h11.NEED_DATA:
                self._parser.receive_data(await self._read(_HEADER_READ_BYTES))
            if isinstance(event, h11.Response):
                return event
        raise not_fetched("it does not answer in proper HTTP")

    async def piece(self) -> bytes:
        """The next bytes of the body; none at its end."""
        while not self._is_over:
            parts = self._arrived()
            if parts:
                return b"".join(parts)
            if not self._is_over:
                self._parser.receive_data(await self._read(READ_BYTES))
        return b""

    def _arrived(self) -> list[bytes]:
        parts = []
        while isinstance(event := self._parse(), h11.Data):
            parts.append(bytes(event.data))
            self._num_chunks += 1
            self._num_bytes += len(event.data)
            if self._num_chunks > max(_FREE_CHUNKS, self._num_bytes // _MIN_CHUNK_BYTES):
                raise not_fetched("it is sent in too many small chunks")
        self._is_over = event is not h11.NEED_DATA
        return parts

    def _parse(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        try:
            return self._parser.next_event()
        except h11.RemoteProtocolError:
            raise not_fetched("it breaks off or does not answer in proper HTTP") from None

    async def _read(self, max_bytes: int) -> bytes:
        try:
            async with asyncio.timeout(self._limits.idle_s):
                return await self._reader.read(max_bytes)
        except TimeoutError:
            raise _stalled(self._limits) from None
        except OSError:
            raise not_fetched("the connection broke") from None


def _stalled(limits: EgressLimits) -> InputError:
    return not_fetched(f"nothing came for {limits.idle_s:g} s")
