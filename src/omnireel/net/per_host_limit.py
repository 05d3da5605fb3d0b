"""How many connections a host has from us at a time: our callers make us a crowd at nobody's door."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass


@dataclass
class _Host:
    places: asyncio.Semaphore
    num_callers: int = 0  # inside and waiting


class PerHostLimit:
    """The hosts that are being talked to; those beyond the limit wait."""

    def __init__(self) -> None:
        self._hosts: dict[str, _Host] = {}

    @asynccontextmanager
    async def acquire(self, host: str, most: int) -> AsyncIterator[None]:
        """One of `most` places at a host, for as long as the context is open."""
        host_entry = self._hosts.setdefault(host, _Host(asyncio.Semaphore(most)))
        host_entry.num_callers += 1
        try:
            async with host_entry.places:
                yield
        finally:
            host_entry.num_callers -= 1
            if not host_entry.num_callers:
                del self._hosts[host]
