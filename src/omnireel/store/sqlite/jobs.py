"""Every way a job changes, each in one transaction of its caller; SQL lives here and nowhere else.

Functions of a connection and the time: no clock, no threads, no disk but the database. A job is charged at
most once, ends once, and its notice is written in the transaction that ends it. A worker proves with its
lease token that a job is still its own; one that was presumed dead changes nothing any more.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from omnireel.errors import CapacityError, InputError
from omnireel.store.jobs import Job, Outcome, State, Submission
from omnireel.store.sqlite import webhooks as outbox
from omnireel.store.sqlite.admission import admit
from omnireel.store.sqlite.database import Connection
from omnireel.store.sqlite.rows import COLUMNS, count, read_job, select, select_jobs

IDEMPOTENCY_S = 24 * 3600.0
MAX_BACKOFF_S = 60.0
# How long an answer that is not to be kept can be fetched; on the line, how long it may be on its way.
UNKEPT_S, UNKEPT_ATTACHED_S = 3600.0, 60.0
# No caller waits longer on the line: what is pinned and still queued then had a caller whose server died.
MAX_PINNED_S = 3600.0

Cancelling = Literal["removed", "requested", "ended", "unknown"]


@dataclass(frozen=True)
class EndPolicy:
    """What the store writes on its own account.

    cancelled, not_started, lost: how such jobs end
    notice:          the body of a webhook, from the job's id and its outcome
    micro_per_token: millionths of a US dollar
    max_crashes:     a job whose worker died that often is lost
    """

    cancelled: Outcome
    not_started: Outcome
    lost: Outcome
    notice: Callable[[str, Outcome], bytes]
    micro_per_token: int
    max_crashes: int = 3


def submit(db: Connection, submission: Submission, *, fingerprint: str, now: float) -> Job:
    """Store a new job, or find the one that the same idempotency key made.

    fingerprint: of the body, to tell a repetition from another request under the same key
    Raises CapacityError beyond max_queued, InputError(idempotency_mismatch), and as `admission.admit`.
    """
    if submission.idempotency_key is not None:
        known = _same_job(db, submission, fingerprint, now)
        if known is not None:
            return known
    if submission.max_queued is not None:
        waiting = num_queued(db)
        if waiting > submission.max_queued:
            raise CapacityError(f"{waiting} jobs are waiting already", after_s=1)
    if submission.key_id:
        admit(db, submission, now=now)
    s, deadline = submission, submission.start_deadline_s
    db.execute(
        """INSERT INTO jobs (id, owner, priority, pinned_to, input, video, webhook_url, keeps_io, retries,
           created_at, run_after, start_deadline_at, key_id, reserved_micro)
           VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)""",
        (
            s.id, s.owner, int(s.is_low), s.pinned_to, json.dumps(s.input), s.video, s.webhook_url,
            int(s.keeps_io), s.retries, now, now, None if deadline is None else now + deadline,
            s.key_id, s.reserved_micro,
        ),
    )  # fmt: skip
    job = find(db, s.id)
    assert job is not None
    return job


def _same_job(db: Connection, submission: Submission, fingerprint: str, now: float) -> Job | None:
    key = (submission.owner, submission.idempotency_key)
    db.execute("DELETE FROM idempotency WHERE expires_at <= ?", (now,))
    rows = db.execute(
        "SELECT fingerprint, job_id FROM idempotency WHERE owner = ? AND key = ?", key
    ).fetchall()
    if not rows:
        values = (*key, fingerprint, submission.id, now + IDEMPOTENCY_S)
        db.execute("INSERT INTO idempotency VALUES (?, ?, ?, ?, ?)", values)
        return None
    if rows[0][0] != fingerprint:
        raise InputError(
            "this idempotency key was used for another request",
            kind="idempotency_mismatch",
            loc=("header", "idempotency-key"),
            hint="use a new key for a new request",
        )
    return find(db, str(rows[0][1]))


def find(db: Connection, job_id: str) -> Job | None:
    """The job as it stands."""
    rows = db.execute(f"SELECT {COLUMNS} FROM jobs WHERE id = ?", (job_id,)).fetchall()
    return read_job(rows[0]) if rows else None


def position(db: Connection, job_id: str) -> int:
    """How many waiting jobs come before it, if owners go on taking turns.

    Its own owner's earlier ones, and as many of every other owner, or one more where that one's turn is next.
    """
    return count(
        db,
        """WITH it AS (SELECT owner, priority, seq FROM jobs WHERE id = ?),
           own AS (SELECT count(*) AS n FROM jobs, it WHERE jobs.owner = it.owner AND jobs.state = 'queued'
                   AND jobs.priority = it.priority AND jobs.seq < it.seq),
           waiting AS (SELECT jobs.owner, jobs.priority, count(*) AS n FROM jobs, it
                       WHERE state = 'queued' AND jobs.priority <= it.priority
                       GROUP BY jobs.owner, jobs.priority)
           SELECT coalesce(sum(CASE
             WHEN waiting.priority < it.priority THEN waiting.n
             WHEN waiting.owner = it.owner THEN own.n
             ELSE min(waiting.n, own.n + ((other.num_running, other.last_turn, other.owner)
                                          < (mine.num_running, mine.last_turn, mine.owner))) END), 0)
           FROM it, own, waiting, shares AS mine, shares AS other
           WHERE mine.owner = it.owner AND other.owner = waiting.owner""",
        (job_id,),
    )


def num_queued(db: Connection) -> int:
    """How many jobs wait."""
    return count(db, "SELECT count(*) FROM jobs WHERE state = 'queued'", ())


def claim(db: Connection, worker: str, *, lease_s: float, now: float) -> Job | None:
    """The next job for this worker, now running under a lease; None where nothing waits.

    Low jobs come last. Otherwise it is the turn of the owner with the fewest running jobs, and among those of
    the one who was served longest ago.
    """
    rows = db.execute(
        f"""UPDATE jobs SET state = 'running', attempt = attempt + 1, lease_token = lease_token + 1,
            lease_owner = :worker, lease_until = :until, started_at = coalesce(started_at, :now)
            WHERE seq = (SELECT first.seq FROM shares JOIN jobs AS first ON first.seq = (
                           SELECT seq FROM jobs WHERE owner = shares.owner AND state = 'queued'
                           AND run_after <= :now AND (pinned_to IS NULL OR pinned_to = :worker)
                           AND (start_deadline_at IS NULL OR start_deadline_at > :now
                                OR started_at IS NOT NULL)
                           ORDER BY priority, seq LIMIT 1)
                         WHERE num_queued > 0
                         ORDER BY first.priority, num_running, last_turn, shares.owner LIMIT 1)
            RETURNING {COLUMNS}""",
        {"worker": worker, "until": now + lease_s, "now": now},
    ).fetchall()
    return read_job(rows[0]) if rows else None


def claim_some(db: Connection, worker: str, *, max_jobs: int, lease_s: float, now: float) -> list[Job]:
    """The next jobs for this worker, in order; fewer than max_jobs where no more wait."""
    jobs: list[Job] = []
    while len(jobs) < max_jobs and (job := claim(db, worker, lease_s=lease_s, now=now)) is not None:
        jobs.append(job)
    return jobs


def renew_lease(db: Connection, job: Job, worker: str, *, lease_s: float, now: float) -> bool | None:
    """Renew a lease. Returns whether the job is to be cancelled; None where it is no longer this worker's."""
    rows = db.execute(
        """UPDATE jobs SET lease_until = ? WHERE id = ? AND state = 'running' AND lease_token = ?
           AND lease_owner = ? RETURNING cancel_requested""",
        (now + lease_s, job.id, job.lease_token, worker),
    ).fetchall()
    return bool(rows[0][0]) if rows else None


def has_lapsed_lease(db: Connection, *, now: float) -> bool:
    """Whether some lease has run out, whoever holds it."""
    return bool(select(db, "SELECT 1 FROM jobs WHERE state = 'running' AND lease_until < ? LIMIT 1", (now,)))


def cancel_requests(db: Connection, worker: str) -> list[str]:
    """Ids of this worker's running jobs whose end was asked for, in whichever process."""
    asked = "SELECT id FROM jobs WHERE state = 'running' AND cancel_requested = 1 AND lease_owner = ?"
    return [row[0] for row in select(db, asked, (worker,))]


def finish(
    db: Connection, end_policy: EndPolicy, job: Job, outcome: Outcome, *, worker: str, now: float
) -> bool:
    """End a running job and charge for it. False, and nothing done, where it is no longer this worker's."""
    is_held = db.execute(
        "SELECT 1 FROM jobs WHERE id = ? AND state = 'running' AND lease_token = ? AND lease_owner = ?",
        (job.id, job.lease_token, worker),
    ).fetchall()
    if not is_held:
        return False
    _end(db, end_policy, job, outcome, now)
    return True


def requeue(db: Connection, job: Job, *, worker: str, after_s: float, counts: bool, now: float) -> bool:
    """Let a running job wait again; counts: the attempt was one. False where it is not this worker's."""
    db.execute(
        """UPDATE jobs SET state = 'queued', lease_owner = NULL, lease_until = NULL, run_after = ?,
           retries = retries - ?, attempt = attempt - ?
           WHERE id = ? AND state = 'running' AND lease_token = ? AND lease_owner = ? AND retries >= ?""",
        (now + after_s, int(counts), int(not counts), job.id, job.lease_token, worker, int(counts)),
    )
    return db.changes() == 1


def cancel(db: Connection, end_policy: EndPolicy, job_id: str, *, now: float) -> Cancelling:
    """End a waiting job; ask for the end of a running one."""
    job = find(db, job_id)
    if job is None:
        return "unknown"
    if job.state.is_final:
        return "ended"
    if job.state == State.running:
        db.execute("UPDATE jobs SET cancel_requested = 1 WHERE id = ?", (job_id,))
        return "requested"
    _end(db, end_policy, job, end_policy.cancelled, now)
    return "removed"


def sweep(db: Connection, end_policy: EndPolicy, *, now: float) -> list[str]:
    """End what waited past its start deadline; take back what a dead worker held. Returns ids of ended jobs.

    A missed lease is a crash: the job waits again, longer each time, and ends as lost after a few, or where
    no retry is left. A pinned one had its caller in the process that died: nobody wants its answer.
    """
    ended = []
    late = "state = 'queued' AND started_at IS NULL AND start_deadline_at <= ?"
    for job in select_jobs(db, late, (now,)):
        _end(db, end_policy, job, end_policy.not_started, now)
        ended.append(job.id)
    for job in select_jobs(
        db, "state = 'queued' AND pinned_to <> '' AND created_at < ?", (now - MAX_PINNED_S,)
    ):
        _end(db, end_policy, job, end_policy.lost, now)
        ended.append(job.id)
    for job in select_jobs(db, "state = 'running' AND lease_until < ?", (now,)):
        if not job.cancel_requested and job.retries > 0 and job.attempt < end_policy.max_crashes:
            _wait_again(db, job, now)
            continue
        _end(db, end_policy, job, end_policy.cancelled if job.cancel_requested else end_policy.lost, now)
        ended.append(job.id)
    return ended


def _wait_again(db: Connection, job: Job, now: float) -> None:
    db.execute(
        """UPDATE jobs SET state = 'queued', lease_owner = NULL, lease_until = NULL, retries = retries - 1,
           run_after = ? WHERE id = ?""",
        (now + min(MAX_BACKOFF_S, 2.0**job.attempt), job.id),
    )


def _end(db: Connection, end_policy: EndPolicy, job: Job, outcome: Outcome, now: float) -> None:
    kept_input = "{}" if not job.keeps_io else json.dumps(job.input)
    db.execute(
        """UPDATE jobs SET state = ?, finished_at = ?, lease_owner = NULL, lease_until = NULL, status = ?,
           headers = ?, body = ?, error = ?, error_type = ?, input_tokens = ?, output_tokens = ?,
           input = ?, video = NULL WHERE id = ?""",
        (
            outcome.state, now, outcome.status, json.dumps(dict(outcome.headers)), json.dumps(outcome.body),
            outcome.error, outcome.error_type, outcome.input_tokens, outcome.output_tokens, kept_input,
            job.id,
        ),
    )  # fmt: skip
    num_tokens = outcome.input_tokens + outcome.output_tokens
    if outcome.state == State.succeeded and num_tokens:
        charge = (now, num_tokens, num_tokens * end_policy.micro_per_token, job.id)
        db.execute(
            "INSERT INTO ledger SELECT id, 'charge', owner, key_id, ?, ?, ? FROM jobs WHERE id = ?", charge
        )
    if job.webhook_url is not None:
        body = end_policy.notice(job.id, outcome)
        outbox.put(db, job_id=job.id, owner=job.owner, url=job.webhook_url, body=body, now=now)


def purge(db: Connection, *, before: float) -> None:
    """Drop jobs that ended before a time, their logs and delivered notices; the ledger stays."""
    db.execute("DELETE FROM jobs WHERE finished_at < ?", (before,))
    db.execute("DELETE FROM outbox WHERE state <> 'waiting' AND created_at < ?", (before,))
    db.execute("DELETE FROM shares WHERE owner NOT IN (SELECT owner FROM jobs)")


def purge_unkept(db: Connection, *, now: float) -> None:
    """Drop the answers whose callers asked that none be kept, when they have had the time to fetch them."""
    db.execute(
        """UPDATE jobs SET body = NULL WHERE keeps_io = 0 AND body IS NOT NULL
           AND finished_at < ? - iif(pinned_to IS NULL, ?, ?)""",
        (now, UNKEPT_S, UNKEPT_ATTACHED_S),
    )


def spooled_videos(db: Connection) -> set[str]:
    """Names of the videos that jobs still need."""
    return {row[0] for row in db.execute("SELECT video FROM jobs WHERE video IS NOT NULL")}
