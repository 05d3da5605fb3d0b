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
    is_failed_clip,
    state_of,
)
from omnireel.store.sqlite.database import Connection
from omnireel.store.sqlite.keys import count_failed_clip
from omnireel.store.sqlite.rows import (
    drop_beside,
    failure_text,
    find_job,
    in_row,
    outcome_text,
    put_beside,
    select,
    select_jobs,
    task_text,
    wall,
)
from omnireel.store.sqlite.webhooks import store_webhook
from omnireel.task import Failure, Outcome


def end(db: Connection, policy: EndPolicy, job: Job, outcome: Outcome, *, now: float) -> None:
    """End an unfinished job, charge for its tokens, and store the webhook."""
    failure = outcome if isinstance(outcome, Failure) else None
    text, ended_at = outcome_text(outcome), wall(db, now)
    tokens = (outcome.input_tokens, outcome.output_tokens)
    ((webhook_url, key_id),) = select(
        db,
        """UPDATE jobs SET state = ?, kept_since = ?, finished_at = ?, lease_owner = NULL, lease_until = NULL,
           outcome = ?, failure = ?, is_callers = ?, input_tokens = ?, output_tokens = ?, task = coalesce(?, task),
           media = NULL WHERE id = ? RETURNING webhook_url, key_id""",
        (
            state_of(outcome), now, ended_at, in_row(text), None if failure is None else failure_text(failure),
            None if failure is None else int(failure.is_callers), *tokens,
            None if job.keeps_io else task_text(job.task.without_content()), job.id,
        ),
    )  # fmt: skip
    put_beside(db, job.id, "outcome", text)
    if not job.keeps_io:
        drop_beside(db, job.id, "task")
    if key_id and failure is not None and is_failed_clip(failure):
        count_failed_clip(db, key_id, now)
    if num_tokens := sum(tokens):
        charge = (ended_at, num_tokens, num_tokens * policy.micro_per_token, job.id)
        db.execute(
            "INSERT INTO ledger SELECT id, 'charge', owner, key_id, ?, ?, ? FROM jobs WHERE id = ?", charge
        )
    if webhook_url is not None:
        body = policy.webhook_body(job.id, job.task, outcome)
        store_webhook(db, job_id=job.id, owner=job.owner, url=webhook_url, body=body, now=now)


def cancel(db: Connection, policy: EndPolicy, job_id: str, *, now: float, only_pinned: bool) -> Cancelling:
    """End a waiting job, or ask the worker of a running one to end it."""
    job = find_job(db, job_id)
    if job is None:
        return "unknown"
    if job.state.is_final:
        return "ended"
    if only_pinned and job.pinned_to is None:
        return "kept"
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
        may_crash_again = job.num_crashes + 1 < policy.max_crashes
        is_tried_again = not job.cancel_requested and job.retries > 0 and may_crash_again
        if is_tried_again:
            _requeue_after_crash(db, job, now)
        else:
            end(db, policy, job, policy.cancelled if job.cancel_requested else policy.lost, now=now)
        lapsed.append(LapsedLease(job.id, workers[job.id], job.attempt, has_ended=not is_tried_again))
    return lapsed


def _requeue_after_crash(db: Connection, job: Job, now: float) -> None:
    db.execute(
        """UPDATE jobs SET state = 'queued', lease_owner = NULL, lease_until = NULL, retries = retries - 1,
           num_crashes = num_crashes + 1, run_after = ? WHERE id = ?""",
        (now + min(MAX_BACKOFF_S, 2.0 ** (job.num_crashes + 1)), job.id),
    )


def purge(db: Connection, *, before: float) -> None:
    """Delete jobs that ended before a time, with their logs and their finished webhooks. The ledger stays."""
    db.execute("DELETE FROM jobs WHERE kept_since < ?", (before,))
    db.execute("DELETE FROM outbox WHERE state <> 'waiting' AND next_at < ?", (before,))
    db.execute("DELETE FROM shares WHERE owner NOT IN (SELECT owner FROM jobs)")


def purge_unkept(db: Connection, *, now: float) -> None:
    """Drop outcomes that must not be kept, after the time in which their callers can fetch them."""
    late = """keeps_io = 0 AND outcome IS NOT NULL
              AND kept_since < :now - iif(pinned_to IS NULL, :queued_s, :attached_s)"""
    values = {"now": now, "queued_s": UNKEPT_S, "attached_s": UNKEPT_ATTACHED_S}
    db.execute(f"DELETE FROM payloads WHERE job_seq IN (SELECT seq FROM jobs WHERE {late})", values)
    db.execute(f"UPDATE jobs SET outcome = NULL WHERE {late}", values)


def drop_payloads(
    db: Connection, job_id: str, *, owner: str | None
) -> Literal["dropped", "running", "unknown"]:
    """Drop the input and the outcome of an ended job, also in webhooks."""
    job = find_job(db, job_id)
    if job is None or owner not in (None, job.owner):
        return "unknown"
    if not job.state.is_final:
        return "running"
    db.execute(
        "UPDATE jobs SET task = ?, outcome = NULL WHERE id = ?",
        (task_text(job.task.without_content()), job_id),
    )
    drop_beside(db, job_id, "task")
    drop_beside(db, job_id, "outcome")
    # A webhook that still waits is sent once more. Its body is dropped when it has been delivered or given up.
    db.execute("UPDATE outbox SET body = x'' WHERE job_id = ? AND state <> 'waiting'", (job_id,))
    return "dropped"
