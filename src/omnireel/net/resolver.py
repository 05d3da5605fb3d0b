"""Host names to IP addresses, by the system's resolver."""

import asyncio
import functools
import socket
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from omnireel.shares import FairShares

Resolver = Callable[[str, int], Awaitable[Sequence[str]]]

# A pool of its own, so that a name server that never answers cannot block the threads that read and write files.
# Such a lookup occupies a thread for about 30 s, ten times the resolve limit, hence the many threads.
_MAX_LOOKUPS = 128
_RESOLVER_THREADS = ThreadPoolExecutor(_MAX_LOOKUPS, thread_name_prefix="resolve")


async def resolve_name(host: str, port: int) -> list[str]:
    """The IP addresses of `host`. Raises OSError when there are none."""
    look_up = functools.partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
    found = await asyncio.get_running_loop().run_in_executor(_RESOLVER_THREADS, look_up)
    return [str(item[4][0]) for item in found]


class Lookups:
    """The look-ups of names at a time, which accounts share."""

    def __init__(self) -> None:
        self._shares = FairShares(_MAX_LOOKUPS, is_timed=True)

    async def look_up(self, resolve: Resolver, host: str, port: int, owner: str) -> Sequence[str]:
        """What `resolve` finds. A caller that stops waiting does not end a look-up: it has its thread until it ends."""
        turn = await self._shares.acquire(owner)
        looking_up = asyncio.ensure_future(resolve(host, port))
        looking_up.add_done_callback(lambda _: turn.release())
        return await asyncio.shield(looking_up)
