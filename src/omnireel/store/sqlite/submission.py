"""Stores new jobs, after checking all limits in the same transaction.

An unfinished job reserves the most that it can cost. So the charges of a key, and all that its unfinished jobs may
still cost, always stay within its caps, however many jobs are sent at once.
"""

from __future__ import annotations

from omnireel.errors import CapacityError, DeniedError, InputError
from omnireel.store.jobs import IDEMPOTENCY_S, Job, State, Submission
from omnireel.store.keys import Key, month_of, unauthorized
from omnireel.store.sqlite.database import Connection
from omnireel.store.sqlite.keys import find_key, spent_micro
from omnireel.store.sqlite.rows import count, find_job, in_row, put_beside, select, task_text, wall


def store_job(db: Connection, submission: Submission, *, fingerprint: str, now: float) -> Job:
    """Store a new job, or find the one of the same idempotency key. Raises as `JobStore.submit`."""
    if submission.idempotency_key is not None:
        known = _find_repeated(db, submission, fingerprint, now)
        if known is not None:
            return known
    if submission.pinned_to is None:
        _check_queue(db, submission)
    if submission.key_id:
        _check_key(db, submission, now=now)
    return _insert(db, submission, now)


def _check_queue(db: Connection, submission: Submission) -> None:
    """Raise CapacityError where the queue has no room for the job, or none for another one of its account."""
    if submission.max_queued is None and submission.queue_room is None:
        return
    waiting = num_queued(db)
    if submission.max_queued is not None and waiting > submission.max_queued:
        raise CapacityError(f"{waiting} jobs are waiting already.", after_s=1)
    # An account that may be anybody's has no share.
    if submission.queue_room is None or not submission.owner:
        return
    own = count(db, "SELECT coalesce(max(num_queued), 0) FROM shares WHERE owner = ?", (submission.owner,))
    if own + waiting > submission.queue_room:
        raise CapacityError(f"{own} of your jobs are waiting already.", after_s=1)


def num_queued(db: Connection) -> int:
    """How many jobs wait."""
    return count(db, "SELECT count(*) FROM jobs WHERE state = 'queued'")


def _find_repeated(db: Connection, submission: Submission, fingerprint: str, now: float) -> Job | None:
    key = (submission.owner, submission.idempotency_key)
    db.execute("DELETE FROM idempotency WHERE expires_at <= ?", (now,))
    rows = select(db, "SELECT fingerprint, job_id FROM idempotency WHERE owner = ? AND key = ?", key)
    if not rows:
        values = (*key, fingerprint, submission.id, now + IDEMPOTENCY_S)
        db.execute("INSERT INTO idempotency VALUES (?, ?, ?, ?, ?)", values)
        return None
    if rows[0][0] != fingerprint:
        raise InputError(
            "This idempotency key was used for another request.",
            kind="idempotency_mismatch",
            about="idempotency_key",
            hint="Use a new key for a new request.",
        )
    known = find_job(db, rows[0][1])
    if known is None or _is_tried_again(known, is_attached=submission.pinned_to is not None):
        replaced = (submission.id, now + IDEMPOTENCY_S, *key)
        db.execute("UPDATE idempotency SET job_id = ?, expires_at = ? WHERE owner = ? AND key = ?", replaced)
        return None
    if not known.state.is_final:
        if known.pinned_to is not None and known.state is State.queued:
            _check_queue(db, submission)
        db.execute(
            """UPDATE jobs SET pinned_to = NULL, retries = max(retries, ?),
               webhook_url = coalesce(webhook_url, ?) WHERE id = ?""",
            (submission.retries, submission.webhook_url, known.id),
        )
    return known


def is_repeated(db: Connection, owner: str, idempotency_key: str) -> bool:
    """Whether the idempotency key of an attached request has a job that is not tried again."""
    rows = select(db, "SELECT job_id FROM idempotency WHERE owner = ? AND key = ?", (owner, idempotency_key))
    known = find_job(db, rows[0][0]) if rows else None
    return known is not None and not _is_tried_again(known, is_attached=True)


def _is_tried_again(known: Job, *, is_attached: bool) -> bool:
    """Whether an open request of the same idempotency key ended without an answer that would stay the same."""
    if known.failure is None or (known.pinned_to is None and not is_attached):
        return False
    is_about_input = known.failure.is_callers and known.failure.after_s is None
    return known.state is State.cancelled or not is_about_input


def _check_key(db: Connection, submission: Submission, *, now: float) -> None:
    """Raise DeniedError if the key is revoked or the job could exceed its cap, CapacityError if too many of the key's
    jobs are unfinished.
    """
    key = find_key(db, submission.key_id)
    if key is None or key.revoked_at is not None:
        raise unauthorized()
    ((unfinished, reserved),) = select(
        db, "SELECT num_unfinished, reserved_micro FROM keys WHERE id = ?", (key.id,)
    )
    limit = key.grant.max_unfinished
    if limit is not None and unfinished >= limit:
        raise CapacityError(
            f"{unfinished} requests of this key are unfinished. Its limit is {limit}.", after_s=1
        )
    if key.has_cap:
        _check_caps(db, key, wanted=submission.reserved_micro, reserved=reserved, now=now)


def _check_caps(db: Connection, key: Key, *, wanted: int, reserved: int, now: float) -> None:
    for cap, month, period in (
        (key.grant.cap_micro, "", ""),
        (key.grant.monthly_cap_micro, month_of(wall(db, now)), " a month"),
    ):
        if cap is None:
            continue
        unspent = cap - spent_micro(db, key.id, month=month)
        if wanted > unspent - reserved:
            raise _over_cap(wanted, unspent, reserved, cap=f"${cap / 1e6:g}{period}", is_monthly=bool(month))


def _over_cap(wanted: int, unspent: int, reserved: int, *, cap: str, is_monthly: bool) -> DeniedError:
    """The refusal, with what helps: nothing that is sent can fit a cap that is spent."""
    left = unspent - reserved
    if unspent <= 0:
        why = f"the key's cap of {cap} is spent"
        advice = (
            "Ask for a higher cap, or wait for the next month." if is_monthly else "Ask for a higher cap."
        )
    elif left <= 0:
        why = f"the key's unfinished requests reserve all that is left of its cap of {cap}, ${unspent / 1e6:.6f}"
        advice = "Wait until some of them have ended."
    else:
        why = (
            f"this request could cost ${wanted / 1e6:.6f}, "
            f"but of the key's cap of {cap}, only ${left / 1e6:.6f} is neither spent nor reserved"
        )
        advice = "Send a smaller max_frames or max_tokens."
        if reserved and wanted <= unspent:
            advice = f"{advice[:-1]}, or wait until unfinished requests of the key have ended."
    return DeniedError(f"Exhausted balance: {why}. {advice}", kind="spending_cap_reached")


def _insert(db: Connection, submission: Submission, now: float) -> Job:
    s, wait_s, created_at = submission, submission.start_deadline_s, wall(db, now)
    deadline = None if wait_s is None else now + wait_s
    text = task_text(s.task)
    db.execute(
        """INSERT INTO jobs (id, owner, endpoint, priority, pinned_to, task, media, webhook_url, keeps_io, retries,
           created_at, run_after, start_deadline_at, key_id, reserved_micro)
           VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)""",
        (
            s.id, s.owner, s.task.endpoint, int(s.is_low), s.pinned_to, in_row(text), s.media,
            s.webhook_url, int(s.keeps_io), s.retries, created_at, now, deadline, s.key_id, s.reserved_micro,
        ),
    )  # fmt: skip
    put_beside(db, s.id, "task", text)
    return Job(
        id=s.id, owner=s.owner, state=State.queued, pinned_to=s.pinned_to, task=s.task, media=s.media,
        webhook_url=s.webhook_url, keeps_io=s.keeps_io, retries=s.retries, created_at=created_at, started_at=None,
        finished_at=None, start_deadline_at=deadline, attempt=0, num_crashes=0, lease_token=0, cancel_requested=False,
        outcome=None, failure=None, num_tokens=0,
    )  # fmt: skip
