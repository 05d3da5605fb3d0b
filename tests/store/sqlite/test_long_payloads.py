"""Long tasks and outcomes lie beside their jobs, where the reads and writes that are frequent leave them alone.

`tests/data/store-v2.sql` is a dump of a store that the program wrote before schema version 3. T0 is the beginning of
2026. It holds jobs whose prompts and answers have the words LONG TEXT, which are made long here: one that succeeded,
one that must not be kept, one that failed by its clip, one that runs, one that was queued again, and a waiting one. One
job has short texts.
"""

import asyncio
from contextlib import closing
from pathlib import Path

import apsw
import pytest
from stores import ENDPOINT, LEASE_S, POLICY, Blocking, finish, take

from omnireel.store.jobs import UNKEPT_S, Claim, State, Submission
from omnireel.store.sqlite.migrations.migrate import NEWEST
from omnireel.store.sqlite.rows import MAX_IN_ROW, read_task
from omnireel.store.sqlite.store import SqliteStore
from omnireel.task import Answer, FinishReason, video_task

DUMP = Path(__file__).parent.parent.parent / "data" / "store-v2.sql"
T0 = 1_767_225_600.0
LONG = "0" * (MAX_IN_ROW + 10)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "omnireel.db"


@pytest.fixture
def old(path):
    """A store of version 2 with long texts, opened by this version."""
    with closing(apsw.Connection(str(path))) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute(DUMP.read_text("utf-8"))
        db.execute("UPDATE jobs SET task = replace(task, 'LONG TEXT', ?)", (LONG,))
        db.execute("UPDATE jobs SET outcome = replace(outcome, 'LONG TEXT', ?)", (LONG,))
    with closing(SqliteStore(path)) as opened, asyncio.Runner() as runner:
        yield Blocking(opened, runner)


@pytest.fixture
def store(path):
    with closing(SqliteStore(path)) as opened, asyncio.Runner() as runner:
        yield Blocking(opened, runner)


def rows(path, sql):
    with closing(apsw.Connection(str(path))) as db:
        return db.execute(sql).fetchall()


def longest_in_row(path):
    return rows(path, "SELECT max(length(task) + coalesce(length(outcome), 0)) FROM jobs")[0][0]


def answer(text):
    return Answer(text, None, FinishReason.stop, 120, 9, None)


def long_task(prompt=LONG):
    return video_task(ENDPOINT, prompt=prompt, video="https://videos.example/clip.mp4")


def test_an_old_store_keeps_its_texts_long_and_short(old, path):
    assert (old.jobs.find("j-short").task.prompt, old.jobs.find("j-short").outcome) == (
        "What happens?",
        answer("A ball rolls."),
    )
    assert old.jobs.find("j-long").task.prompt == f"{LONG} of ann"
    assert old.jobs.find("j-long").outcome == answer(f"{LONG}, and its end.")
    assert old.jobs.find("j-unkept").task.messages == ()
    assert old.jobs.find("j-unkept").outcome == answer(f"{LONG} for an hour")
    assert old.jobs.find("j-failed").failure.kind == "video_corrupt"
    assert rows(path, "PRAGMA user_version") == [(NEWEST,)]
    assert rows(path, "PRAGMA integrity_check") == [("ok",)]
    assert longest_in_row(path) < MAX_IN_ROW


def test_unfinished_jobs_of_an_old_store_run_on(old):
    running = old.jobs.find("j-running")
    assert (running.state, running.num_crashes) == (State.running, 0)
    assert finish(old, running, worker="server-1", now=T0 + 30)
    again = Submission("other", "bob", long_task(), idempotency_key="once")
    assert old.jobs.submit(again, fingerprint="sha j-crashed", now=T0 + 31)[0].id == "j-crashed"
    claimed = old.jobs.claim(Claim("w", 9, LEASE_S), now=T0 + 99)
    assert [job.task.prompt for job in claimed] == [f"{LONG} that crashed once", f"{LONG} that waits"]


def test_long_texts_lie_beside_the_row_and_are_deleted_with_it(store, path):
    store.jobs.submit(Submission("a", "ann", long_task()), fingerprint="f", now=0.0)
    job = take(store)
    assert job.task == store.jobs.find("a").task == long_task()
    finish(store, job, answer(LONG))
    assert store.jobs.find("a").outcome == answer(LONG)
    assert longest_in_row(path) < 1000
    assert rows(path, "SELECT kind FROM payloads ORDER BY kind") == [("outcome",), ("task",)]
    assert store.jobs.drop_payloads("a", owner="ann") == "dropped"
    assert rows(path, "SELECT * FROM payloads") == []
    assert (store.jobs.find("a").task.messages, store.jobs.find("a").outcome) == ((), None)
    store.jobs.submit(Submission("b", "ann", long_task()), fingerprint="f", now=0.0)
    finish(store, take(store), now=2.0)
    store.jobs.purge(before=3.0)
    assert rows(path, "SELECT * FROM payloads") == []


def test_long_texts_that_must_not_be_kept_are_deleted_in_time(store, path):
    job = Submission("a", "ann", long_task(), keeps_io=False)
    store.jobs.submit(job, fingerprint="f", now=0.0)
    finish(store, take(store), answer(LONG), now=1.0)
    assert rows(path, "SELECT kind FROM payloads") == [("outcome",)]
    assert store.jobs.find("a").outcome == answer(LONG)
    store.jobs.purge_unkept(now=UNKEPT_S + 2)
    assert rows(path, "SELECT * FROM payloads") == []
    assert store.jobs.find("a").outcome is None


def test_what_is_asked_and_written_all_the_time_does_not_touch_the_texts(store, monkeypatch):
    """Counted: statements that name a text, and texts that were parsed."""
    for job_id in "ab":
        store.jobs.submit(Submission(job_id, "ann", long_task()), fingerprint="f", now=0.0)
    job, named, parsed = take(store), [], []

    def note(cursor, sql, bindings):
        named.extend(word for word in ("payloads", "task", "outcome") if word in sql)
        return True

    def count(text):
        parsed.append(len(text))
        return read_task(text)

    database = store._target._database
    monkeypatch.setattr("omnireel.store.sqlite.rows.read_task", count)
    database.post(lambda db: setattr(db, "exec_trace", note)).result(60)
    database._reading.exec_trace = note
    for _ in range(3):
        for job_id in "ab":
            store.jobs.status(job_id)
        store.jobs.position("b")
        store.jobs.num_queued()
        store.jobs.cancel_requests("w")
        store.jobs.renew_leases([job], worker="w", lease_s=LEASE_S, clock=lambda: 1.0)
    assert named == []
    database.post(lambda db: setattr(db, "exec_trace", None)).result(60)
    for _ in range(3):
        store.jobs.end_overdue(POLICY, running=[job], worker="w", lease_s=LEASE_S, now=2.0)
    assert parsed == []
    store.jobs.find("a")
    assert len(parsed) == 1
    assert {"payloads", "task", "outcome"} == set(named)
