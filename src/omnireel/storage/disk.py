"""The space that is left on the disk of a directory, and who may take it.

What was written shows in the free space of the file system: uploads, clips of waiting jobs, bodies that wait in files,
downloads, the log and the database. What was promised and is not written yet is counted here. A reserve stays free: the
database and the log go on with it when nothing new is taken any more.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from omnireel.errors import disk_is_full
from omnireel.storage.directories import nearest_existing

Statvfs = Callable[[Path], os.statvfs_result]


class Disk:
    """Counts the space of one process. Any thread may use it.

    directory:     some directory on the disk; it may be missing
    reserve_bytes: what stays free
    statvfs:       asks the file system
    """

    def __init__(self, directory: Path, reserve_bytes: int = 0, statvfs: Statvfs = os.statvfs) -> None:
        self._directory = directory
        self._reserve_bytes = reserve_bytes
        self.statvfs = statvfs
        self._lock = threading.Lock()
        self._promised_bytes = 0

    @property
    def problem(self) -> str | None:
        """Why nothing new can be stored; None if it can."""
        if self._left() > 0:
            return None
        kept_mb = (self._reserve_bytes + self._promised_bytes) / 1e6
        return f"The disk is full: only the {kept_mb:.0f} MB that are kept free are left, or no more files can be made."

    def check(self, num_bytes: int = 1) -> None:
        """Raise CapacityError(insufficient_storage) if there is no room for so many bytes."""
        if self._left() < num_bytes:
            raise disk_is_full()

    @contextmanager
    def promise(self, num_bytes: int = 0) -> Iterator[Promise]:
        """Keep room for bytes that will be written before the block ends. Raises CapacityError as `check`."""
        promise = Promise(self, num_bytes)
        with self._lock:  # or two threads get the same room
            self.check(max(1, num_bytes))
            self._promised_bytes += num_bytes
        try:
            yield promise
        finally:
            promise.give_back()

    def change_promised(self, by: int) -> None:
        """For `Promise` alone: count more or less promised bytes."""
        with self._lock:
            self._promised_bytes += by

    def _left(self) -> int:
        found = self.statvfs(nearest_existing(self._directory))
        if found.f_files and not found.f_favail:
            return 0
        return found.f_bavail * found.f_frsize - self._reserve_bytes - self._promised_bytes


class Promise:
    """Room that was promised to one writer."""

    def __init__(self, disk: Disk, num_bytes: int) -> None:
        self._disk = disk
        self._left = num_bytes

    def spend(self, num_bytes: int) -> None:
        """Call this before so many bytes are written. Beyond what was promised, it raises as `Disk.check`."""
        promised = min(num_bytes, self._left)
        if num_bytes > promised:
            self._disk.check(num_bytes - promised)
        self._left -= promised
        self._disk.change_promised(-promised)

    def give_back(self) -> None:
        """What is left of the promise is not needed."""
        self._disk.change_promised(-self._left)
        self._left = 0
