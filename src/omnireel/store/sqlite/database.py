"""The SQLite file: one connection that writes, in a thread of its own, and one that reads.

Writes that wait at the same time share one transaction, each in its own savepoint, because a commit has to flush the
disk. A write that was awaited is durable.
"""

from __future__ import annotations

import asyncio
import os
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import apsw

from omnireel.errors import CapacityError, OmnireelError, SettingsError, StorageError, disk_is_full
from omnireel.store.private import make_private
from omnireel.store.sqlite.clock import id_of_boot, seconds_since_boot, start_clock
from omnireel.store.sqlite.migrations.migrate import migrate

T = TypeVar("T")
Connection = apsw.Connection

_BUSY_TIMEOUT_MS = 5000
# Writes wait while the log is emptied.
_EMPTYING_TIMEOUT_MS = 200
_MAX_SHARED = 256
# The file or its disk fails, and not the write.
_DISK_ERRORS = (apsw.FullError, apsw.IOError, apsw.CorruptError, apsw.ReadOnlyError, apsw.CantOpenError)
_WHY_UNWRITABLE = {
    apsw.BusyError: "another program locks it",
    apsw.IOError: "its disk failed",
    apsw.ReadOnlyError: "it is read-only",
}


@dataclass(frozen=True, eq=False)
class _Write(Generic[T]):
    work: Callable[[Connection], T]
    done: Future[T]
    deletes_content: bool = False


class Database:
    """The file of a store. It is made if it is missing, and migrated to the newest version.

    clock: gives store time. SQL has wall(t), the time on the wall clock at a moment in store time
    Raises SettingsError if this SQLite may lose commits or the store is of a newer version, OmnireelError if the file
    cannot be used.
    """

    def __init__(self, path: Path) -> None:
        check_sqlite_version()
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._writes: queue.SimpleQueue[_Write[Any] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()  # no write is queued once the thread has failed
        self._has_failed = False
        self._path = path
        writer, self._reading = _open(path)
        try:
            self.clock = start_clock(writer, boot_id=id_of_boot(), uptime_s=seconds_since_boot())
        except apsw.Error as error:
            writer.close()
            self._reading.close()
            raise unusable_store(path, error) from None
        for connection in (writer, self._reading):
            connection.create_scalar_function("wall", self._wall, 1)
        self._file_id = _file_id(path)
        # Daemon: a process that ends without `close` must not wait for this thread. No caller was told that an
        # uncommitted write had succeeded.
        self._writer = threading.Thread(
            target=self._write_until_closed, args=(writer,), name="store", daemon=True
        )
        self._reader = ThreadPoolExecutor(1, "store-reader")
        self._writer.start()

    async def write(self, work: Callable[[Connection], T], *, deletes_content: bool = False) -> T:
        """What `work` returns, once its changes are on the disk. An exception in `work` undoes only its changes.

        deletes_content: what it deletes is removed from the write-ahead log too, unless others are reading just now
        Raises StorageError if the file cannot be written, CapacityError if the disk is full.
        """
        return await asyncio.wrap_future(self.post(work, deletes_content=deletes_content))

    def post(self, work: Callable[[Connection], T], *, deletes_content: bool = False) -> Future[T]:
        """The same as `write`, from any thread and without waiting."""
        write: _Write[T] = _Write(work, Future(), deletes_content)
        with self._lock:
            if self._has_failed:
                write.done.set_exception(_failed())
            else:
                self._writes.put(write)
        return write.done

    async def read(self, work: Callable[[Connection], T]) -> T:
        """What `work` returns. All its queries see the same committed state."""
        return await asyncio.get_running_loop().run_in_executor(self._reader, self._read, work)

    def check(self) -> None:
        """Raise RuntimeError if no write will ever be made again, or if other processes have another file.

        A file that is deleted can still be written to, but nothing that is written there lasts.
        """
        if self._has_failed:
            raise _failed()
        if _file_id(self._path) != self._file_id:
            raise RuntimeError(f"the store at {self._path} was deleted or replaced")

    def close(self) -> None:
        """Finish all writes that were requested, then close."""
        self._writes.put(None)
        self._writer.join()
        self._reader.shutdown()
        self._reading.close()

    def _wall(self, *at: apsw.SQLiteValue) -> float:
        assert isinstance(at[0], int | float)
        return self.clock.wall(at[0])

    def _read(self, work: Callable[[Connection], T]) -> T:
        with self._reading:
            result = work(self._reading)
        return result

    def _write_until_closed(self, connection: Connection) -> None:
        try:
            self._write_batches(connection)
        finally:
            connection.close()
            self._fail_remaining()

    def _fail_remaining(self) -> None:
        """Nobody may wait for a write that will never be made."""
        with self._lock:
            self._has_failed = True
        while not self._writes.empty():
            write = self._writes.get()
            if write is not None and write.done.set_running_or_notify_cancel():
                write.done.set_exception(_failed())

    def _write_batches(self, connection: Connection) -> None:
        is_closing = False
        while not is_closing:
            batch = [self._writes.get()]
            while len(batch) < _MAX_SHARED and not self._writes.empty():
                batch.append(self._writes.get())
            is_closing = None in batch
            # A write that was cancelled before it began is dropped; one that has begun is carried out.
            wanted = [write for write in batch if write and write.done.set_running_or_notify_cancel()]
            try:
                write_together(connection, wanted)
            finally:
                for write in wanted:
                    if not write.done.done():
                        write.done.set_exception(_failed())


def write_together(connection: Connection, writes: list[_Write[Any]]) -> None:
    """Run all writes in one transaction, each in its own savepoint. Results are delivered after the commit."""
    if not writes:
        return
    results: list[Callable[[], None]] = []
    try:
        connection.execute("BEGIN IMMEDIATE")
        results.extend(_in_savepoint(connection, write) for write in writes)
        connection.execute("COMMIT")
    except apsw.Error as error:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        for write in writes:
            write.done.set_exception(_unavailable(error))
        return
    if any(write.deletes_content for write in writes):
        _empty_log(connection)
    for deliver in results:
        deliver()


def _empty_log(connection: Connection) -> None:
    """Move all commits from the write-ahead log to the database, and cut the log off. Readers keep it from that."""
    connection.set_busy_timeout(_EMPTYING_TIMEOUT_MS)
    with suppress(apsw.Error):
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.set_busy_timeout(_BUSY_TIMEOUT_MS)


def _in_savepoint(connection: Connection, write: _Write[Any]) -> Callable[[], None]:
    connection.execute("SAVEPOINT one")
    try:
        result = write.work(connection)
    except _DISK_ERRORS:
        raise  # the whole transaction is rolled back
    except Exception as error:  # noqa: BLE001 - it is passed on to the caller
        connection.execute("ROLLBACK TO one")
        connection.execute("RELEASE one")
        failure = error
        return lambda: write.done.set_exception(failure)
    connection.execute("RELEASE one")
    return lambda: write.done.set_result(result)


def _file_id(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def _failed() -> RuntimeError:
    return RuntimeError("the thread that writes the store has ended")


def _unavailable(error: apsw.Error) -> CapacityError:
    if isinstance(error, apsw.FullError):
        return disk_is_full()
    return StorageError("The store", _WHY_UNWRITABLE.get(type(error), "its file is damaged or missing"))


def _open(path: Path) -> tuple[Connection, Connection]:
    """Migrate the store if necessary, and open a connection that writes and one that reads."""
    opened: list[Connection] = []
    try:
        # For its owner alone; SQLite gives files that it makes beside it the same mode.
        path.touch(mode=0o600)
        make_private(path)
        for suffix in ("-wal", "-shm"):
            with suppress(FileNotFoundError):
                make_private(path.with_name(path.name + suffix))
        opened.append(connect(path))
        migrate(opened[0], path, busy_timeout_ms=_BUSY_TIMEOUT_MS)
        opened.append(connect(path, reads_only=True))
    except BaseException as error:
        for connection in opened:
            connection.close()
        if isinstance(error, apsw.Error | OSError):
            raise unusable_store(path, error) from None
        raise
    return opened[0], opened[1]


def connect(path: Path | str, *, reads_only: bool = False) -> Connection:
    """A connection whose commits survive power loss."""
    flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE | apsw.SQLITE_OPEN_NOMUTEX
    connection = apsw.Connection(str(path), flags=flags)
    connection.set_busy_timeout(_BUSY_TIMEOUT_MS)
    _switch_to_wal(connection)
    # secure_delete: what callers had deleted is overwritten, and not only marked as free.
    for pragma in ("synchronous = FULL", "foreign_keys = ON", "trusted_schema = OFF", "secure_delete = ON"):
        connection.execute(f"PRAGMA {pragma}")
    if reads_only:
        connection.execute("PRAGMA query_only = ON")
    return connection


def file_has_keys(path: Path) -> bool:
    """Whether the file at `path` has keys; False if there is no file. See `store.open.has_keys`."""
    if not os.path.exists(path):  # also where a directory on the way cannot be read
        return False
    try:
        with closing(apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)) as connection:
            connection.set_busy_timeout(_BUSY_TIMEOUT_MS)
            is_store = "SELECT 1 FROM sqlite_schema WHERE name = 'keys'"
            has_keys = "SELECT 1 FROM keys LIMIT 1"
            return bool(connection.execute(is_store).fetchall() and connection.execute(has_keys).fetchall())
    except apsw.Error as error:
        raise unusable_store(path, error) from None


def unusable_store(path: Path, error: Exception) -> OmnireelError:
    """The error for a file that cannot be opened."""
    return OmnireelError(
        f"The store at {path} cannot be opened: {error}.",
        hint="Check that the file is an omnireel store and that this user may write to it.",
    )


def _switch_to_wal(connection: Connection) -> None:
    """Use the write-ahead log. SQLite does not wait here while another process switches the same new file."""
    deadline = time.monotonic() + _BUSY_TIMEOUT_MS / 1000
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except apsw.BusyError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def check_sqlite_version(text: str = "") -> None:
    """Raise SettingsError for a SQLite whose write-ahead log can lose commits after a reset.

    text: a version like 3.51.3; if empty, the version of the library in use
    Source: sqlite.org/wal.html, "the WAL-reset bug": fixed in 3.51.3, 3.50.7 and 3.44.6.
    """
    text = text or apsw.sqlite_lib_version()
    version = tuple(int(part) for part in text.split("."))
    is_good = version >= (3, 51, 3) or (3, 50, 7) <= version < (3, 51) or (3, 44, 6) <= version < (3, 45)
    if not is_good:
        raise SettingsError(
            f"SQLite {text} can lose committed data (its WAL-reset bug).",
            hint="Install apsw 3.51.3 or newer, which brings its own SQLite.",
        )
