"""Outcomes that version 0.1 stored as HTTP responses are migrated, and rendered as the same responses."""

import asyncio
import json
from contextlib import closing
from pathlib import Path

import apsw

from omnireel.api.fal.output import render
from omnireel.store.open import open_store

DUMP = Path(__file__).parent.parent / "data" / "store-v1.sql"


def test_each_outcome_of_a_migrated_store_is_rendered_as_it_was_stored(tmp_path):
    path = tmp_path / "omnireel.db"
    with closing(apsw.Connection(str(path))) as db:
        db.execute(DUMP.read_text("utf-8"))
        stored = {
            job_id: (status, json.loads(headers), json.loads(body))
            for job_id, status, headers, body in db.execute(
                "SELECT id, status, headers, body FROM jobs WHERE body IS NOT NULL"
            )
        }
    rendered = {}
    with closing(open_store(path)) as store:
        for job_id in stored:
            job = asyncio.run(store.jobs.find(job_id))
            answer = render(job.outcome, job.task)
            rendered[job_id] = answer.status, dict(answer.headers), json.loads(json.dumps(answer.body))
    assert len(stored) == 14
    assert rendered == stored
