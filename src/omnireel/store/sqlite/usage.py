"""Usage and charges in SQLite. `store.usage` describes each method."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from omnireel.store.sqlite.database import Connection, Database
from omnireel.store.sqlite.rows import COLUMNS, read_job, select
from omnireel.store.usage import Charge, Cursor, EndedJob, Order, Period, Status, Timeframe, Total

# The start of the period that contains a time, in UTC. A week begins on Monday.
_BUCKETS: Mapping[Timeframe, str] = {
    "minute": "strftime('%Y-%m-%dT%H:%M:00Z', at, 'unixepoch')",
    "hour": "strftime('%Y-%m-%dT%H:00:00Z', at, 'unixepoch')",
    "day": "strftime('%Y-%m-%dT00:00:00Z', at, 'unixepoch')",
    "week": "strftime('%Y-%m-%dT00:00:00Z', at, 'unixepoch', 'weekday 0', '-6 days')",
    "month": "strftime('%Y-%m-01T00:00:00Z', at, 'unixepoch')",
}
_STATUSES: Mapping[Status, str] = {
    "success": "state = 'succeeded'",
    "user_error": "is_callers = 1",
    "error": "is_callers = 0",
}
_ORDERS: Mapping[Order, str] = {
    "ended_at": "finished_at",
    "duration": "finished_at - coalesce(started_at, finished_at)",
}
_SIGNED = "iif(kind = 'charge', 1, -1)"


class SqliteUsage:
    """A `UsageStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def totals(
        self, owner: str | None, period: Period, *, timeframe: Timeframe | None = None
    ) -> list[Total]:
        """See `UsageStore.totals`."""
        bucket = "''" if timeframe is None else _BUCKETS[timeframe]
        sql = f"""SELECT {bucket} AS bucket, sum({_SIGNED} * num_tokens), sum({_SIGNED} * amount_micro)
                  FROM ledger WHERE at >= :start AND at < :end AND (:owner IS NULL OR owner = :owner)
                  GROUP BY bucket ORDER BY bucket"""
        rows = await self._database.read(lambda db: select(db, sql, _named(owner, period)))
        return [Total(*row) for row in rows]

    async def charges(
        self, owner: str | None, period: Period, *, limit: int, after: Cursor | None = None
    ) -> list[Charge]:
        """See `UsageStore.charges`."""
        at, job_id = after or (period.end, "")
        sql = f"""SELECT job_id, at, {_SIGNED} * num_tokens, {_SIGNED} * amount_micro FROM ledger
                  WHERE at >= :start AND at < :end AND (:owner IS NULL OR owner = :owner)
                  AND (at, job_id) < (:at, :job_id) ORDER BY at DESC, job_id DESC, kind LIMIT :limit"""
        values = _named(owner, period) | {"at": at, "job_id": job_id, "limit": limit}
        return [Charge(*row) for row in await self._database.read(lambda db: select(db, sql, values))]

    async def mean_micro(self, owner: str | None) -> float | None:
        """See `UsageStore.mean_micro`."""
        sql = """SELECT avg(amount_micro) FROM ledger
                 WHERE kind = 'charge' AND (:owner IS NULL OR owner = :owner)"""
        ((mean,),) = await self._database.read(lambda db: select(db, sql, {"owner": owner}))
        return None if mean is None else float(mean)

    async def ended_jobs(
        self,
        owner: str | None,
        period: Period,
        *,
        limit: int,
        after: Cursor | None = None,
        status: Status | None = None,
        job_id: str | None = None,
        order: Order = "ended_at",
    ) -> list[EndedJob]:
        """See `UsageStore.ended_jobs`."""
        value = _ORDERS[order]
        wanted = "1" if status is None else _STATUSES[status]
        beyond = "1" if after is None else f"({value}, seq) < (:value, :seq)"
        sql = f"""SELECT {value} AS value, seq, {COLUMNS} FROM jobs
                  WHERE finished_at >= :start AND finished_at < :end AND (:owner IS NULL OR owner = :owner)
                  AND (:job_id IS NULL OR id = :job_id) AND {wanted} AND {beyond}
                  ORDER BY value DESC, seq DESC LIMIT :limit"""
        values = _named(owner, period) | {"job_id": job_id, "limit": limit}
        values |= {} if after is None else {"value": after[0], "seq": after[1]}
        return await self._database.read(lambda db: _ended_jobs(db, sql, values))


def _ended_jobs(db: Connection, sql: str, values: Mapping[str, Any]) -> list[EndedJob]:
    return [_ended_job(row) for row in select(db, sql, values)]


def _ended_job(row: Sequence[Any]) -> EndedJob:
    order, seq, *columns = row
    job = read_job(columns)
    # An outcome that must not be kept is only for the caller who fetches it. No listing shows it.
    return EndedJob(job if job.keeps_io else dataclasses.replace(job, outcome=None), order, seq)


def _named(owner: str | None, period: Period) -> dict[str, Any]:
    return {"owner": owner, "start": period.start, "end": period.end}
