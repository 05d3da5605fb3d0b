"""Outcomes that version 0.1 stored as HTTP responses are migrated, and rendered as the same responses."""

import asyncio
import json
from contextlib import closing
from pathlib import Path

import apsw
import pytest

from omnireel.api.fal.input import to_fields
from omnireel.api.fal.output import render
from omnireel.store.open import open_store

DUMP = Path(__file__).parent.parent / "data" / "store-v1.sql"


@pytest.fixture
def path(tmp_path):
    """A store of version 1."""
    path = tmp_path / "omnireel.db"
    with closing(apsw.Connection(str(path))) as db:
        db.execute(DUMP.read_text("utf-8"))
    return path


def select(path, sql):
    with closing(apsw.Connection(str(path))) as db:
        return db.execute(sql).fetchall()


def find_jobs(path, ids):
    with closing(open_store(path)) as store, asyncio.Runner() as runner:
        return {job_id: runner.run(store.jobs.find(job_id)) for job_id in ids}


def test_each_outcome_of_a_migrated_store_is_rendered_as_it_was_stored(path):
    rows = select(path, "SELECT id, status, headers, body FROM jobs WHERE body IS NOT NULL")
    stored = {
        job_id: (status, json.loads(headers), json.loads(body)) for job_id, status, headers, body in rows
    }
    rendered = {}
    for job_id, job in find_jobs(path, stored).items():
        answer = render(job.outcome, job.task)
        rendered[job_id] = answer.status, dict(answer.headers), json.loads(json.dumps(answer.body))
    assert len(stored) == 14
    # The body of an internal error has changed since.
    status, headers, _ = stored["j-internal"]
    stored["j-internal"] = status, headers, {"detail": "Internal Server Error"}
    assert rendered == stored


def test_a_failure_that_is_not_to_be_kept_still_shows_what_was_wrong(path):
    select(path, "UPDATE jobs SET keeps_io = 0, input = '{}' WHERE id = 'j-late-start'")
    ((body,),) = select(path, "SELECT body FROM jobs WHERE id = 'j-late-start'")
    (job,) = find_jobs(path, ["j-late-start"]).values()
    assert render(job.outcome, job.task).body == json.loads(body)
    assert job.failure.value is None  # it outlasts the outcome


def test_each_request_of_a_migrated_store_has_the_fields_it_was_sent_with(path):
    rows = select(path, "SELECT id, input FROM jobs WHERE input <> '{}'")
    sent = {job_id: json.loads(text) for job_id, text in rows}
    assert "unknown_field" in sent["j-plain"]
    assert {job_id: to_fields(job.task) for job_id, job in find_jobs(path, sent).items()} == sent
