"""What was used and charged, read from the ledger and from ended jobs. owner None: of everybody."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from omnireel.store.sqlite.database import Connection

Timeframe = Literal["minute", "hour", "day", "week", "month"]
Status = Literal["success", "user_error", "error"]
Order = Literal["ended_at", "duration"]
Cursor = tuple[float, str | int]

# The begin of the period that a moment lies in, in UTC; a week begins on Monday.
_BUCKETS: Mapping[Timeframe, str] = {
    "minute": "strftime('%Y-%m-%dT%H:%M:00Z', at, 'unixepoch')",
    "hour": "strftime('%Y-%m-%dT%H:00:00Z', at, 'unixepoch')",
    "day": "strftime('%Y-%m-%dT00:00:00Z', at, 'unixepoch')",
    "week": "strftime('%Y-%m-%dT00:00:00Z', at, 'unixepoch', 'weekday 0', '-6 days')",
    "month": "strftime('%Y-%m-01T00:00:00Z', at, 'unixepoch')",
}
_STATUSES: Mapping[Status, str] = {
    "success": "status < 400",
    "user_error": "status BETWEEN 400 AND 499",
    "error": "status >= 500",
}
_ORDERS: Mapping[Order, str] = {
    "ended_at": "finished_at",
    "duration": "finished_at - coalesce(started_at, finished_at)",
}
_SIGNED = "iif(kind = 'charge', 1, -1)"


@dataclass(frozen=True)
class Period:
    """From `start` on and before `end`, in Unix seconds."""

    start: float
    end: float


@dataclass(frozen=True)
class Total:
    """Of a period; bucket: when it began, "" for the whole."""

    bucket: str
    num_tokens: int
    amount_micro: int


@dataclass(frozen=True)
class Charge:
    """A row of the ledger; a refund is negative."""

    job_id: str
    at: float
    num_tokens: int
    amount_micro: int


@dataclass(frozen=True)
class EndedJob:
    """What is told of a job that has ended; order: its value in the order asked for."""

    id: str
    created_at: float
    started_at: float | None
    finished_at: float
    status: int
    sent: Mapping[str, Any] | None
    answer: Mapping[str, Any] | None
    order: float
    seq: int


def totals(
    db: Connection, owner: str | None, period: Period, *, timeframe: Timeframe | None = None
) -> list[Total]:
    """Sums for each part of the period in which anything was charged, or for the whole of it."""
    bucket = "''" if timeframe is None else _BUCKETS[timeframe]
    rows = db.execute(
        f"""SELECT {bucket} AS bucket, sum({_SIGNED} * num_tokens), sum({_SIGNED} * amount_micro) FROM ledger
            WHERE at >= :start AND at < :end AND (:owner IS NULL OR owner = :owner)
            GROUP BY bucket ORDER BY bucket""",
        _named(owner, period),
    )
    return [Total(*row) for row in rows]


def charges(
    db: Connection, owner: str | None, period: Period, *, limit: int, after: Cursor | None = None
) -> list[Charge]:
    """What was charged, newest first; after: the time and job id of the last one known already."""
    at, job_id = after or (period.end, "")
    rows = db.execute(
        f"""SELECT job_id, at, {_SIGNED} * num_tokens, {_SIGNED} * amount_micro FROM ledger
            WHERE at >= :start AND at < :end AND (:owner IS NULL OR owner = :owner)
            AND (at, job_id) < (:at, :job_id) ORDER BY at DESC, job_id DESC, kind LIMIT :limit""",
        _named(owner, period) | {"at": at, "job_id": job_id, "limit": limit},
    )
    return [Charge(*row) for row in rows]


def mean_micro(db: Connection, owner: str | None) -> float | None:
    """What an answer cost on average, in millionths of a US dollar; None where there was none."""
    rows = db.execute(
        "SELECT avg(amount_micro) FROM ledger WHERE kind = 'charge' AND (:owner IS NULL OR owner = :owner)",
        {"owner": owner},
    ).fetchall()
    return None if rows[0][0] is None else float(rows[0][0])


def ended_jobs(
    db: Connection,
    owner: str | None,
    period: Period,
    *,
    limit: int,
    after: Cursor | None = None,
    status: Status | None = None,
    job_id: str | None = None,
    order: Order = "ended_at",
) -> list[EndedJob]:
    """Jobs that ended in the period and are not forgotten, last or longest first; after: see EndedJob."""
    value = _ORDERS[order]
    wanted = "1" if status is None else _STATUSES[status]
    beyond = "1" if after is None else f"({value}, seq) < (:value, :seq)"
    rows = db.execute(
        f"""SELECT id, created_at, started_at, finished_at, status, input, iif(keeps_io, body, NULL),
            {value} AS value, seq FROM jobs
            WHERE finished_at >= :start AND finished_at < :end AND (:owner IS NULL OR owner = :owner)
            AND (:job_id IS NULL OR id = :job_id) AND {wanted} AND {beyond}
            ORDER BY value DESC, seq DESC LIMIT :limit""",
        _named(owner, period)
        | {"job_id": job_id, "limit": limit}
        | ({} if after is None else {"value": after[0], "seq": after[1]}),
    )
    return [_ended_job(*row) for row in rows]


def drop_payloads(db: Connection, owner: str | None, job_id: str) -> Literal["dropped", "running", "unknown"]:
    """Forget what an ended job was sent and what it answered, in notices too; what it cost stays known."""
    rows = db.execute(
        "SELECT finished_at FROM jobs WHERE id = :id AND (:owner IS NULL OR owner = :owner)",
        {"id": job_id, "owner": owner},
    ).fetchall()
    if not rows:
        return "unknown"
    if rows[0][0] is None:
        return "running"
    db.execute("UPDATE jobs SET input = '{}', body = NULL WHERE id = ?", (job_id,))
    db.execute("UPDATE outbox SET body = x'' WHERE job_id = ? AND state <> 'waiting'", (job_id,))
    return "dropped"


def _named(owner: str | None, period: Period) -> dict[str, Any]:
    return {"owner": owner, "start": period.start, "end": period.end}


def _ended_job(*row: Any) -> EndedJob:  # noqa: ANN401 - the columns of `ended_jobs`
    job_id, created_at, started_at, finished_at, status, sent, body, order, seq = row
    answer = None if body is None else json.loads(body)
    kept = None if body is None or sent == "{}" else json.loads(sent)
    return EndedJob(job_id, created_at, started_at, finished_at, status, kept, answer, order, seq)
