"""Bytes on the disk under names that mean nothing; what they are for is known to `uploads` alone.

A blob is written once, by one writer, and read only after a row that names it was committed. So it needs no
name of its own while it is unfinished: without a row, nobody can see it.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import shutil
from collections.abc import AsyncIterator, Iterator, Sequence, Set
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from omnireel.errors import CapacityError
from omnireel.storage.spool import keep_only, sync_directory

_BUFFER_BYTES = 1024 * 1024
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@dataclass(frozen=True)
class Written:
    """What has come to be on the disk."""

    num_bytes: int
    sha256: str


class Blobs:
    """A directory of them; it is made where it is missing."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)

    async def write(
        self, name: str, chunks: AsyncIterator[bytes], *, max_bytes: int, beyond: Exception
    ) -> Written:
        """Write a blob as its bytes come, a megabyte of memory at a time; it survives power loss.

        Raises `beyond` after max_bytes, CapacityError on a full disk; then, or when cancelled, nothing stays.
        """
        digest, num_bytes = hashlib.sha256(), 0
        with self._new(name) as file:
            async for buffer in _gathered(chunks):
                num_bytes += len(buffer)
                if num_bytes > max_bytes:
                    raise beyond
                await asyncio.to_thread(_append, file, buffer, digest)
            await asyncio.to_thread(self._sync, file)
        return Written(num_bytes, digest.hexdigest())

    async def join(self, name: str, parts: Sequence[str]) -> None:
        """Write a blob that is others, one after another. Raises CapacityError on a full disk."""
        with self._new(name) as file:
            for part in parts:
                await asyncio.to_thread(self._copy, part, file)
            await asyncio.to_thread(self._sync, file)

    def open(self, name: str) -> BinaryIO:
        """Read a blob; it can be read to its end even if it is deleted meanwhile."""
        return (self._directory / name).open("rb")

    @asynccontextmanager
    async def file(self, name: str) -> AsyncIterator[Path]:
        """A blob as a file of this machine; deleting the blob takes its path away as well."""
        path = self._directory / name
        path.stat()
        yield path

    def hard_link(self, name: str, target: Path) -> None:
        """Give a blob a second name, which outlasts the first. Raises FileNotFoundError where it is gone."""
        try:
            os.link(self._directory / name, target)
        except FileNotFoundError:
            raise
        except OSError:  # another file system, or one without links
            shutil.copyfile(self._directory / name, target)
        sync_directory(target.parent)

    def remove(self, names: Sequence[str]) -> None:
        """Delete blobs, those that are there."""
        for name in names:
            (self._directory / name).unlink(missing_ok=True)

    def keep_only(self, names: Set[str], *, older_than_s: float) -> None:
        """Delete what no row names: the remains of a process that died."""
        keep_only(self._directory, names, older_than_s=older_than_s)

    @contextmanager
    def _new(self, name: str) -> Iterator[BinaryIO]:
        path = self._directory / name
        number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        try:
            with os.fdopen(number, "wb", buffering=0) as file:
                yield file
        except BaseException as error:
            path.unlink(missing_ok=True)
            if isinstance(error, OSError) and error.errno in _FULL:
                raise CapacityError("the disk is full", after_s=60) from None
            raise

    def _copy(self, part: str, file: BinaryIO) -> None:
        with self.open(part) as source:
            shutil.copyfileobj(source, file, _BUFFER_BYTES)

    def _sync(self, file: BinaryIO) -> None:
        os.fsync(file.fileno())
        sync_directory(self._directory)


async def digest_of(chunks: AsyncIterator[bytes], *, max_bytes: int, beyond: Exception) -> str:
    """SHA-256 of bytes that are not kept. Raises `beyond` after max_bytes."""
    digest, num_bytes = hashlib.sha256(), 0
    async for buffer in _gathered(chunks):
        num_bytes += len(buffer)
        if num_bytes > max_bytes:
            raise beyond
        await asyncio.to_thread(digest.update, buffer)
    return digest.hexdigest()


async def _gathered(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The same bytes in fewer, larger pieces: each piece costs a visit to another thread."""
    waiting = bytearray()
    async for chunk in chunks:
        waiting += chunk
        if len(waiting) >= _BUFFER_BYTES:
            yield bytes(waiting)
            waiting.clear()
    if waiting:
        yield bytes(waiting)


def _append(file: BinaryIO, buffer: bytes, digest: hashlib._Hash) -> None:
    digest.update(buffer)
    view = memoryview(buffer)
    while view:
        view = view[file.write(view) :]
