"""At most a few connections to one host at a time, so that many requests together do not overload it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from omnireel.shares import FairShares


class PerHostLimit:
    """The connections to each host that is in use, which accounts share; an unused host takes no memory."""

    def __init__(self) -> None:
        self._hosts: dict[str, FairShares] = {}

    @asynccontextmanager
    async def acquire(self, host: str, max_connections: int, owner: str) -> AsyncIterator[None]:
        """Hold one of `max_connections` to `host` for an account while the context is open; waits for a free one."""
        shares = self._hosts.setdefault(host, FairShares(max_connections, is_timed=True))
        try:
            async with shares.turn(owner):
                yield
        finally:
            if shares.is_idle:
                self._hosts.pop(host, None)
