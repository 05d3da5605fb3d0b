"""Bytes under names that mean nothing; what they are for is known to the rows of the store.

A blob is written once, by one writer, and read only after a row that names it was committed. So it needs no other
name while it is unfinished: without a row, nobody can see it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence, Set
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True)
class Written:
    """What was stored."""

    num_bytes: int
    sha256: str


class BlobStore(Protocol):
    """Stores bytes. Names are made by the caller and never reused.

    Raises CapacityError where there is no room, FileNotFoundError for a blob that is not there.
    """

    async def put(self, name: str, content: bytes, *, is_durable: bool = True) -> None:
        """Store bytes that are in memory already; is_durable: they survive power loss."""

    async def write(
        self, name: str, chunks: AsyncIterator[bytes], *, max_bytes: int, beyond: Exception
    ) -> Written:
        """Store bytes as they come; durable. Raises `beyond` after max_bytes; nothing stays after an error."""

    async def join(self, name: str, parts: Sequence[str]) -> None:
        """Store a blob that is others, one after another; durable."""

    async def put_file(self, name: str, source: Path) -> None:
        """Store the bytes of a file on this machine, which is never changed; durable. The blob outlasts it."""

    def file(self, name: str) -> AbstractAsyncContextManager[Path]:
        """A file on this machine with the blob's bytes, for as long as the context is open."""

    async def remove(self, names: Sequence[str]) -> None:
        """Delete blobs, those that are there."""

    async def keep_only(self, names: Set[str], *, older_than_s: float) -> None:
        """Delete every other blob that has long been as it is: the remains of a process that died."""
