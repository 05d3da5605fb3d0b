"""Ends jobs. A job ends once; its charge and its webhook are stored in the same transaction."""

from __future__ import annotations

from typing import Literal

from omnireel.store.jobs import (
    MAX_BACKOFF_S,
    MAX_PINNED_S,
    UNKEPT_ATTACHED_S,
    UNKEPT_S,
    Cancelling,
    EndPolicy,
    Job,
    LapsedLease,
    Overdue,
    State,
    state_of,
)
from omnireel.store.sqlite.database import Connection
from omnireel.store.sqlite.rows import (
    failure_text,
    find_job,
    outcome_text,
    read_task,
    select,
    select_jobs,
    task_text,
    wall,
)
from omnireel.store.sqlite.webhooks import store_webhook
from omnireel.task import Answer, Failure, Outcome


def end(db: Connection, policy: EndPolicy, job: Job, outcome: Outcome, *, now: float) -> None:
    """End an unfinished job, charge for an answer, and store the webhook."""
    failure = outcome if isinstance(outcome, Failure) else None
    tokens = (outcome.input_tokens, outcome.output_tokens) if isinstance(outcome, Answer) else (0, 0)
    ended_at = wall(db, now)
    db.execute(
        """UPDATE jobs SET state = ?, kept_since = ?, finished_at = ?, lease_owner = NULL, lease_until = NULL,
           outcome = ?, failure = ?, is_callers = ?, input_tokens = ?, output_tokens = ?, task = coalesce(?, task),
           media = NULL WHERE id = ?""",
        (
            state_of(outcome), now, ended_at, outcome_text(outcome), None if failure is None else failure_text(failure),
            None if failure is None else int(failure.is_callers), *tokens,
            None if job.keeps_io else task_text(job.task.without_content()), job.id,
        ),
    )  # fmt: skip
    if num_tokens := sum(tokens):
        charge = (ended_at, num_tokens, num_tokens * policy.micro_per_token, job.id)
        db.execute(
            "INSERT INTO ledger SELECT id, 'charge', owner, key_id, ?, ?, ? FROM jobs WHERE id = ?", charge
        )
    if job.webhook_url is not None:
        body = policy.webhook_body(job.id, job.task, outcome)
        store_webhook(db, job_id=job.id, owner=job.owner, url=job.webhook_url, body=body, now=now)


def cancel(db: Connection, policy: EndPolicy, job_id: str, *, now: float) -> Cancelling:
    """End a waiting job, or ask the worker of a running one to end it."""
    job = find_job(db, job_id)
    if job is None:
        return "unknown"
    if job.state.is_final:
        return "ended"
    if job.state == State.running:
        db.execute("UPDATE jobs SET cancel_requested = 1 WHERE id = ?", (job_id,))
        return "requested"
    end(db, policy, job, policy.cancelled, now=now)
    return "removed"


def end_overdue(db: Connection, policy: EndPolicy, *, now: float) -> Overdue:
    """End jobs that missed their start deadline, and requeue jobs whose lease ran out."""
    ended = []
    late = "state = 'queued' AND started_at IS NULL AND start_deadline_at <= ?"
    for job in select_jobs(db, late, (now,)):
        end(db, policy, job, policy.not_started, now=now)
        ended.append(job.id)
    abandoned = "state = 'queued' AND pinned_to <> '' AND run_after < ?"
    for job in select_jobs(db, abandoned, (now - MAX_PINNED_S,)):
        end(db, policy, job, policy.lost, now=now)
        ended.append(job.id)
    lapsed = _end_lapsed(db, policy, now=now)
    return Overdue(ended + [lease.job_id for lease in lapsed if lease.has_ended], lapsed)


def _end_lapsed(db: Connection, policy: EndPolicy, *, now: float) -> list[LapsedLease]:
    condition = "state = 'running' AND lease_until < ?"
    workers = dict(select(db, f"SELECT id, lease_owner FROM jobs WHERE {condition}", (now,)))
    lapsed = []
    for job in select_jobs(db, condition, (now,)) if workers else ():
        is_tried_again = not job.cancel_requested and job.retries > 0 and job.attempt < policy.max_crashes
        if is_tried_again:
            _requeue_after_crash(db, job, now)
        else:
            end(db, policy, job, policy.cancelled if job.cancel_requested else policy.lost, now=now)
        lapsed.append(LapsedLease(job.id, workers[job.id], job.attempt, has_ended=not is_tried_again))
    return lapsed


def _requeue_after_crash(db: Connection, job: Job, now: float) -> None:
    db.execute(
        """UPDATE jobs SET state = 'queued', lease_owner = NULL, lease_until = NULL, retries = retries - 1,
           run_after = ? WHERE id = ?""",
        (now + min(MAX_BACKOFF_S, 2.0**job.attempt), job.id),
    )


def purge(db: Connection, *, before: float) -> None:
    """Delete jobs that ended before a time, with their logs and their finished webhooks. The ledger stays."""
    db.execute("DELETE FROM jobs WHERE kept_since < ?", (before,))
    db.execute("DELETE FROM outbox WHERE state <> 'waiting' AND next_at < ?", (before,))
    db.execute("DELETE FROM shares WHERE owner NOT IN (SELECT owner FROM jobs)")


def purge_unkept(db: Connection, *, now: float) -> None:
    """Drop outcomes that must not be kept, after the time in which their callers can fetch them."""
    db.execute(
        """UPDATE jobs SET outcome = NULL WHERE keeps_io = 0 AND outcome IS NOT NULL
           AND kept_since < ? - iif(pinned_to IS NULL, ?, ?)""",
        (now, UNKEPT_S, UNKEPT_ATTACHED_S),
    )


def drop_payloads(
    db: Connection, job_id: str, *, owner: str | None
) -> Literal["dropped", "running", "unknown"]:
    """Drop the input and the outcome of an ended job, also in webhooks."""
    rows = select(
        db,
        "SELECT finished_at, task FROM jobs WHERE id = :id AND (:owner IS NULL OR owner = :owner)",
        {"id": job_id, "owner": owner},
    )
    if not rows:
        return "unknown"
    finished_at, task = rows[0]
    if finished_at is None:
        return "running"
    empty = task_text(read_task(task).without_content())
    db.execute("UPDATE jobs SET task = ?, outcome = NULL WHERE id = ?", (empty, job_id))
    # A webhook that still waits is sent once more. Its body is dropped when it has been delivered or given up.
    db.execute("UPDATE outbox SET body = x'' WHERE job_id = ? AND state <> 'waiting'", (job_id,))
    return "dropped"
