"""Converts rows of jobs into objects, and runs queries."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal

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

Payload = Literal["task", "outcome"]

# A longer text of a job lies beside its row, which then has an empty one.
MAX_IN_ROW = 65_536


def _whole(kind: Payload) -> str:
    """SQL for a text of a job, wherever it lies."""
    beside = f"SELECT content FROM payloads WHERE job_seq = jobs.seq AND kind = '{kind}'"
    return f"CASE {kind} WHEN '' THEN ({beside}) ELSE {kind} END"


COLUMNS = f"""id, owner, state, pinned_to, {_whole("task")}, media, webhook_url, keeps_io, retries, created_at,
started_at, finished_at, start_deadline_at, attempt, num_crashes, lease_token, cancel_requested,
{_whole("outcome")}, failure, coalesce(input_tokens + output_tokens, 0)"""

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
     finished_at, start_deadline_at, attempt, num_crashes, lease_token, cancel_requested, outcome, failure,
     num_tokens) = row  # fmt: skip
    return Job(
        job_id, owner, State(state), pinned_to, read_task(task), media, webhook_url, bool(keeps_io), retries,
        created_at, started_at, finished_at, start_deadline_at, attempt, num_crashes, lease_token,
        bool(cancel_requested),
        None if outcome is None else outcome_from_json(json.loads(outcome)),
        None if failure is None else _read_failure(failure),
        num_tokens,
    )  # fmt: skip


def in_row(text: str) -> str:
    """What a job's row holds of a text: all of it, or nothing if it is long."""
    return text if len(text) <= MAX_IN_ROW else ""


def put_beside(db: Connection, job_id: str, kind: Payload, text: str) -> None:
    """Store a long text beside the job's row, which has none yet. A short one is in the row."""
    if len(text) > MAX_IN_ROW:
        db.execute("INSERT INTO payloads SELECT seq, ?, ? FROM jobs WHERE id = ?", (kind, text, job_id))


def drop_beside(db: Connection, job_id: str, kind: Payload) -> None:
    """Delete a text that lies beside the job's row."""
    db.execute(
        "DELETE FROM payloads WHERE job_seq = (SELECT seq FROM jobs WHERE id = ?) AND kind = ?",
        (job_id, kind),
    )


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
