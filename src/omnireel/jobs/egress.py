"""A file from the network: one GET, a few redirects, and a limit on everything.

The other side is taken to be hostile. It may lie about lengths, drip, stall, never end, compress a bomb, or
redirect to somewhere else: each hop goes through every check again, and bytes are counted as they arrive.
"""

import asyncio
import time
from pathlib import Path

import h11

from omnireel.errors import InputError
from omnireel.jobs.connect import READ_BYTES, EgressLimits, EgressRule, connected
from omnireel.jobs.refusals import not_fetched, too_large
from omnireel.jobs.urls import Target, parse_url, redirected

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_HEADER_READ_BYTES = 4096
_MAX_INFORMATIONAL = 8
# Parsing a chunk costs the same whatever it holds; a body cut into crumbs would hold up the event loop.
_MIN_CHUNK_BYTES = 128
_FREE_CHUNKS = 1000


async def download(url: str, path: Path, rule: EgressRule) -> None:
    """Write what the https address `url` holds to the new file `path`.

    Raises InputError on video_url: file_download_error when the address is unusable, forbidden, out of reach,
    or answers with anything but a plain file in time; file_too_large beyond `rule.max_bytes`. `path` may then
    hold a part.
    """
    try:
        async with asyncio.timeout(rule.limits.total_s):
            await _follow(parse_url(url), path, rule)
    except TimeoutError:
        raise not_fetched(f"it took longer than {rule.limits.total_s:g} s") from None


async def _follow(target: Target, path: Path, rule: EgressRule) -> None:
    for _ in range(rule.limits.max_redirects + 1):
        following = await _get(target, path, rule)
        if following is None:
            return
        if following.scheme == "http" and target.scheme == "https":
            raise not_fetched("it redirects from https to http")
        target = following
    raise not_fetched(f"it redirects more than {rule.limits.max_redirects} times")


async def _get(target: Target, path: Path, rule: EgressRule) -> Target | None:
    """Save what `target` holds, or say where it redirects to."""
    async with connected(target, rule) as (reader, writer):
        answer = _Answer(reader, rule.limits)
        writer.write(answer.request(target))
        head = await answer.head()
        location = dict(head.headers).get(b"location")
        if head.status_code in _REDIRECTS and location is not None:
            return redirected(target, location)
        _check_head(head, rule.max_bytes)
        await _save(answer, path, rule)
    return None


def _check_head(head: h11.Response, max_bytes: int) -> None:
    if head.status_code != 200:
        raise not_fetched(f"it answers with status {head.status_code}", hint="check the address in a browser")
    codings = {value.strip().lower() for name, value in head.headers if name == b"content-encoding"}
    if codings - {b"identity"}:
        raise not_fetched("it answers with compressed content that was not asked for")
    num_bytes = int(dict(head.headers).get(b"content-length", b"0"))
    if num_bytes > max_bytes:
        raise too_large(max_bytes, num_bytes)


async def _save(answer: "_Answer", path: Path, rule: EgressRule) -> None:
    num_bytes = 0
    pace = _Pace(rule.limits)
    with path.open("xb") as file:
        while piece := await answer.piece():
            num_bytes += len(piece)
            if num_bytes > rule.max_bytes:
                raise too_large(rule.max_bytes)
            pace.count(len(piece))
            await asyncio.to_thread(file.write, piece)


class _Pace:
    """Notices a body that trickles."""

    def __init__(self, limits: EgressLimits) -> None:
        self._limits = limits
        self._since = time.monotonic()
        self._num_bytes = 0

    def count(self, num_bytes: int) -> None:
        """Raises InputError when a window has passed that brought too little."""
        self._num_bytes += num_bytes
        seconds = time.monotonic() - self._since
        if seconds < self._limits.slow_window_s:
            return
        if self._num_bytes < seconds * self._limits.min_bytes_per_s:
            raise not_fetched(f"it arrives at less than {self._limits.min_bytes_per_s} bytes a second")
        self._since += seconds
        self._num_bytes = 0


class _Answer:
    """One request and what comes back on a connection that is used for nothing else."""

    def __init__(self, reader: asyncio.StreamReader, limits: EgressLimits) -> None:
        self._reader = reader
        self._limits = limits
        self._parser = h11.Connection(h11.CLIENT, max_incomplete_event_size=limits.max_header_bytes)
        self._num_chunks = 0
        self._num_bytes = 0
        self._is_over = False

    def request(self, target: Target) -> bytes:
        """The bytes that ask for `target`; nothing of the caller's own request is in them."""
        headers = {
            "Host": target.authority,
            "User-Agent": "omnireel",
            "Accept": "*/*",
            "Accept-Encoding": "identity",
            "Connection": "close",
        }
        asked = h11.Request(method="GET", target=target.resource, headers=list(headers.items()))
        return (self._parser.send(asked) or b"") + (self._parser.send(h11.EndOfMessage()) or b"")

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
