"""Blobs as files of one directory."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence, Set
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from omnireel.errors import StorageError, disk_is_full
from omnireel.storage.blob_store import Written
from omnireel.storage.directories import make_directory
from omnireel.storage.disk import Disk
from omnireel.storage.work_directory import remove_if_abandoned

_BUFFER_BYTES = 256 * 1024
# Up to this size, writing to the page cache or deleting is faster than handing the work to a thread.
_QUICK_BYTES = 256 * 1024
# Bytes of an upload that are promised before they come. Announced ones may never come, but must have room now.
_PROMISED_BYTES = 16 * 1024 * 1024
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_UNWRITABLE = (errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO)


class LocalBlobStore:
    """A `BlobStore`.

    directory: made if it is missing; it must hold nothing else but work directories
    disk:      where it lies; None: without a reserve
    clock:     gives seconds that pass whatever the wall clock is set to
    """

    def __init__(
        self, directory: Path, disk: Disk | None = None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._directory = directory
        self._disk = Disk(directory) if disk is None else disk
        self._clock = clock
        self._unneeded: dict[tuple[str, int], float] = {}  # name and inode → since when no row names it
        make_directory(directory)

    def check_room(self, num_bytes: int = 1) -> None:
        """See `BlobStore.check_room`."""
        self._disk.check(num_bytes)

    async def put(self, name: str, content: bytes, *, is_durable: bool = True) -> None:
        """See `BlobStore.put`. Small content that need not be durable is written on the event loop."""
        if is_durable or len(content) > _QUICK_BYTES:
            await self.put_pieces(name, (content,), is_durable=is_durable)
        else:
            self._put(name, (content,), is_durable)

    async def put_pieces(self, name: str, pieces: Iterable[bytes], *, is_durable: bool = True) -> None:
        """See `BlobStore.put_pieces`."""
        await asyncio.to_thread(self._put, name, pieces, is_durable)

    async def write(
        self,
        name: str,
        chunks: AsyncIterator[bytes],
        *,
        num_bytes: int | None = None,
        max_bytes: int,
        beyond: Exception,
    ) -> Written:
        """See `BlobStore.write`. At most about half a megabyte is in memory at a time."""
        digest, num_written = hashlib.sha256(), 0
        with self._disk.promise(min(num_bytes or 0, _PROMISED_BYTES)) as promise, self._new(name) as file:
            async for buffer in _gathered(chunks):
                num_written += len(buffer)
                if num_written > max_bytes:
                    raise beyond
                promise.spend(len(buffer))
                await asyncio.to_thread(_append, file, buffer, digest)
            await asyncio.to_thread(self._sync, file)
        return Written(num_written, digest.hexdigest())

    async def join(self, name: str, parts: Sequence[str]) -> None:
        """See `BlobStore.join`."""
        num_bytes = sum(map(self._size, parts))
        with self._disk.promise(num_bytes) as promise, self._new(name) as file:
            for part in parts:
                promise.spend(self._size(part))
                await asyncio.to_thread(self._copy, part, file)
            await asyncio.to_thread(self._sync, file)

    async def put_file(self, name: str, source: Path) -> None:
        """See `BlobStore.put_file`. It makes a hard link if the file system can."""
        await asyncio.to_thread(self._put_file, name, source)

    @asynccontextmanager
    async def file(self, name: str) -> AsyncIterator[Path]:
        """See `BlobStore.file`. The path is that of the blob itself, so it is gone when the blob is deleted."""
        path = self._directory / name
        path.stat()
        yield path

    async def remove(self, names: Sequence[str]) -> None:
        """See `BlobStore.remove`."""
        if len(names) > 1 or sum(map(self._size, names)) > _QUICK_BYTES:
            await asyncio.to_thread(self._remove, names)
        else:
            self._remove(names)

    async def keep_only(self, names: Set[str], *, older_than_s: float) -> None:
        """See `BlobStore.keep_only`."""
        await asyncio.to_thread(self._keep_only, names, older_than_s)

    @contextmanager
    def _new(self, name: str) -> Iterator[BinaryIO]:
        path = self._directory / name
        with disk_failures_named():
            number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
            try:
                with os.fdopen(number, "wb", buffering=0) as file:
                    yield file
            except BaseException:
                path.unlink(missing_ok=True)
                raise

    def _put(self, name: str, pieces: Iterable[bytes], is_durable: bool) -> None:
        with self._disk.promise() as promise, self._new(name) as file:
            for piece in pieces:
                promise.spend(len(piece))
                write_all(file, piece)
            if is_durable:
                self._sync(file)

    def _put_file(self, name: str, source: Path) -> None:
        try:
            os.link(source, self._directory / name)
        except FileNotFoundError:
            raise
        except OSError:  # another file system, or one without hard links
            with (
                source.open("rb") as content,
                self._disk.promise(source.stat().st_size) as promise,
                self._new(name) as file,
            ):
                promise.spend(source.stat().st_size)
                _copy_all(content, file)
                os.fsync(file.fileno())
        _sync_directory(self._directory)

    def _copy(self, part: str, file: BinaryIO) -> None:
        with (self._directory / part).open("rb") as source:
            _copy_all(source, file)

    def _sync(self, file: BinaryIO) -> None:
        os.fsync(file.fileno())
        _sync_directory(self._directory)

    def _size(self, name: str) -> int:
        try:
            return (self._directory / name).stat().st_size
        except FileNotFoundError:
            return 0

    def _remove(self, names: Sequence[str]) -> None:
        for name in names:
            (self._directory / name).unlink(missing_ok=True)

    def _keep_only(self, names: Set[str], older_than_s: float) -> None:
        # Not by the times of the files: they are wrong once the wall clock was set.
        now, before = self._clock(), self._unneeded
        self._unneeded = {}
        for path in self._directory.iterdir():
            if path.is_dir():
                remove_if_abandoned(path)
                continue
            if path.name in names or not path.is_file():
                continue
            with suppress(FileNotFoundError):  # another process deleted it meanwhile
                known = (path.name, path.stat().st_ino)
                since = self._unneeded[known] = before.get(known, now)
                if now - since >= older_than_s:
                    path.unlink()


async def digest_of(chunks: AsyncIterator[bytes], *, max_bytes: int, beyond: Exception) -> str:
    """SHA-256 of bytes that are not stored. Raises `beyond` after max_bytes."""
    digest, num_bytes = hashlib.sha256(), 0
    async for buffer in _gathered(chunks):
        num_bytes += len(buffer)
        if num_bytes > max_bytes:
            raise beyond
        await asyncio.to_thread(digest.update, buffer)
    return digest.hexdigest()


@contextmanager
def disk_failures_named() -> Iterator[None]:
    """Raise CapacityError instead of the OSError of a disk without space or inodes, StorageError of one that cannot be
    written.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise disk_is_full() from None
        if error.errno in _UNWRITABLE:
            raise StorageError("The data directory", os.strerror(error.errno).lower()) from None
        raise


async def _gathered(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The same bytes in fewer, larger buffers, since each buffer is handed to another thread."""
    buffer = bytearray()
    async for chunk in chunks:
        buffer += chunk
        if len(buffer) >= _BUFFER_BYTES:
            yield bytes(buffer)
            buffer.clear()
    if buffer:
        yield bytes(buffer)


def _append(file: BinaryIO, buffer: bytes, digest: hashlib._Hash) -> None:
    digest.update(buffer)
    write_all(file, buffer)


def write_all(file: BinaryIO, content: bytes) -> None:
    """Write all bytes to a file without a buffer, which may take fewer at a time."""
    view = memoryview(content)
    while view:
        view = view[file.write(view) :]


def _copy_all(source: BinaryIO, file: BinaryIO) -> None:
    while piece := source.read(_BUFFER_BYTES):
        write_all(file, piece)


def _sync_directory(directory: Path) -> None:
    """Make the names in a directory survive power loss."""
    number = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
