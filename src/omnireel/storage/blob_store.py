"""Blobs: bytes under random names. Rows of the store say what each blob is for.

A blob is written once, by one writer, and read only after a row that names it was committed. So an unfinished blob
needs no temporary name: without a row, nothing reads it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence, Set
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True)
class Written:
    """The size and the digest of a blob that was written."""

    num_bytes: int
    sha256: str


class BlobStore(Protocol):
    """Stores bytes. The caller makes the names and never uses one twice.

    Raises CapacityError(insufficient_storage) if the disk is full, StorageError if it cannot be written,
    FileNotFoundError if a blob does not exist.
    """

    def check_room(self, num_bytes: int = 1) -> None:
        """Raise CapacityError(insufficient_storage) if so many bytes cannot be stored now."""

    async def put(self, name: str, content: bytes, *, is_durable: bool = True) -> None:
        """Store bytes that are in memory. is_durable: they survive power loss"""

    async def put_pieces(self, name: str, pieces: Iterable[bytes], *, is_durable: bool = True) -> None:
        """Store bytes that are made in pieces, in a thread. After an error in `pieces` nothing is left."""

    async def write(
        self,
        name: str,
        chunks: AsyncIterator[bytes],
        *,
        num_bytes: int | None = None,
        max_bytes: int,
        beyond: Exception,
    ) -> Written:
        """Store bytes as they arrive, durably. Raises `beyond` after max_bytes. After an error nothing is left.

        num_bytes: how many were announced
        """

    async def join(self, name: str, parts: Sequence[str]) -> None:
        """Store the concatenation of other blobs, durably."""

    async def put_file(self, name: str, source: Path) -> None:
        """Store the bytes of a file on this machine, durably. The file is never changed, but may be deleted."""

    def file(self, name: str) -> AbstractAsyncContextManager[Path]:
        """A file on this machine with the blob's bytes, while the context is open."""

    async def remove(self, names: Sequence[str]) -> None:
        """Delete blobs. Missing ones are ignored."""

    async def keep_only(self, names: Set[str], *, older_than_s: float) -> None:
        """Delete what processes that died have left: all other blobs that no call has named for older_than_s.

        This store sees that time pass itself, since a file may carry the time of a clock that was wrong.
        """
