"""Claims and leases: which worker runs a job. A write with an old lease token changes nothing."""

from __future__ import annotations

from collections.abc import Sequence

from omnireel.store.jobs import MAX_COUNTED, MAX_PASSED_OVER_S, Claim, Job
from omnireel.store.sqlite.database import Connection
from omnireel.store.sqlite.rows import count, select, select_jobs

# The next job for a worker. With :takes_crashed = 0, without those that have to run alone.
_NEXT = """
SELECT first.seq, first.num_crashes, first.run_after FROM shares JOIN jobs AS first ON first.seq = (
  SELECT seq FROM jobs WHERE owner = shares.owner AND state = 'queued'
  AND run_after <= :now AND (pinned_to IS NULL OR pinned_to = :worker)
  AND (start_deadline_at IS NULL OR start_deadline_at > :now OR started_at IS NOT NULL)
  AND (:takes_crashed OR num_crashes = 0)
  ORDER BY priority, seq LIMIT 1)
WHERE num_queued > 0
ORDER BY first.priority, num_running, last_turn, shares.owner LIMIT 1"""

_TAKE = """
UPDATE jobs SET state = 'running', attempt = attempt + 1, lease_token = lease_token + 1,
lease_owner = :worker, lease_until = :until, started_at = wall(:now) WHERE seq = :seq"""

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
    """Claim the next jobs for a worker, in order. Fewer than max_jobs means that it can have no more now."""
    jobs: list[Job] = []
    values = {"worker": claim.worker, "until": now + claim.lease_s, "now": now}
    running = "SELECT num_crashes FROM jobs WHERE state = 'running' AND lease_owner = ?"
    crashes = [row[0] for row in select(db, running, (claim.worker,))] if claim.max_jobs else []
    while len(jobs) < claim.max_jobs and not any(crashes):
        seq = _next(db, claim.worker, is_idle=not crashes, now=now)
        if seq is None:
            break
        db.execute(_TAKE, values | {"seq": seq})
        jobs += select_jobs(db, "seq = ?", (seq,))
        crashes.append(jobs[-1].num_crashes)
    return jobs


def _next(db: Connection, worker: str, *, is_idle: bool, now: float) -> int | None:
    """Number of the next job for a worker, none of whose jobs runs alone. None: it takes no job now."""
    values = {"worker": worker, "now": now}
    rows = select(db, _NEXT, values | {"takes_crashed": 1})
    if not rows:
        return None
    seq, num_crashes, run_after = rows[0]
    if num_crashes and not is_idle:
        if now - run_after > MAX_PASSED_OVER_S:
            return None  # the worker waits until it is idle
        rows = select(db, _NEXT, values | {"takes_crashed": 0})
        return rows[0][0] if rows else None
    return int(seq)


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
           WHERE id = ? AND state = 'running' AND lease_token = ? AND lease_owner = ? AND retries >= ?
           AND pinned_to IS NULL""",
        (run_after, int(counts), int(not counts), job.id, job.lease_token, worker, int(counts)),
    )
    return db.changes() == 1


def cancel_requests(db: Connection, worker: str) -> list[str]:
    """Ids of the worker's running jobs whose cancellation was requested."""
    asked = "SELECT id FROM jobs WHERE state = 'running' AND cancel_requested = 1 AND lease_owner = ?"
    return [row[0] for row in select(db, asked, (worker,))]
