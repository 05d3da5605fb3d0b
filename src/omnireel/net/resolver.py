"""Host names to IP addresses, by the system's resolver."""

import asyncio
import functools
import socket
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

Resolver = Callable[[str, int], Awaitable[Sequence[str]]]

# A pool of its own, so that a name server that never answers cannot block the threads that read and write files.
# Such a lookup occupies a thread for about 30 s, ten times the resolve limit, hence the many threads.
_RESOLVER_THREADS = ThreadPoolExecutor(128, thread_name_prefix="resolve")


async def resolve_name(host: str, port: int) -> list[str]:
    """The IP addresses of `host`. Raises OSError when there are none."""
    look_up = functools.partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
    found = await asyncio.get_running_loop().run_in_executor(_RESOLVER_THREADS, look_up)
    return [str(item[4][0]) for item in found]
