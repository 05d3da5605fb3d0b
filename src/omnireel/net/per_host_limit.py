"""How many connections a host has from us at a time: our callers make us a crowd at nobody's door."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass


@dataclass
class _Door:
    places: asyncio.Semaphore
    num_callers: int = 0  # inside and waiting


class Crowd:
    """The hosts that are being talked to; those beyond the limit wait."""

    def __init__(self) -> None:
        self._doors: dict[str, _Door] = {}

    @asynccontextmanager
    async def place(self, host: str, most: int) -> AsyncIterator[None]:
        """One of `most` places at a host, for as long as the context is open."""
        door = self._doors.setdefault(host, _Door(asyncio.Semaphore(most)))
        door.num_callers += 1
        try:
            async with door.places:
                yield
        finally:
            door.num_callers -= 1
            if not door.num_callers:
                del self._doors[host]
