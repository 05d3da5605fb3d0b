"""Whether a key may have one more job: checked in the transaction that stores it.

A job that has not ended counts with the most that it can cost. So what a key was charged, and all that its
unfinished jobs may still be charged, stays within its caps at every moment, however many are sent at once.
"""

from __future__ import annotations

from datetime import UTC, datetime

from omnireel.errors import CapacityError, DeniedError
from omnireel.store.jobs import Submission
from omnireel.store.sqlite import keys
from omnireel.store.sqlite.database import Connection
from omnireel.store.sqlite.rows import count


def admit(db: Connection, submission: Submission, *, now: float) -> None:
    """Raise where the key may not have this job.

    Raises DeniedError for a revoked key or a cap that the job could break, CapacityError where too many of
    the key's jobs are unfinished.
    """
    key = keys.find_valid(db, submission.key_id)
    if key is None:
        raise unauthorized()
    unfinished = count(db, "SELECT num_unfinished FROM keys WHERE id = ?", (key.id,))
    reserved = count(db, "SELECT reserved_micro FROM keys WHERE id = ?", (key.id,))
    limit = key.grant.max_unfinished
    if limit is not None and unfinished >= limit:
        raise CapacityError(f"{unfinished} requests of this key are unfinished, limit {limit}", after_s=1)
    for cap, month, period in (
        (key.grant.cap_micro, "", ""),
        (key.grant.monthly_cap_micro, month_of(now), " a month"),
    ):
        if cap is None:
            continue
        left = cap - spent_micro(db, key.id, month=month) - reserved
        if submission.reserved_micro > left:
            raise _over_cap(submission.reserved_micro, left, f"${cap / 1e6:g}{period}")


def spent_micro(db: Connection, key_id: str, *, month: str = "") -> int:
    """What a key was charged in a month like 2026-01, or ever, in millionths of a US dollar."""
    return count(
        db,
        "SELECT coalesce(sum(amount_micro), 0) FROM spending WHERE key_id = ? AND month LIKE ? || '%'",
        (key_id, month),
    )


def month_of(now: float) -> str:
    """The calendar month of a moment, as `spent_micro` takes it."""
    return datetime.fromtimestamp(now, UTC).strftime("%Y-%m")


def unauthorized() -> DeniedError:
    """The same words for a key that never was, one that was revoked, and a wrong secret."""
    return DeniedError("invalid key credentials", kind="unauthorized", status=401)


def _over_cap(wanted: int, left: int, cap: str) -> DeniedError:
    message = (
        f"Exhausted balance: this request could cost ${wanted / 1e6:.6f}, "
        f"and of the key's cap of {cap} ${max(left, 0) / 1e6:.6f} is neither spent nor reserved"
    )
    return DeniedError(message, kind="spending_cap_reached", status=403)
