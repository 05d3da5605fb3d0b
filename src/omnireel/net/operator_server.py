"""Requests to servers that the operator names, such as a model server. Never for an address from a caller.

Any network and port is allowed, because the operator chose the address. Each request has a connection of its own, so
closing it is what tells the server to stop.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network

from omnireel.net.connector import connected
from omnireel.net.errors import FetchError
from omnireel.net.http1 import Exchange
from omnireel.net.policy import EgressLimits, EgressPolicy
from omnireel.net.urls import Target

_EVERYWHERE = (IPv4Network("0.0.0.0/0"), IPv6Network("::/0"))
_NO_LIMIT_S = 86_400.0  # each wait has a limit of its own, given by the caller of this module
_NO_LIMIT = 1_000_000


class NotConnectedError(FetchError):
    """There is no connection to the server, so that it has got nothing of the request."""


@dataclass(frozen=True, eq=False)
class Reply:
    """The response of a server: its status and headers, in lower case, and a body that is read piece by piece."""

    status: int
    headers: Mapping[str, str]
    _exchange: Exchange

    async def read(self, within_s: float) -> bytes:
        """The next bytes of the body, empty at its end. Raises TimeoutError, FetchError where the connection breaks."""
        async with asyncio.timeout(within_s):
            return await self._exchange.read_body()

    async def read_all(self, within_s: float, *, max_bytes: int) -> bytes:
        """The rest of the body, at most about max_bytes of it. Raises as `read`."""
        found = b""
        async with asyncio.timeout(within_s):
            while len(found) < max_bytes and (data := await self._exchange.read_body()):
                found += data
        return found


@dataclass(frozen=True)
class Call:
    """One request.

    connect_s: limit for the connection, for each address that is tried
    reply_s:   limit for sending the body and for the response's headers
    """

    target: Target
    method: str = "GET"
    headers: Mapping[str, str] | None = None
    body: bytes = b""
    connect_s: float = 5.0
    reply_s: float = 10.0


@asynccontextmanager
async def sent(call: Call) -> AsyncIterator[Reply]:
    """The reply to a request; leaving the context closes the connection.

    Raises NotConnectedError without a connection, FetchError where it breaks, TimeoutError where no reply begins in
    time. Logs nothing.
    """
    async with AsyncExitStack() as stack:
        reader, writer = await _connected(stack, call)
        exchange = Exchange(reader, _limits(call))
        headers = dict(call.headers or {})
        if call.body:
            headers |= {"Content-Type": "application/json", "Content-Length": str(len(call.body))}
        async with asyncio.timeout(call.reply_s):
            writer.write(exchange.request(call.target, call.method, headers, call.body))
            await _drain(writer)
            head = await exchange.read_head()
        names = {name.decode("ascii"): value.decode("latin-1") for name, value in head.headers}
        yield Reply(head.status_code, names, exchange)


async def _connected(stack: AsyncExitStack, call: Call) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    try:
        return await stack.enter_async_context(connected(call.target, _policy(call)))
    except FetchError as error:
        raise NotConnectedError(error.why, reason=error.reason) from None


async def _drain(writer: asyncio.StreamWriter) -> None:
    try:
        await writer.drain()
    except OSError:
        raise FetchError("the connection broke", is_temporary=True) from None


def _limits(call: Call) -> EgressLimits:
    return EgressLimits(connect_s=call.connect_s, idle_s=_NO_LIMIT_S, per_host=_NO_LIMIT)


def _policy(call: Call) -> EgressPolicy:
    return EgressPolicy(
        max_bytes=_NO_LIMIT,
        allow=_EVERYWHERE,
        ports=(call.target.port,),
        allow_http=True,
        logs_failures=False,  # callers of this module know better what is worth a line
        limits=_limits(call),
    )
