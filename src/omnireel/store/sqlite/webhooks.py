"""Webhooks that are owed: born with the end of their job, claimed, tried, and logged attempt by attempt.

Functions of a connection and the time, like those of `store`. A webhook is delivered at least once and keeps
one id; a claim that ran out, because its process died, is taken by whoever asks next.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any, Literal
from urllib.parse import urlsplit

from omnireel.store.sqlite.database import Connection

WebhookState = Literal["waiting", "delivered", "given_up"]
Replaying = Literal["due", "unknown", "not_kept"]

_DUE = "state = 'waiting' AND next_at <= :now AND (claimed_until IS NULL OR claimed_until <= :now)"


@dataclass(frozen=True)
class Webhook:
    """One that was claimed.

    receiver:  host and port that it goes to
    num_tries: attempts that failed since it was born or replayed
    claim:     fences: an older claim of the same webhook records nothing
    """

    id: str
    job_id: str
    owner: str
    url: str
    receiver: str
    body: bytes
    num_tries: int
    claim: int


@dataclass(frozen=True)
class Delivery:
    """One attempt.

    status: of the answer; None where none came
    error:  why there was none, for the operator: it may name addresses of this network
    """

    at: float
    status: int | None
    error: str | None
    seconds: float


@dataclass(frozen=True)
class LogEntry:
    """What became of a webhook so far; next_at: None where nothing more will be tried."""

    id: str
    job_id: str
    owner: str
    url: str
    state: WebhookState
    created_at: float
    next_at: float | None
    deliveries: tuple[Delivery, ...] = ()


def put(db: Connection, *, job_id: str, owner: str, url: str, body: bytes, now: float) -> None:
    """Owe a webhook; part of the transaction that ends its job."""
    values = (f"msg_{job_id}", job_id, owner, url, urlsplit(url).netloc.lower(), body, now, now)
    db.execute(
        """INSERT INTO outbox (id, job_id, owner, url, receiver, body, created_at, next_at)
           VALUES (?, ?, ?, ?, ?, ?, ?, ?)""",
        values,
    )


def is_due(db: Connection, *, now: float) -> bool:
    """Whether there is anything to claim."""
    rows = db.execute(f"SELECT 1 FROM outbox WHERE {_DUE} LIMIT 1", {"now": now}).fetchall()
    return bool(rows)


def claim(db: Connection, *, skip: Collection[str], lease_s: float, now: float) -> Webhook | None:
    """The one that has been due the longest, now claimed; skip: receivers that have enough to do."""
    rows = db.execute(
        f"""UPDATE outbox SET claim = claim + 1, claimed_until = :until
            WHERE id = (SELECT id FROM outbox WHERE {_DUE}
                        AND receiver NOT IN (SELECT value FROM json_each(:skip))
                        ORDER BY next_at LIMIT 1)
            RETURNING id, job_id, owner, url, receiver, body, attempt - attempts_before, claim""",
        {"now": now, "until": now + lease_s, "skip": json.dumps(list(skip))},
    ).fetchall()
    row: tuple[Any, ...] | None = rows[0] if rows else None
    return None if row is None else Webhook(*row)


def record(
    db: Connection, webhook: Webhook, delivery: Delivery, *, state: WebhookState, next_at: float | None = None
) -> bool:
    """Log an attempt and what follows from it. False, and nothing done, where the claim was lost.

    next_at: when a webhook that still waits is due again
    """
    rows = db.execute(
        """UPDATE outbox SET state = ?, attempt = attempt + 1, next_at = coalesce(?, next_at),
           claimed_until = NULL WHERE id = ? AND claim = ? AND state = 'waiting' RETURNING attempt""",
        (state, next_at, webhook.id, webhook.claim),
    ).fetchall()
    if not rows:
        return False
    db.execute(
        "INSERT INTO deliveries VALUES (?, ?, ?, ?, ?, ?)",
        (webhook.id, rows[0][0], delivery.at, delivery.status, delivery.error, delivery.seconds),
    )
    # Its caller asked that nothing be kept longer than needed, or what it says has been dropped meanwhile.
    db.execute(
        """UPDATE outbox SET body = x'' WHERE id = ? AND state <> 'waiting' AND EXISTS (
           SELECT 1 FROM jobs WHERE jobs.id = job_id
           AND (jobs.body IS NULL OR (keeps_io = 0 AND outbox.state = 'delivered')))""",
        (webhook.id,),
    )
    return True


def release(db: Connection, webhook: Webhook) -> None:
    """Give a claim back without an attempt."""
    db.execute(
        "UPDATE outbox SET claimed_until = NULL WHERE id = ? AND claim = ?", (webhook.id, webhook.claim)
    )


def replay(db: Connection, job_id: str, *, now: float) -> Replaying:
    """Have a job's webhook sent now, with its whole schedule before it, whatever became of it so far."""
    rows = db.execute("SELECT length(body) FROM outbox WHERE job_id = ?", (job_id,)).fetchall()
    if not rows:
        return "unknown"
    if not rows[0][0]:
        return "not_kept"
    db.execute(
        "UPDATE outbox SET state = 'waiting', next_at = ?, attempts_before = attempt WHERE job_id = ?",
        (now, job_id),
    )
    return "due"


def given_up(db: Connection) -> list[str]:
    """Jobs whose webhook was given up, oldest first."""
    rows = db.execute("SELECT job_id FROM outbox WHERE state = 'given_up' ORDER BY created_at")
    return [str(row[0]) for row in rows]


def read_log(
    db: Connection, *, job_id: str | None = None, state: WebhookState | None = None, limit: int = 50
) -> list[LogEntry]:
    """Webhooks and their attempts, the youngest first; job_id, state: only such."""
    rows = db.execute(
        """SELECT id, job_id, owner, url, state, created_at,
                  CASE state WHEN 'waiting' THEN next_at END FROM outbox
           WHERE (:job_id IS NULL OR job_id = :job_id) AND (:state IS NULL OR state = :state)
           ORDER BY created_at DESC, rowid DESC LIMIT :limit""",
        {"job_id": job_id, "state": state, "limit": limit},
    )
    return [_log_entry(db, row) for row in rows.fetchall()]


def _log_entry(db: Connection, row: tuple[Any, ...]) -> LogEntry:
    return replace(LogEntry(*row), deliveries=_deliveries(db, str(row[0])))


def _deliveries(db: Connection, webhook_id: str) -> tuple[Delivery, ...]:
    rows = db.execute(
        "SELECT at, status, error, seconds FROM deliveries WHERE outbox_id = ? ORDER BY attempt",
        (webhook_id,),
    )
    return tuple(Delivery(*row) for row in rows)
