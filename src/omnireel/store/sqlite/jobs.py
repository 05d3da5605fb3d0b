"""Jobs in SQLite. `store.jobs` describes each method. One call is one transaction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

from omnireel.store.jobs import (
    Cancelling,
    Claim,
    EndPolicy,
    Job,
    JobStatus,
    LogLine,
    NewLogLine,
    Overdue,
    Submission,
)
from omnireel.store.sqlite import ending, leases
from omnireel.store.sqlite.clock import note_time
from omnireel.store.sqlite.database import Connection, Database
from omnireel.store.sqlite.rows import find_job, find_status, select
from omnireel.store.sqlite.submission import is_repeated, num_queued, store_job
from omnireel.task import Outcome


class SqliteJobs:
    """A `JobStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def submit(
        self, submission: Submission, *, fingerprint: str, now: float, claim: Claim | None = None
    ) -> tuple[Job, list[Job]]:
        """See `JobStore.submit`."""

        def work(db: Connection) -> tuple[Job, list[Job]]:
            job = store_job(db, submission, fingerprint=fingerprint, now=now)
            return job, [] if claim is None else leases.claim_jobs(db, claim, now=now)

        return await self._database.write(work)

    async def is_repeated(self, owner: str, idempotency_key: str) -> bool:
        """See `JobStore.is_repeated`."""
        return await self._database.read(lambda db: is_repeated(db, owner, idempotency_key))

    async def claim(self, claim: Claim, *, now: float) -> list[Job]:
        """See `JobStore.claim`."""
        return await self._database.write(lambda db: leases.claim_jobs(db, claim, now=now))

    async def renew_leases(
        self, jobs: Sequence[Job], *, worker: str, lease_s: float, clock: Callable[[], float]
    ) -> list[bool | None]:
        """See `JobStore.renew_leases`."""
        return await self._database.write(
            lambda db: leases.renew_leases(db, jobs, worker=worker, lease_s=lease_s, now=clock())
        )

    async def finish(
        self,
        job: Job,
        outcome: Outcome,
        policy: EndPolicy,
        *,
        worker: str,
        log: Sequence[NewLogLine],
        now: float,
    ) -> bool:
        """See `JobStore.finish`."""

        def work(db: Connection) -> bool:
            _append_log(db, job.id, log)
            if not leases.is_held(db, job, worker):
                return False
            ending.end(db, policy, job, outcome, now=now)
            return True

        return await self._database.write(work)

    async def requeue(
        self, job: Job, *, worker: str, after_s: float, counts: bool, log: Sequence[NewLogLine], now: float
    ) -> bool:
        """See `JobStore.requeue`."""

        def work(db: Connection) -> bool:
            _append_log(db, job.id, log)
            return leases.requeue(db, job, worker=worker, run_after=now + after_s, counts=counts)

        return await self._database.write(work)

    def append_log(self, job_id: str, lines: Sequence[NewLogLine]) -> None:
        """See `JobStore.append_log`."""
        self._database.post(lambda db: _append_log(db, job_id, lines))

    async def cancel(
        self, job_id: str, policy: EndPolicy, *, now: float, only_pinned: bool = False
    ) -> Cancelling:
        """See `JobStore.cancel`."""
        return await self._database.write(
            lambda db: ending.cancel(db, policy, job_id, now=now, only_pinned=only_pinned)
        )

    async def end_overdue(
        self, policy: EndPolicy, *, running: Sequence[Job], worker: str, lease_s: float, now: float
    ) -> Overdue:
        """See `JobStore.end_overdue`."""

        def work(db: Connection) -> Overdue:
            if leases.has_lapsed_lease(db, now=now):
                leases.renew_leases(db, running, worker=worker, lease_s=lease_s, now=now)
            return ending.end_overdue(db, policy, now=now)

        return await self._database.write(work)

    async def purge(self, *, before: float) -> None:
        """See `JobStore.purge`."""
        now = self._database.clock.now()

        def work(db: Connection) -> None:
            note_time(db, now)
            ending.purge(db, before=before)

        await self._database.write(work, deletes_content=True)

    async def purge_unkept(self, *, now: float) -> None:
        """See `JobStore.purge_unkept`."""
        await self._database.write(lambda db: ending.purge_unkept(db, now=now), deletes_content=True)

    async def drop_payloads(
        self, job_id: str, *, owner: str | None
    ) -> Literal["dropped", "running", "unknown"]:
        """See `JobStore.drop_payloads`."""
        return await self._database.write(
            lambda db: ending.drop_payloads(db, job_id, owner=owner), deletes_content=True
        )

    async def find(self, job_id: str) -> Job | None:
        """See `JobStore.find`."""
        return await self._database.read(lambda db: find_job(db, job_id))

    async def status(self, job_id: str) -> JobStatus | None:
        """See `JobStore.status`."""
        return await self._database.read(lambda db: find_status(db, job_id))

    async def position(self, job_id: str) -> int:
        """See `JobStore.position`."""
        return await self._database.read(lambda db: leases.position(db, job_id))

    async def num_queued(self) -> int:
        """See `JobStore.num_queued`."""
        return await self._database.read(num_queued)

    async def cancel_requests(self, worker: str) -> list[str]:
        """See `JobStore.cancel_requests`."""
        return await self._database.read(lambda db: leases.cancel_requests(db, worker))

    async def read_log(self, job_id: str, *, start: int = 0) -> list[LogLine]:
        """See `JobStore.read_log`."""
        return await self._database.read(lambda db: _read_log(db, job_id, start))

    async def needed_media(self) -> set[str]:
        """See `JobStore.needed_media`."""
        return await self._database.read(_needed_media)


def _append_log(db: Connection, job_id: str, lines: Sequence[NewLogLine]) -> None:
    db.executemany(
        """INSERT INTO log_lines SELECT seq,
           (SELECT coalesce(max(number) + 1, 0) FROM log_lines WHERE job_seq = seq), ?, ?, ?
           FROM jobs WHERE id = ?""",
        [(*line, job_id) for line in lines],
    )


def _read_log(db: Connection, job_id: str, start: int) -> list[LogLine]:
    rows = select(
        db,
        """SELECT number, at, level, message FROM log_lines JOIN jobs ON seq = job_seq
           WHERE id = ? AND number >= ? ORDER BY number""",
        (job_id, start),
    )
    return [LogLine(*row) for row in rows]


def _needed_media(db: Connection) -> set[str]:
    return {row[0] for row in select(db, "SELECT media FROM jobs WHERE media IS NOT NULL")}
