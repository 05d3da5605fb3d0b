"""The memory that request bodies take: while they arrive, and while they are read."""

import asyncio
import hashlib
import io
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import BinaryIO, TypeVar, cast

from starlette.requests import Request

from omnireel.shares import FairShares
from omnireel.storage.disk import Disk
from omnireel.storage.local_blobs import disk_failures_named, write_all

# A longer body waits in a file, even if there is room: memory for few large buffers is seldom given back.
_MAX_IN_MEMORY = 1024 * 1024
# So many bytes of a body that waits in a file are collected before they are written.
_PIECE_BYTES = 256 * 1024

T = TypeVar("T")


class BodyMemory:
    """Limits the memory of all bodies in this process.

    A long body, and one that finds no room when it arrives, waits in a file without a name. Whole bodies are read in
    turn: as many at a time as fit into max_bytes, and always one. Accounts share both.

    directory: for the files
    disk:      where they lie; None: without a reserve
    """

    def __init__(self, max_bytes: int, directory: Path, disk: Disk | None = None) -> None:
        self.disk = Disk(directory) if disk is None else disk
        self._max_bytes = max_bytes
        self._directory = directory
        self._arriving: Counter[str] = Counter()
        self._reading = FairShares(max_bytes)
        # One thread: glibc keeps freed memory for each thread that used it.
        self._reader = ThreadPoolExecutor(1, "bodies")
        self._thread = FairShares(1, is_timed=True)

    def take(self, owner: str, num_bytes: int) -> bool:
        """Count bytes of an account that are kept in memory. False, and not counted, if there is no room."""
        # No account takes more than it leaves free: one gets a half, two get a third each, and so on.
        num_free = self._max_bytes - self._arriving.total()
        is_room = self._arriving[owner] + 2 * num_bytes <= num_free
        if is_room:
            self._arriving[owner] += num_bytes
        return is_room

    def give_back(self, owner: str, num_bytes: int) -> None:
        """The bytes are in memory no longer."""
        self._arriving[owner] -= num_bytes
        if not self._arriving[owner]:
            del self._arriving[owner]

    def new_file(self) -> BinaryIO:
        """A new file, which is gone once it is closed. Raises CapacityError if the disk is full."""
        with disk_failures_named():
            return cast(BinaryIO, tempfile.TemporaryFile(dir=self._directory, buffering=0))

    @asynccontextmanager
    async def turn(self, owner: str, num_bytes: int) -> AsyncIterator[None]:
        """Wait until a body of this length may be read. What is made of it counts until the block ends."""
        size = max(1, min(num_bytes, self._max_bytes))
        async with self._reading.turn(owner, size=size, cost=size):
            yield

    async def read_long(self, owner: str, read: Callable[[], T]) -> T:
        """What `read` makes of a long body, in a thread that reads one body at a time."""
        async with self._thread.turn(owner):
            return await asyncio.get_running_loop().run_in_executor(self._reader, read)


class ArrivingBody:
    """A body of which pieces arrive: in memory as long as there is room, else in a file."""

    def __init__(self, memory: BodyMemory, owner: str) -> None:
        self.num_bytes = 0
        self._memory = memory
        self._owner = owner
        self._digest = hashlib.sha256()
        # One growing buffer: the memory of many small pieces would often stay with the process.
        self._buffer = io.BytesIO()
        self._num_buffered = 0
        self._num_counted = 0
        self._file: BinaryIO | None = None

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the pieces so far."""
        return self._digest.hexdigest()

    async def add(self, piece: bytes) -> None:
        """Add a piece. Raises CapacityError if it has to be written and the disk is full."""
        self.num_bytes += len(piece)
        self._digest.update(piece)
        self._buffer.write(piece)
        self._num_buffered += len(piece)
        if self._file is None:
            if self.num_bytes <= _MAX_IN_MEMORY and self._memory.take(self._owner, len(piece)):
                self._num_counted += len(piece)
                return
            self._file = self._memory.new_file()
        if self._num_counted or self._num_buffered >= _PIECE_BYTES:
            await asyncio.to_thread(self._write)
            self._stop_counting()

    def take(self) -> bytes:
        """The whole body, once. Blocks while it is read from its file."""
        if self._file is None:
            content = self._buffer.getvalue()
        else:
            self._write()
            self._file.seek(0)
            content = self._file.read()
        self._buffer = io.BytesIO()
        return content

    def close(self) -> None:
        """Drop the body."""
        self._stop_counting()
        self._buffer = io.BytesIO()
        if self._file is not None:
            self._file.close()

    def _write(self) -> None:
        assert self._file is not None
        self._memory.disk.check(self._num_buffered)
        with disk_failures_named():
            write_all(self._file, self._buffer.getvalue())
        self._buffer, self._num_buffered = io.BytesIO(), 0

    def _stop_counting(self) -> None:
        self._memory.give_back(self._owner, self._num_counted)
        self._num_counted = 0


def body_memory_of(request: Request) -> BodyMemory:
    """The memory for bodies of the request's application."""
    return cast(BodyMemory, request.app.state.body_memory)
