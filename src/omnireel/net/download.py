"""A file from the network: one GET, a few redirects, and a limit on everything.

The other side is taken to be hostile. It may lie about lengths, drip, stall, never end, compress a bomb, or
redirect to somewhere else: each hop goes through every check again, and bytes are counted as they arrive.
"""

import asyncio
import time
from pathlib import Path

import h11

from omnireel.net.connector import EgressLimits, EgressPolicy, connected
from omnireel.net.errors import not_fetched, too_large
from omnireel.net.http1 import Exchange
from omnireel.net.urls import Target, parse_url, redirected

_REDIRECTS = frozenset({301, 302, 303, 307, 308})


async def download(url: str, path: Path, policy: EgressPolicy) -> None:
    """Write what the https address `url` holds to the new file `path`.

    Raises InputError on video_url: file_download_error when the address is unusable, forbidden, out of reach,
    or answers with anything but a plain file in time; file_too_large beyond `rule.max_bytes`. `path` may then
    hold a part.
    """
    try:
        async with asyncio.timeout(policy.limits.total_s):
            await _follow(parse_url(url), path, policy)
    except TimeoutError:
        raise not_fetched(f"it took longer than {policy.limits.total_s:g} s") from None


async def _follow(target: Target, path: Path, policy: EgressPolicy) -> None:
    for _ in range(policy.limits.max_redirects + 1):
        following = await _get(target, path, policy)
        if following is None:
            return
        if following.scheme == "http" and target.scheme == "https":
            raise not_fetched("it redirects from https to http")
        target = following
    raise not_fetched(f"it redirects more than {policy.limits.max_redirects} times")


async def _get(target: Target, path: Path, policy: EgressPolicy) -> Target | None:
    """Save what `target` holds, or say where it redirects to."""
    async with connected(target, policy) as (reader, writer):
        answer = Exchange(reader, policy.limits)
        writer.write(answer.request(target))
        head = await answer.head()
        location = dict(head.headers).get(b"location")
        if head.status_code in _REDIRECTS and location is not None:
            return redirected(target, location)
        _check_head(head, policy.max_bytes)
        await _save(answer, path, policy)
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


async def _save(answer: "Exchange", path: Path, policy: EgressPolicy) -> None:
    num_bytes = 0
    pace = _Pace(policy.limits)
    with path.open("xb") as file:
        while piece := await answer.piece():
            num_bytes += len(piece)
            if num_bytes > policy.max_bytes:
                raise too_large(policy.max_bytes)
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
