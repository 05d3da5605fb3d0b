"""A file from the network: a GET request, a few redirects and retries, and a limit on everything.

The server is assumed to be hostile: it may lie about lengths, send slowly or without end, stall, send a
compression bomb, or redirect to a forbidden host. So every redirect and every retry is checked like a new
address, and bytes are counted as they arrive.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from pathlib import Path

import h11

from omnireel.net.connector import connected
from omnireel.net.errors import FetchError, TooLargeError
from omnireel.net.http1 import Exchange
from omnireel.net.policy import EgressLimits, EgressPolicy
from omnireel.net.urls import Target, parse_url, redirected

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_BUSY = frozenset({502, 503, 504})
# Object stores keep the coding of an upload, such as aws-chunked, and repeat it when they send the plain file.
_PLAIN_CODINGS = frozenset({"", "identity", "none", "aws-chunked"})
_PAGE_TYPES = ("text/html", "application/xhtml+xml")
_PAGE_STARTS = (b"<!doctype html", b"<html")
_START_BYTES = 1024
_log = logging.getLogger(__name__)


BeforeWrite = Callable[[int], None]


async def download(
    url: str, path: Path, policy: EgressPolicy, *, before_write: BeforeWrite = lambda _: None
) -> None:
    """Write the file at the https address `url` to the new file `path`.

    before_write: called with the number of bytes that are written next; what it raises ends the download
    Raises FetchError when the address is invalid or forbidden, when its host cannot be reached, or when the
    response is not a plain file that arrives in time; TooLargeError beyond `policy.max_bytes`. After an error
    `path` may hold a part of the file.
    """
    try:
        async with asyncio.timeout(policy.limits.total_s):
            await _follow(parse_url(url), path, policy, before_write)
    except TimeoutError:
        raise FetchError(f"it took longer than {policy.limits.total_s:g} s") from None


async def _follow(target: Target, path: Path, policy: EgressPolicy, before_write: BeforeWrite) -> None:
    retries = _Retries(policy.limits)
    for _ in range(policy.limits.max_redirects + 1):
        following = await _get_or_retry(target, path, policy, retries, before_write)
        if following is None:
            return
        if following.scheme == "http" and target.scheme == "https":
            raise FetchError("it redirects from https to http")
        target = following
    raise FetchError(f"it redirects more than {policy.limits.max_redirects} times")


async def _get_or_retry(
    target: Target, path: Path, policy: EgressPolicy, retries: "_Retries", before_write: BeforeWrite
) -> Target | None:
    """As `_get`; a retry is a new connection, whose name is resolved and whose addresses are checked again."""
    while True:
        try:
            return await _get(target, path, policy, before_write)
        except FetchError as error:
            await retries.wait(error)
        path.unlink(missing_ok=True)


async def _get(target: Target, path: Path, policy: EgressPolicy, before_write: BeforeWrite) -> Target | None:
    """Save the file at `target`, or return where it redirects to."""
    async with connected(target, policy) as (reader, writer):
        exchange = Exchange(reader, policy.limits)
        writer.write(exchange.request(target))
        head = await exchange.read_head()
        location = dict(head.headers).get(b"location")
        if head.status_code in _REDIRECTS and location is not None:
            return redirected(target, location)
        _check_head(head, policy.max_bytes)
        await _save(exchange, path, policy, before_write)
    await asyncio.to_thread(_check_not_a_page, head, path)
    return None


def _check_head(head: h11.Response, max_bytes: int) -> None:
    headers = dict(head.headers)
    if head.status_code != 200:
        retry_after_s = _retry_after_s(headers.get(b"retry-after", b""))
        # A host that limits its callers is asked again only if it says when.
        is_busy = head.status_code in _BUSY or (head.status_code == 429 and retry_after_s is not None)
        raise FetchError(
            f"it answers with status {head.status_code}",
            hint="Check the address in a browser.",
            is_temporary=is_busy,
            retry_after_s=retry_after_s,
        )
    lines = [value.decode("latin-1") for name, value in head.headers if name == b"content-encoding"]
    codings = {coding.strip().lower() for line in lines for coding in line.split(",")}
    if codings - _PLAIN_CODINGS:
        raise FetchError("it answers with compressed content that was not requested")
    num_bytes = int(headers.get(b"content-length", b"0"))
    if num_bytes > max_bytes:
        raise TooLargeError(max_bytes, num_bytes)


def _retry_after_s(value: bytes) -> float | None:
    """The seconds of a Retry-After header; None for the other form, a date, and for anything else."""
    text = value.strip()
    return float(text) if text.isdigit() and len(text) < 10 else None


def _check_not_a_page(head: h11.Response, path: Path) -> None:
    """Raise FetchError for a web page: sharing sites and log-in forms answer with one instead of the file.

    The type alone does not decide, since some servers send it with everything. A video has zero bytes in its
    first kilobyte, and text has none.
    """
    with path.open("rb") as file:
        start = file.read(_START_BYTES)
    media_type = dict(head.headers).get(b"content-type", b"").decode("latin-1").partition(";")[0]
    is_page = media_type.strip().lower() in _PAGE_TYPES and start and b"\0" not in start
    if is_page or start.lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith(_PAGE_STARTS):
        raise FetchError(
            "it leads to a web page, not to a video",
            hint="Use the address of the video file itself. This one gives a web page (text/html), such as a page "
            "around the video, a share link or a form to log in.",
        )


class _Retries:
    """Counts and times the retries of one download, all its redirects together."""

    def __init__(self, limits: EgressLimits) -> None:
        self._num_left = limits.max_retries
        self._wait_s = limits.retry_s
        self._deadline = time.monotonic() + limits.total_s

    async def wait(self, error: FetchError) -> None:
        """Wait until a retry makes sense. Raises `error` where none does or the time is not enough."""
        wait_s = self._wait_s if error.retry_after_s is None else error.retry_after_s
        if not error.is_temporary or not self._num_left or time.monotonic() + wait_s >= self._deadline:
            raise error
        _log.info("Trying again in %g s: %s", wait_s, error.why)
        self._num_left -= 1
        self._wait_s *= 2
        await asyncio.sleep(wait_s)


async def _save(exchange: Exchange, path: Path, policy: EgressPolicy, before_write: BeforeWrite) -> None:
    num_bytes = 0
    minimum_rate = _MinimumRate(policy.limits)
    with path.open("xb") as file:
        while data := await exchange.read_body():
            num_bytes += len(data)
            if num_bytes > policy.max_bytes:
                raise TooLargeError(policy.max_bytes)
            minimum_rate.count(len(data))
            before_write(len(data))
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
