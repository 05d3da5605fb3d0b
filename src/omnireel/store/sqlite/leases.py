"""Claims and leases: which worker runs a job. A write with an old lease token changes nothing."""

from __future__ import annotations

from collections.abc import Sequence

from omnireel.store.jobs import MAX_COUNTED, Claim, Job
from omnireel.store.sqlite.database import Connection
from omnireel.store.sqlite.rows import COLUMNS, count, read_job, select

_CLAIM = f"""
UPDATE jobs SET state = 'running', attempt = attempt + 1, lease_token = lease_token + 1,
lease_owner = :worker, lease_until = :until, started_at = coalesce(started_at, wall(:now))
WHERE seq = (SELECT first.seq FROM shares JOIN jobs AS first ON first.seq = (
               SELECT seq FROM jobs WHERE owner = shares.owner AND state = 'queued'
               AND run_after <= :now AND (pinned_to IS NULL OR pinned_to = :worker)
               AND (start_deadline_at IS NULL OR start_deadline_at > :now OR started_at IS NOT NULL)
               ORDER BY priority, seq LIMIT 1)
             WHERE num_queued > 0
             ORDER BY first.priority, num_running, last_turn, shares.owner LIMIT 1)
RETURNING {COLUMNS}"""

# The earlier jobs of the same owner, and as many jobs of every other owner; one more if that owner's turn comes first.
# No count goes further than MAX_COUNTED.
_POSITION = f"""
WITH it AS (SELECT owner, priority, seq FROM jobs WHERE id = ?),
own AS (SELECT count(*) AS n FROM (SELECT 1 FROM jobs, it WHERE jobs.owner = it.owner AND jobs.state = 'queued'
        AND jobs.priority = it.priority AND jobs.seq < it.seq LIMIT {MAX_COUNTED})),
priorities AS (SELECT column1 AS priority FROM (VALUES (0), (1)), it WHERE column1 <= it.priority),
waiting AS (SELECT owner, priority, (SELECT count(*) FROM (
              SELECT 1 FROM jobs WHERE jobs.owner = shares.owner AND jobs.state = 'queued'
              AND jobs.priority = priorities.priority LIMIT {MAX_COUNTED})) AS n
            FROM shares, priorities WHERE num_queued > 0)
SELECT coalesce(sum(CASE
  WHEN waiting.priority < it.priority THEN waiting.n
  WHEN waiting.owner = it.owner THEN own.n
  ELSE min(waiting.n, own.n + ((other.num_running, other.last_turn, other.owner)
                               < (mine.num_running, mine.last_turn, mine.owner))) END), 0)
FROM it, own, waiting, shares AS mine, shares AS other
WHERE mine.owner = it.owner AND other.owner = waiting.owner"""


def claim_jobs(db: Connection, claim: Claim, *, now: float) -> list[Job]:
    """Claim the next jobs for a worker, in order. Fewer than max_jobs means that no more are waiting."""
    jobs: list[Job] = []
    values = {"worker": claim.worker, "until": now + claim.lease_s, "now": now}
    while len(jobs) < claim.max_jobs and (rows := select(db, _CLAIM, values)):
        jobs.append(read_job(rows[0]))
    return jobs


def position(db: Connection, job_id: str) -> int:
    """How many waiting jobs will be claimed before it, if no further jobs are submitted."""
    return count(db, _POSITION, (job_id,))


def renew_leases(
    db: Connection, jobs: Sequence[Job], *, worker: str, lease_s: float, now: float
) -> list[bool | None]:
    """Renew leases. For each job: whether it is to be cancelled, or None if its lease was lost."""
    return [_renew_lease(db, job, worker, until=now + lease_s) for job in jobs]


def _renew_lease(db: Connection, job: Job, worker: str, *, until: float) -> bool | None:
    rows = select(
        db,
        """UPDATE jobs SET lease_until = ? WHERE id = ? AND state = 'running' AND lease_token = ?
           AND lease_owner = ? RETURNING cancel_requested""",
        (until, job.id, job.lease_token, worker),
    )
    return bool(rows[0][0]) if rows else None


def is_held(db: Connection, job: Job, worker: str) -> bool:
    """Whether the job still runs under the worker's lease."""
    held = "SELECT 1 FROM jobs WHERE id = ? AND state = 'running' AND lease_token = ? AND lease_owner = ?"
    return bool(select(db, held, (job.id, job.lease_token, worker)))


def has_lapsed_lease(db: Connection, *, now: float) -> bool:
    """Whether any lease of any worker has run out."""
    return bool(select(db, "SELECT 1 FROM jobs WHERE state = 'running' AND lease_until < ? LIMIT 1", (now,)))


def requeue(db: Connection, job: Job, *, worker: str, run_after: float, counts: bool) -> bool:
    """Put a running job back into the queue; see `JobStore.requeue`."""
    db.execute(
        """UPDATE jobs SET state = 'queued', lease_owner = NULL, lease_until = NULL, run_after = ?,
           retries = retries - ?, attempt = attempt - ?
           WHERE id = ? AND state = 'running' AND lease_token = ? AND lease_owner = ? AND retries >= ?""",
        (run_after, int(counts), int(not counts), job.id, job.lease_token, worker, int(counts)),
    )
    return db.changes() == 1


def cancel_requests(db: Connection, worker: str) -> list[str]:
    """Ids of the worker's running jobs whose cancellation was requested."""
    asked = "SELECT id FROM jobs WHERE state = 'running' AND cancel_requested = 1 AND lease_owner = ?"
    return [row[0] for row in select(db, asked, (worker,))]
