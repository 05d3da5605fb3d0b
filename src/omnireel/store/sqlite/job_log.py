"""What a job's owner may read of its progress."""

from __future__ import annotations

from omnireel.store.jobs import Level, LogLine
from omnireel.store.sqlite.database import Connection


def append(db: Connection, job_id: str, lines: list[tuple[float, Level, str]]) -> None:
    """Add lines to a job's log."""
    db.executemany(
        """INSERT INTO log_lines SELECT seq,
           (SELECT coalesce(max(number) + 1, 0) FROM log_lines WHERE job_seq = seq), ?, ?, ?
           FROM jobs WHERE id = ?""",
        [(*line, job_id) for line in lines],
    )


def read_from(db: Connection, job_id: str, *, start: int = 0) -> list[LogLine]:
    """A job's log from line number `start` on."""
    rows = db.execute(
        """SELECT number, at, level, message FROM log_lines JOIN jobs ON seq = job_seq
           WHERE id = ? AND number >= ? ORDER BY number""",
        (job_id, start),
    )
    return [LogLine(*row) for row in rows]
