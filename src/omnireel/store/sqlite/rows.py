"""Converts rows of jobs into objects, and runs queries."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any

from omnireel.store.jobs import Job, JobStatus, State
from omnireel.store.sqlite.database import Connection
from omnireel.task import (
    Failure,
    Outcome,
    Task,
    outcome_from_json,
    outcome_to_json,
    task_from_json,
    task_to_json,
)

COLUMNS = """id, owner, state, pinned_to, task, media, webhook_url, keeps_io, retries, created_at,
started_at, finished_at, start_deadline_at, attempt, lease_token, cancel_requested,
outcome, failure, coalesce(input_tokens + output_tokens, 0)"""

_ENCODER = json.JSONEncoder(separators=(",", ":"))

Values = Sequence[Any] | Mapping[str, Any]


def count(db: Connection, sql: str, values: Values = ()) -> int:
    """The number that a query returns."""
    number = db.execute(sql, values).fetchall()[0][0]
    assert isinstance(number, int)
    return number


def select(db: Connection, sql: str, values: Values = ()) -> list[tuple[Any, ...]]:
    """The rows that a query returns."""
    return db.execute(sql, values).fetchall()


def wall(db: Connection, at: float) -> float:
    """The time on the wall clock at a moment in store time."""
    return float(select(db, "SELECT wall(?)", (at,))[0][0])


def find_job(db: Connection, job_id: str) -> Job | None:
    """The job in its current state; None if there is no such job."""
    rows = select(db, f"SELECT {COLUMNS} FROM jobs WHERE id = ?", (job_id,))
    return read_job(rows[0]) if rows else None


def find_status(db: Connection, job_id: str) -> JobStatus | None:
    """The status of a job; None if there is no such job."""
    rows = select(
        db,
        """SELECT id, owner, state, started_at, finished_at, failure, coalesce(input_tokens + output_tokens, 0)
           FROM jobs WHERE id = ?""",
        (job_id,),
    )
    if not rows:
        return None
    found_id, owner, state, started_at, finished_at, failure, num_tokens = rows[0]
    why = None if failure is None else _read_failure(failure)
    return JobStatus(found_id, owner, State(state), started_at, finished_at, why, num_tokens)


def select_jobs(db: Connection, condition: str, values: Values) -> list[Job]:
    """Jobs that meet a condition, oldest first."""
    # The plus makes SQLite use the index of the condition and sort the rows, instead of scanning all jobs in order.
    return [
        read_job(row)
        for row in select(db, f"SELECT {COLUMNS} FROM jobs WHERE {condition} ORDER BY +seq", values)
    ]


def read_job(row: Sequence[Any]) -> Job:
    """The job in a row of `COLUMNS`."""
    (job_id, owner, state, pinned_to, task, media, webhook_url, keeps_io, retries, created_at, started_at,
     finished_at, start_deadline_at, attempt, lease_token, cancel_requested, outcome, failure,
     num_tokens) = row  # fmt: skip
    return Job(
        job_id, owner, State(state), pinned_to, read_task(task), media, webhook_url, bool(keeps_io), retries,
        created_at, started_at, finished_at, start_deadline_at, attempt, lease_token, bool(cancel_requested),
        None if outcome is None else outcome_from_json(json.loads(outcome)),
        None if failure is None else _read_failure(failure),
        num_tokens,
    )  # fmt: skip


def read_task(text: str) -> Task:
    """The task that `task_text` wrote."""
    return task_from_json(json.loads(text))


def task_text(task: Task) -> str:
    """The JSON of a task."""
    return _text(task_to_json(task))


def outcome_text(outcome: Outcome) -> str:
    """The JSON of an outcome."""
    return _text(outcome_to_json(outcome))


def failure_text(failure: Failure) -> str:
    """The JSON of a failure without the caller's content. It stays when the outcome is dropped."""
    return _text(outcome_to_json(dataclasses.replace(failure, value=None))["failure"])


def _read_failure(text: str) -> Failure:
    return Failure(**json.loads(text))


def _text(value: Mapping[str, Any]) -> str:
    return _ENCODER.encode(value)
