"""Webhooks in SQLite. `store.webhooks` describes each method."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from omnireel.store.sqlite.database import Connection, Database
from omnireel.store.sqlite.rows import select
from omnireel.store.webhooks import Delivery, LogEntry, Replaying, Webhook, WebhookState

_DUE = "state = 'waiting' AND next_at <= :now AND (claimed_until IS NULL OR claimed_until <= :now)"

# The accounts with waiting webhooks are found by jumping through the index, however many webhooks each has.
_CLAIM = f"""
WITH RECURSIVE owners (owner) AS (
  SELECT min(owner) FROM outbox WHERE state = 'waiting'
  UNION ALL
  SELECT (SELECT min(owner) FROM outbox WHERE state = 'waiting' AND owner > owners.owner) FROM owners
  WHERE owners.owner IS NOT NULL)
UPDATE outbox SET claim = claim + 1, claimed_until = :until
WHERE id = (SELECT first.id FROM owners JOIN outbox AS first ON first.id = (
              SELECT id FROM outbox WHERE owner = owners.owner AND {_DUE}
              AND receiver NOT IN (SELECT value FROM json_each(:skip))
              ORDER BY next_at LIMIT 1)
            LEFT JOIN json_each(:busy) AS busy ON busy.key = first.owner
            ORDER BY coalesce(busy.value, 0), first.next_at LIMIT 1)
RETURNING id, job_id, owner, url, receiver, body, attempt - attempts_before, claim"""


class SqliteWebhooks:
    """A `WebhookStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def is_due(self, *, now: float) -> bool:
        """See `WebhookStore.is_due`."""
        due = f"SELECT 1 FROM outbox WHERE {_DUE} LIMIT 1"
        return bool(await self._database.read(lambda db: select(db, due, {"now": now})))

    async def claim(
        self,
        *,
        running: Counter[tuple[str, str]],
        max_running: int,
        max_each: int,
        lease_s: float,
        now: float,
    ) -> list[Webhook]:
        """See `WebhookStore.claim`."""

        def work(db: Connection) -> list[Webhook]:
            claimed = list[Webhook]()
            owners, receivers = Counter[str](), Counter[str]()
            for (owner, receiver), number in running.items():
                owners[owner] += number
                receivers[receiver] += number
            while owners.total() < max_running:
                full = [receiver for receiver, number in receivers.items() if number >= max_each]
                webhook = _claim(db, skip=full, busy=owners, until=now + lease_s, now=now)
                if webhook is None:
                    break
                owners[webhook.owner] += 1
                receivers[webhook.receiver] += 1
                claimed.append(webhook)
            return claimed

        return await self._database.write(work)

    async def record(
        self, webhook: Webhook, delivery: Delivery, *, state: WebhookState, next_at: float | None = None
    ) -> bool:
        """See `WebhookStore.record`."""
        return await self._database.write(lambda db: _record(db, webhook, delivery, state, next_at))

    def release(self, webhook: Webhook) -> None:
        """See `WebhookStore.release`."""
        sql = "UPDATE outbox SET claimed_until = NULL WHERE id = ? AND claim = ?"
        self._database.post(lambda db: select(db, sql, (webhook.id, webhook.claim)))

    async def replay(self, job_ids: Sequence[str], *, now: float) -> Mapping[str, Replaying]:
        """See `WebhookStore.replay`."""
        return await self._database.write(lambda db: _replay(db, job_ids, now))

    async def given_up(self) -> list[str]:
        """See `WebhookStore.given_up`."""
        given_up = "SELECT job_id FROM outbox WHERE state = 'given_up' ORDER BY created_at, rowid"
        return [str(row[0]) for row in await self._database.read(lambda db: select(db, given_up))]

    async def read_log(
        self, *, job_id: str | None = None, state: WebhookState | None = None, limit: int = 50
    ) -> list[LogEntry]:
        """See `WebhookStore.read_log`."""
        return await self._database.read(lambda db: _read_log(db, job_id, state, limit))


def store_webhook(db: Connection, *, job_id: str, owner: str, url: str, body: bytes, now: float) -> None:
    """Store a webhook, in the transaction that ends its job."""
    values = (f"msg_{job_id}", job_id, owner, url, _receiver(url), body, now, now)
    db.execute(
        """INSERT INTO outbox (id, job_id, owner, url, receiver, body, created_at, next_at)
           VALUES (?, ?, ?, ?, ?, ?, wall(?), ?)""",
        values,
    )


def _receiver(url: str) -> str:
    """Host and port of an address. Not `urlsplit`, which keeps the last texts that it was given."""
    return re.split("[/?#]", url, maxsplit=3)[2].lower()


def _claim(
    db: Connection, *, skip: Collection[str], busy: Mapping[str, int], until: float, now: float
) -> Webhook | None:
    """Claim the next webhook. busy: number of attempts at present, by account"""
    rows = select(
        db, _CLAIM, {"now": now, "until": until, "skip": json.dumps(list(skip)), "busy": json.dumps(busy)}
    )
    return Webhook(*rows[0]) if rows else None


def _record(
    db: Connection, webhook: Webhook, delivery: Delivery, state: WebhookState, next_at: float | None
) -> bool:
    rows = select(
        db,
        """UPDATE outbox SET state = ?, attempt = attempt + 1, next_at = coalesce(?, next_at),
           claimed_until = NULL WHERE id = ? AND claim = ? AND state = 'waiting' RETURNING attempt""",
        (state, next_at, webhook.id, webhook.claim),
    )
    if not rows:
        return False
    db.execute(
        "INSERT INTO deliveries VALUES (?, ?, ?, ?, ?, ?)",
        (webhook.id, rows[0][0], delivery.at, delivery.status, delivery.error, delivery.seconds),
    )
    # The job must not be kept, or its content has been dropped meanwhile.
    db.execute(
        """UPDATE outbox SET body = x'' WHERE id = ? AND state <> 'waiting' AND EXISTS (
           SELECT 1 FROM jobs WHERE jobs.id = job_id
           AND (jobs.outcome IS NULL OR (keeps_io = 0 AND outbox.state = 'delivered')))""",
        (webhook.id,),
    )
    return True


def _replay(db: Connection, job_ids: Sequence[str], now: float) -> Mapping[str, Replaying]:
    results = {job_id: _can_replay(db, job_id) for job_id in job_ids}
    if all(result == "due" for result in results.values()):
        db.executemany(
            "UPDATE outbox SET state = 'waiting', next_at = ?, attempts_before = attempt WHERE job_id = ?",
            [(now, job_id) for job_id in results],
        )
    return results


def _can_replay(db: Connection, job_id: str) -> Replaying:
    rows = select(db, "SELECT length(body) FROM outbox WHERE job_id = ?", (job_id,))
    if not rows:
        return "unknown"
    return "due" if rows[0][0] else "not_kept"


def _read_log(db: Connection, job_id: str | None, state: WebhookState | None, limit: int) -> list[LogEntry]:
    rows = select(
        db,
        """SELECT id, job_id, owner, url, state, created_at,
                  CASE state WHEN 'waiting' THEN wall(next_at) END FROM outbox
           WHERE (:job_id IS NULL OR job_id = :job_id) AND (:state IS NULL OR state = :state)
           ORDER BY created_at DESC, rowid DESC LIMIT :limit""",
        {"job_id": job_id, "state": state, "limit": limit},
    )
    return [replace(LogEntry(*row), deliveries=_deliveries(db, row)) for row in rows]


def _deliveries(db: Connection, entry: Sequence[Any]) -> tuple[Delivery, ...]:
    made = "SELECT at, status, error, seconds FROM deliveries WHERE outbox_id = ? ORDER BY attempt"
    return tuple(Delivery(*row) for row in select(db, made, (entry[0],)))
