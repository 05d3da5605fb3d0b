"""At most a few connections to one host at a time, so that many requests together do not overload it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass


@dataclass
class _Host:
    semaphore: asyncio.Semaphore
    num_users: int = 0  # those that hold the semaphore and those that wait for it


class PerHostLimit:
    """One semaphore for each host that is in use; an unused host takes no memory."""

    def __init__(self) -> None:
        self._hosts: dict[str, _Host] = {}

    @asynccontextmanager
    async def acquire(self, host: str, max_connections: int) -> AsyncIterator[None]:
        """Hold one of `max_connections` permits for `host` while the context is open; waits for a free one."""
        entry = self._hosts.setdefault(host, _Host(asyncio.Semaphore(max_connections)))
        entry.num_users += 1
        try:
            async with entry.semaphore:
                yield
        finally:
            entry.num_users -= 1
            if not entry.num_users:
                del self._hosts[host]
