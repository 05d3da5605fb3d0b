"""Rows of the store as objects."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from omnireel.store.jobs import Job, Outcome, State
from omnireel.store.sqlite.database import Connection

COLUMNS = """id, owner, state, pinned_to, input, video, webhook_url, keeps_io, retries, created_at,
started_at, finished_at, start_deadline_at, attempt, lease_token, cancel_requested,
status, headers, body, error, error_type, input_tokens, output_tokens"""


def count(db: Connection, sql: str, values: tuple[Any, ...]) -> int:
    """The one number that a query gives."""
    number = db.execute(sql, values).fetchall()[0][0]
    assert isinstance(number, int)
    return number


def select(db: Connection, sql: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
    """The rows that a query gives."""
    return db.execute(sql, values).fetchall()


def select_jobs(db: Connection, condition: str, values: tuple[Any, ...]) -> list[Job]:
    """Jobs that meet a condition, oldest first."""
    # The plus has SQLite sort what an index finds, rather than walk through all jobs in their order.
    rows = db.execute(f"SELECT {COLUMNS} FROM jobs WHERE {condition} ORDER BY +seq", values).fetchall()
    return [read_job(row) for row in rows]


def read_job(row: tuple[Any, ...]) -> Job:
    """A row of `COLUMNS`."""
    (job_id, owner, state, pinned_to, sent, video, webhook_url, keeps_io, retries, created_at, started_at,
     finished_at, start_deadline_at, attempt, lease_token, cancel_requested,
     *outcome) = row  # fmt: skip
    return Job(
        job_id, owner, State(state), pinned_to, json.loads(sent), video, webhook_url, bool(keeps_io), retries,
        created_at, started_at, finished_at, start_deadline_at, attempt, lease_token, bool(cancel_requested),
        _outcome(outcome),
    )  # fmt: skip


def _outcome(row: list[Any]) -> Outcome | None:
    status, headers, body, error, error_type, input_tokens, output_tokens = row
    if status is None:
        return None
    stored: Mapping[str, Any] = json.loads(body) if body is not None else {}
    return Outcome(status, stored, json.loads(headers), error, error_type, input_tokens, output_tokens)
