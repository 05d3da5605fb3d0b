"""The SQLite file: one connection that writes, in a thread of its own, and one that reads.

Writes that wait at the same time share one transaction, each in a savepoint: a commit costs a flush of the
disk, and a hundred submissions can share it. Whoever awaits a write knows afterwards that it is durable.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Generic, TypeVar

import apsw

from omnireel.errors import CapacityError, SettingsError

T = TypeVar("T")
Connection = apsw.Connection

SCHEMA_VERSION = 1
_BUSY_TIMEOUT_MS = 5000
_MAX_SHARED = 256


@dataclass(frozen=True, eq=False)
class _Write(Generic[T]):
    work: Callable[[Connection], T]
    done: Future[T]


class Database:
    """`path` is made where it is missing. Raises SettingsError for a SQLite that may lose commits."""

    def __init__(self, path: Path) -> None:
        check_sqlite_version(apsw.sqlite_lib_version())
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._path = path
        self._writes: queue.SimpleQueue[_Write[Any] | None] = queue.SimpleQueue()
        writer = connect(path)
        create_schema(writer)
        # A process that never gets as far as `close` ends nevertheless: whoever awaits a write is in it, and
        # without its commit a write never was.
        self._writer = threading.Thread(
            target=self._write_until_closed, args=(writer,), name="store", daemon=True
        )
        self._reader = ThreadPoolExecutor(1, "store-reader")
        self._reading = connect(path, reads_only=True)
        self._writer.start()

    async def write(self, work: Callable[[Connection], T]) -> T:
        """What `work` returns, once it is on the disk; what it raised undoes its own changes alone."""
        return await asyncio.wrap_future(self.post(work))

    def post(self, work: Callable[[Connection], T]) -> Future[T]:
        """The same from any thread."""
        write: _Write[T] = _Write(work, Future())
        self._writes.put(write)
        return write.done

    async def read(self, work: Callable[[Connection], T]) -> T:
        """What `work` returns of the last committed state: one state, however often it looks."""
        return await asyncio.get_running_loop().run_in_executor(self._reader, self._look, work)

    def close(self) -> None:
        """Finish what was asked, then close."""
        self._writes.put(None)
        self._writer.join()
        self._reader.shutdown()
        self._reading.close()

    def _look(self, work: Callable[[Connection], T]) -> T:
        with self._reading:
            found = work(self._reading)
        return found

    def _write_until_closed(self, connection: Connection) -> None:
        is_closing = False
        while not is_closing:
            batch = [self._writes.get()]
            while len(batch) < _MAX_SHARED and not self._writes.empty():
                batch.append(self._writes.get())
            is_closing = None in batch
            # A write whose caller has left is not begun; one that has begun can no longer be left.
            wanted = [write for write in batch if write and write.done.set_running_or_notify_cancel()]
            write_together(connection, wanted)
        connection.close()


def write_together(connection: Connection, writes: list[_Write[Any]]) -> None:
    """One transaction, one savepoint each; nobody hears of success before the commit."""
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
    for tell in results:
        tell()


def _in_savepoint(connection: Connection, write: _Write[Any]) -> Callable[[], None]:
    connection.execute("SAVEPOINT one")
    try:
        result = write.work(connection)
    except (apsw.FullError, apsw.IOError, apsw.CorruptError):
        raise  # the disk, not the work: nothing of this transaction may be believed
    except Exception as error:  # noqa: BLE001 - it is the caller's, and reaches the caller
        connection.execute("ROLLBACK TO one")
        connection.execute("RELEASE one")
        failure = error
        return lambda: write.done.set_exception(failure)
    connection.execute("RELEASE one")
    return lambda: write.done.set_result(result)


def _unavailable(error: apsw.Error) -> CapacityError:
    return CapacityError(f"the store cannot be written: {type(error).__name__}", after_s=5)


def connect(path: Path | str, *, reads_only: bool = False) -> Connection:
    """A connection whose commits survive power loss."""
    flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE | apsw.SQLITE_OPEN_NOMUTEX
    connection = apsw.Connection(str(path), flags=flags)
    connection.set_busy_timeout(_BUSY_TIMEOUT_MS)
    for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON", "trusted_schema = OFF"):
        connection.execute(f"PRAGMA {pragma}")
    if reads_only:
        connection.execute("PRAGMA query_only = ON")
    return connection


@contextmanager
def transaction(path: Path) -> Iterator[Connection]:
    """One transaction on the store, for a process that wants nothing else of it; undone by an exception.

    Raises SettingsError as `Database`, CapacityError where the file cannot be used.
    """
    check_sqlite_version(apsw.sqlite_lib_version())
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        with closing(connect(path)) as connection:
            create_schema(connection)
            with connection:
                yield connection
    except apsw.Error as error:
        raise _unavailable(error) from None


def create_schema(connection: Connection) -> None:
    """Make the tables of an empty file. Raises SettingsError for a file that another version wrote."""
    connection.execute("BEGIN IMMEDIATE")
    version = connection.pragma("user_version")
    if version == 0:
        connection.execute(files("omnireel.store.sqlite").joinpath("schema.sql").read_text("utf-8"))
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    connection.execute("COMMIT")
    if version not in (0, SCHEMA_VERSION):
        raise SettingsError(
            f"the store has schema version {version}, this omnireel reads {SCHEMA_VERSION}",
            hint="use the omnireel that wrote it, or another --data-dir",
        )


def check_sqlite_version(text: str) -> None:
    """Raise SettingsError for a SQLite whose write-ahead log can lose commits after a reset.

    Source: sqlite.org/wal.html, "the WAL-reset bug": mended in 3.51.3, 3.50.7 and 3.44.6.
    """
    version = tuple(int(part) for part in text.split("."))
    is_good = version >= (3, 51, 3) or (3, 50, 7) <= version < (3, 51) or (3, 44, 6) <= version < (3, 45)
    if not is_good:
        raise SettingsError(
            f"SQLite {text} may lose what was committed (its WAL-reset bug)",
            hint="install apsw 3.51.3 or newer, which brings its own SQLite",
        )
