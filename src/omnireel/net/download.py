"""A file from the network: one GET request, a few redirects, and a limit on everything.

The server is assumed to be hostile: it may lie about lengths, send slowly or without end, stall, send a
compression bomb, or redirect to a forbidden host. So every redirect is checked like a new address, and bytes
are counted as they arrive.
"""

import asyncio
import time
from pathlib import Path

import h11

from omnireel.net.connector import connected
from omnireel.net.errors import FetchError, TooLargeError
from omnireel.net.http1 import Exchange
from omnireel.net.policy import EgressLimits, EgressPolicy
from omnireel.net.urls import Target, parse_url, redirected

_REDIRECTS = frozenset({301, 302, 303, 307, 308})


async def download(url: str, path: Path, policy: EgressPolicy) -> None:
    """Write the file at the https address `url` to the new file `path`.

    Raises FetchError when the address is invalid or forbidden, when its host cannot be reached, or when the
    response is not a plain file that arrives in time; TooLargeError beyond `policy.max_bytes`. After an error
    `path` may hold a part of the file.
    """
    try:
        async with asyncio.timeout(policy.limits.total_s):
            await _follow(parse_url(url), path, policy)
    except TimeoutError:
        raise FetchError(f"it took longer than {policy.limits.total_s:g} s") from None


async def _follow(target: Target, path: Path, policy: EgressPolicy) -> None:
    for _ in range(policy.limits.max_redirects + 1):
        following = await _get(target, path, policy)
        if following is None:
            return
        if following.scheme == "http" and target.scheme == "https":
            raise FetchError("it redirects from https to http")
        target = following
    raise FetchError(f"it redirects more than {policy.limits.max_redirects} times")


async def _get(target: Target, path: Path, policy: EgressPolicy) -> Target | None:
    """Save the file at `target`, or return where it redirects to."""
    async with connected(target, policy) as (reader, writer):
        exchange = Exchange(reader, policy.limits)
        writer.write(exchange.request(target))
        head = await exchange.read_head()
        location = dict(head.headers).get(b"location")
        if head.status_code in _REDIRECTS and location is not None:
            return redirected(target, location)
        _check_head(head, policy.max_bytes)
        await _save(exchange, path, policy)
    return None


def _check_head(head: h11.Response, max_bytes: int) -> None:
    if head.status_code != 200:
        raise FetchError(f"it answers with status {head.status_code}", hint="Check the address in a browser.")
    codings = {value.strip().lower() for name, value in head.headers if name == b"content-encoding"}
    if codings - {b"identity"}:
        raise FetchError("it answers with compressed content that was not requested")
    num_bytes = int(dict(head.headers).get(b"content-length", b"0"))
    if num_bytes > max_bytes:
        raise TooLargeError(max_bytes, num_bytes)


async def _save(exchange: Exchange, path: Path, policy: EgressPolicy) -> None:
    num_bytes = 0
    minimum_rate = _MinimumRate(policy.limits)
    with path.open("xb") as file:
        while data := await exchange.read_body():
            num_bytes += len(data)
            if num_bytes > policy.max_bytes:
                raise TooLargeError(policy.max_bytes)
            minimum_rate.count(len(data))
            await asyncio.to_thread(file.write, data)


class _MinimumRate:
    """Ends a download that arrives too slowly."""

    def __init__(self, limits: EgressLimits) -> None:
        self._limits = limits
        self._since = time.monotonic()
        self._num_bytes = 0

    def count(self, num_bytes: int) -> None:
        """Raises FetchError when too few bytes have arrived in the window that just ended."""
        self._num_bytes += num_bytes
        seconds = time.monotonic() - self._since
        if seconds < self._limits.slow_window_s:
            return
        if self._num_bytes < seconds * self._limits.min_bytes_per_s:
            raise FetchError(f"it arrives at less than {self._limits.min_bytes_per_s} bytes a second")
        self._since += seconds
        self._num_bytes = 0
