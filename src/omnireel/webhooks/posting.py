"""One POST of a webhook to its receiver; of the response only the status counts."""

import asyncio
import dataclasses
from collections.abc import Mapping
from contextlib import suppress

from omnireel.net.connector import connected
from omnireel.net.errors import FetchError
from omnireel.net.http1 import Exchange
from omnireel.net.policy import EgressPolicy
from omnireel.net.urls import Target, parse_url

# Some of the body is read and discarded: a receiver whose response is cut off would log an error of its own.
_MAX_BODY_BYTES = 64 * 1024
_BODY_S = 2.0


async def post(
    url: str, body: bytes, headers: Mapping[str, str], policy: EgressPolicy, *, within_s: float
) -> int:
    """The status that `url` answers with; redirects are not followed.

    within_s: limit for everything from resolving the name to the end of the response's headers
    Raises FetchError; its is_forbidden is true where the policy does not allow the address.
    """
    # within_s limits the whole exchange, so a receiver may be silent for all of it: no shorter idle limit applies.
    limits = dataclasses.replace(policy.limits, idle_s=2 * within_s)
    sent = {"Content-Type": "application/json", "Content-Length": str(len(body))} | dict(headers)
    try:
        async with asyncio.timeout(within_s) as timeout:
            return await _post(
                parse_url(url), body, sent, dataclasses.replace(policy, limits=limits), timeout
            )
    except TimeoutError:
        raise FetchError(f"no answer came within {within_s:g} s") from None


async def _post(
    target: Target, body: bytes, headers: Mapping[str, str], policy: EgressPolicy, timeout: asyncio.Timeout
) -> int:
    async with connected(target, policy) as (reader, writer):
        exchange = Exchange(reader, policy.limits)
        writer.write(exchange.request(target, "POST", headers, body))
        try:
            await writer.drain()
        except OSError:
            raise FetchError("the connection broke") from None
        head = await exchange.read_head()
        timeout.reschedule(None)  # the status is known; reading the body has its own limit
        await _discard_body(exchange)
    return head.status_code


async def _discard_body(exchange: Exchange) -> None:
    num_bytes = 0
    with suppress(TimeoutError, FetchError):
        async with asyncio.timeout(_BODY_S):
            while num_bytes < _MAX_BODY_BYTES and (data := await exchange.read_body()):
                num_bytes += len(data)
