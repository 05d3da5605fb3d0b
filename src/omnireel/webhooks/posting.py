"""A notice to somebody else's server: one POST, whose answer counts by its status alone."""

import asyncio
import dataclasses
from collections.abc import Mapping
from contextlib import suppress

from omnireel.net.connector import EgressPolicy, connected
from omnireel.net.errors import FetchError, not_fetched
from omnireel.net.http1 import Exchange
from omnireel.net.urls import Target, parse_url

# A receiver that is cut off in the middle of its answer would log an error of its own.
_MAX_ANSWER_BYTES = 64 * 1024
_ANSWER_S = 2.0


async def post(
    url: str, body: bytes, headers: Mapping[str, str], policy: EgressPolicy, *, within_s: float
) -> int:
    """The status that `url` answers with; redirects are not followed.

    within_s: for everything, from resolving the name to the answer's head
    Raises FetchError; it is_forbidden where the rule does not allow the address.
    """
    # The receiver may think for as long as it has; the limit as a whole is below.
    patient = dataclasses.replace(policy, limits=dataclasses.replace(policy.limits, idle_s=2 * within_s))
    sent = {"Content-Type": "application/json", "Content-Length": str(len(body))} | dict(headers)
    try:
        async with asyncio.timeout(within_s) as limit:
            return await _post(parse_url(url), body, sent, patient, limit)
    except TimeoutError:
        raise not_fetched(f"no answer came within {within_s:g} s") from None


async def _post(
    target: Target, body: bytes, headers: Mapping[str, str], policy: EgressPolicy, limit: asyncio.Timeout
) -> int:
    async with connected(target, policy) as (reader, writer):
        exchange = Exchange(reader, policy.limits)
        writer.write(exchange.request(target, "POST", headers, body))
        try:
            await writer.drain()
        except OSError:
            raise not_fetched("the connection broke") from None
        head = await exchange.head()
        limit.reschedule(None)  # what counts has come
        await _hear_out(exchange)
    return head.status_code


async def _hear_out(exchange: Exchange) -> None:
    num_bytes = 0
    with suppress(TimeoutError, FetchError):
        async with asyncio.timeout(_ANSWER_S):
            while num_bytes < _MAX_ANSWER_BYTES and (piece := await exchange.piece()):
                num_bytes += len(piece)
