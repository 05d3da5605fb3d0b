"""Store time: the clock of leases, deadlines, timers and retention, the same for all processes of a machine.

It is counted in seconds since 1970 like the wall clock, and began as that. From then on it passes only while the
machine runs, and nobody can set it: a wall clock that is set forward or back ends no lease and deletes nothing. Times
that people read are the wall clock's.

Source: clock_gettime(2). CLOCK_BOOTTIME is the same for all processes of one boot, and counts suspension.
"""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apsw

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
# Below this, store time and wall clock are shown as one.
_MIN_DIFFERENCE_S = 1.0


@dataclass(frozen=True)
class StoreClock:
    """Store time in this boot. offset_s: store time at the boot"""

    offset_s: float

    def now(self) -> float:
        """Store time."""
        return seconds_since_boot() + self.offset_s

    def wall(self, at: float) -> float:
        """The time on the wall clock at a moment in store time, as far as it has not been set since."""
        ahead_s = time.time() - self.now()
        return at if abs(ahead_s) < _MIN_DIFFERENCE_S else at + ahead_s


def seconds_since_boot() -> float:
    """Seconds since the machine was started; on other systems than Linux, since some moment."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


def id_of_boot() -> str:
    """The id of the machine's current boot. Where there is none, each process has one of its own."""
    try:
        return _BOOT_ID.read_text("ascii").strip()
    except OSError:
        return uuid.uuid4().hex


def start_clock(connection: apsw.Connection, *, boot_id: str, uptime_s: float) -> StoreClock:
    """The clock of the store, for a process of this boot.

    After a new boot it goes on from the last time that was noted, and no process of before can be alive: its leases
    and claims end, and what waits to be tried again is due.
    """
    offset_s = _known_offset(connection, boot_id)
    if offset_s is not None:  # without a write, which may be impossible now
        return StoreClock(offset_s)
    connection.execute("BEGIN IMMEDIATE")
    try:
        offset_s = _known_offset(connection, boot_id)  # another process may have been first
        if offset_s is None:
            offset_s = _begin_boot(connection, boot_id, uptime_s)
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
    return StoreClock(offset_s)


def _known_offset(connection: apsw.Connection, boot_id: str) -> float | None:
    found: list[tuple[Any, ...]] = connection.execute(
        "SELECT offset_s FROM clock WHERE boot_id = ?", (boot_id,)
    ).fetchall()
    return float(found[0][0]) if found else None


def _begin_boot(connection: apsw.Connection, boot_id: str, uptime_s: float) -> float:
    noted: list[tuple[Any, ...]] = connection.execute("SELECT noted_at FROM clock").fetchall()
    now = float(noted[0][0]) if noted else time.time()
    row = (boot_id, now - uptime_s, now)
    connection.execute("REPLACE INTO clock (only_row, boot_id, offset_s, noted_at) VALUES (1, ?, ?, ?)", row)
    if noted:
        _end_what_ran_before(connection, now)
    return now - uptime_s


def note_time(connection: apsw.Connection, now: float) -> None:
    """Note the time, from which the clock goes on after the next boot."""
    connection.execute("UPDATE clock SET noted_at = max(noted_at, ?)", (now,))


def _end_what_ran_before(connection: apsw.Connection, now: float) -> None:
    connection.execute("UPDATE jobs SET lease_until = 0 WHERE state = 'running'")
    connection.execute("UPDATE jobs SET run_after = min(run_after, ?) WHERE state = 'queued'", (now,))
    connection.execute("UPDATE outbox SET claimed_until = NULL WHERE claimed_until IS NOT NULL")
