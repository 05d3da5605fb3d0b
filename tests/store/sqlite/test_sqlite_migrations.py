"""A store of schema version 1 is migrated and loses nothing. A store of a newer version is refused.

`tests/data/store-v1.sql` is a dump of a store that the program wrote before schema version 2. T0 is the beginning of
2026. It holds:

- jobs that succeeded: without options, with every option and a chain of thought, with warnings about the clip, not
  to be kept (one whose answer could still be fetched, one purged), and one whose content was dropped
- jobs that failed: by the clip, the prompt and a field, by a full engine, by a timeout, by an internal error, by a
  start deadline (in the backend and in the queue), by a dead worker; one cancelled, one whose content was dropped
- running jobs (one to be cancelled, one pinned), waiting ones (of low priority, with a deadline, with a stored clip,
  one requeued after an attempt), an idempotency key, log lines
- a key with caps, limits, spending and reservations, an admin key, a revoked key; the charge of a deleted job; the job
  that was submitted last is deleted too
- webhooks: delivered at the second attempt, delivered and not kept, given up, claimed and due again
- uploads: complete, with two parts and a third on its way, open; a temporary token
"""

import asyncio
import json
import subprocess
import sys
from collections import Counter
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import apsw
import pytest
from stores import ENDPOINT, EVER, LEASE_S, POLICY, Blocking

from omnireel.engine.params import SamplingParams
from omnireel.errors import DeniedError, SettingsError
from omnireel.store.jobs import Claim, State, Submission
from omnireel.store.keys import Grant, Key, secret_digest
from omnireel.store.sqlite.migrations.migrate import NEWEST
from omnireel.store.sqlite.store import SqliteStore
from omnireel.store.uploads import FileLimits, Part, StoredFile, token_hash
from omnireel.store.webhooks import Delivery
from omnireel.task import (
    Answer,
    Failure,
    FinishReason,
    MediaOptions,
    VideoFacts,
    task_from_json,
    task_to_json,
    video_task,
)

DUMP = Path(__file__).parent.parent.parent / "data" / "store-v1.sql"
T0 = 1_767_225_600.0
PEPPER = bytes(range(32))
CLIP = "https://videos.example/clip.mp4"
FACTS = VideoFacts(640, 360, "h264", 29.97, 4.5, True, (), (0.0, 1.001, 2.002, 3.003), 96, 48, (), "used", 57)
WARNED = replace(FACTS, warnings=("the clip has no keyframe at its start",))
BALL = Answer("A ball rolls to the left.", None, FinishReason.stop, 120, 9, None)
ASKED = video_task(ENDPOINT, prompt="What happens?", video=CLIP)
WITH_EXTRA = replace(ASKED, extra={"enable_safety_checker": False, "unknown_field": [1, {"a": 2}]})
DROPPED = ASKED.without_content()
# What the requests that failed had in the part that was to blame.
BLAMED = {"media": CLIP, "prompt": "What happens?", "start_s": 9.0}
TOO_LONG = Failure(
    "video_duration_too_long",
    "the video is 130.0 s long, limit 120.0 s",
    "send a shorter part; or name one with start_s and end_s",
    "media",
    {"max_duration": 120.0, "provided_duration": 130.0},
    is_callers=True,
)


@pytest.fixture
def old(tmp_path):
    """The path of a store of version 1."""
    path = tmp_path / "omnireel.db"
    with closing(apsw.Connection(str(path))) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute(DUMP.read_text("utf-8"))
    return path


@pytest.fixture
def store(old):
    """That store after this version has opened it."""
    with closing(SqliteStore(old)) as opened, asyncio.Runner() as runner:
        yield Blocking(opened, runner)


def job(store, job_id):
    found = store.jobs.find(job_id)
    assert found is not None, job_id
    return found


SAMPLED = replace(
    video_task(
        ENDPOINT, prompt="What happens?", video=CLIP, system_prompt="Answer in one word.", thinking=True
    ),
    sampling=SamplingParams(0, 0.5, 200, 7, 64, 8),
    media=MediaOptions(2, 16, 0.5, 4, 0.25, True),
)
WITH_SOUND = video_task(ENDPOINT, prompt="Was hörst du? 🎧", video=CLIP)
# The request of this job was dropped. Its answer has a report on the clip, because the request had an option.
UNKEPT = replace(DROPPED, media=MediaOptions(max_frames=4))


@pytest.mark.parametrize(
    ("job_id", "task", "outcome", "num_tokens"),
    [
        ("j-plain", WITH_EXTRA, BALL, 129),
        (
            "j-think",
            SAMPLED,
            Answer("<think>It moves\nleft.</think>\n\nLeft – ✓ 😀", "It moves\nleft.", FinishReason.length,
                   900, 200, WARNED),
            1100,
        ),
        ("j-warned", WITH_SOUND, replace(BALL, video=WARNED), 129),
        ("j-unkept", UNKEPT, replace(BALL, video=FACTS), 129),
        ("j-unkept-purged", DROPPED, None, 129),
        ("j-dropped", DROPPED, None, 129),
    ],
)  # fmt: skip
def test_an_answer_is_found_with_its_task(store, job_id, task, outcome, num_tokens):
    found = job(store, job_id)
    assert (found.state, found.task, found.outcome, found.num_tokens) == (
        State.succeeded,
        task,
        outcome,
        num_tokens,
    )
    assert found.failure is None


@pytest.mark.parametrize(
    ("job_id", "state", "failure"),
    [
        ("j-too-long", State.failed, TOO_LONG),
        ("j-prompt", State.failed, Failure("prompt_too_long", "the prompt has 70000 tokens, limit 60000",
                                           "shorten it", "prompt", is_callers=True)),
        ("j-late-start", State.failed, Failure("less_than", "nothing is left of the clip", None, "start_s",
                                               {"lt": 4.5}, is_callers=True)),
        ("j-full", State.failed, Failure("concurrent_requests_limit", "the engine is full", after_s=3.0,
                                         is_callers=True)),
        ("j-timeout", State.failed, Failure("generation_timeout", "the answer took longer than 600 s")),
        ("j-internal", State.failed, Failure("internal_server_error", "Internal Server Error")),
        ("j-not-started-by-backend", State.failed,
         Failure("not_started", "the request did not start within 2.5 s")),
        ("j-not-started", State.failed, Failure("not_started", "the request did not start in time")),
        ("j-lost", State.failed, Failure("lost", "the request was lost with its worker")),
        ("j-cancelled", State.cancelled, Failure("cancelled", "the request was cancelled", is_callers=True)),
    ],
)  # fmt: skip
def test_a_failure_keeps_all_its_fields(store, job_id, state, failure):
    found = job(store, job_id)
    assert (found.state, found.failure) == (state, failure)
    assert found.outcome == replace(failure, value=BLAMED.get(failure.about))
    assert (found.num_tokens, found.task.prompt) == (0, "What happens?")


def test_a_failure_whose_content_was_dropped_keeps_its_reason(store):
    found = job(store, "j-dropped-error")
    assert (found.outcome, found.task) == (None, DROPPED)
    assert (found.failure.kind, found.failure.is_callers) == ("video_duration_too_long", True)
    assert found.failure.message == f"video_url: {TOO_LONG.message}; {TOO_LONG.hint}"


def test_all_jobs_keep_their_order_and_the_number_of_a_deleted_job_is_not_used_again(store, old):
    ended = [one.job.id for one in store.usage.ended_jobs(None, EVER, limit=100)]
    assert len(ended) == 17
    store.jobs.submit(Submission("new", "ann", ASKED), fingerprint="f", now=T0 + 2000)
    with closing(apsw.Connection(str(old))) as db:
        numbers = dict(db.execute("SELECT id, seq FROM jobs"))
    assert (len(numbers), numbers["j-plain"], numbers["new"]) == (25, 2, 27)


def test_jobs_keep_their_status(store):
    def listed(status):
        return {one.job.id for one in store.usage.ended_jobs(None, EVER, limit=100, status=status)}

    assert listed("success") == {"j-plain", "j-think", "j-warned", "j-unkept", "j-unkept-purged", "j-dropped"}
    assert listed("user_error") == {
        "j-too-long", "j-dropped-error", "j-prompt", "j-late-start", "j-full", "j-cancelled",
    }  # fmt: skip
    assert listed("error") == {
        "j-timeout", "j-internal", "j-not-started-by-backend", "j-not-started", "j-lost",
    }  # fmt: skip


def test_running_jobs_keep_their_leases(store):
    running = job(store, "j-running")
    assert (running.state, running.attempt, running.lease_token, running.cancel_requested) == (
        State.running, 1, 1, True,
    )  # fmt: skip
    assert (running.media, running.webhook_url) == ("j-running", "https://hooks.example/later")
    assert running.task.references == ("data:video/mp4;base64,… (1234 characters)",)
    renew = {"worker": "server-1", "lease_s": LEASE_S, "clock": lambda: T0 + 1010}
    assert store.jobs.renew_leases([running, job(store, "j-pinned")], **renew) == [True, False]
    assert store.jobs.cancel_requests("server-1") == ["j-running"]
    end = {"worker": "server-1", "log": [(T0 + 1011, "INFO", "late")], "now": T0 + 1011}
    assert store.jobs.finish(running, POLICY.cancelled, POLICY, **end)
    assert [line.message for line in store.jobs.read_log("j-running")] == [
        "1 of 4 frames read", "the sound is cut", "late",
    ]  # fmt: skip
    assert [line.message for line in store.jobs.read_log("j-plain")] == [
        "1.2 MB of video received", "wrote 9 tokens",
    ]  # fmt: skip


def test_waiting_jobs_keep_their_places_and_turns(store):
    assert store.jobs.num_queued() == 5
    waiting = ("j-again", "j-queued-1", "j-queued-2", "j-queued-3", "j-queued-low")
    positions = {job_id: store.jobs.position(job_id) for job_id in waiting}
    assert positions == {"j-again": 0, "j-queued-1": 1, "j-queued-2": 2, "j-queued-3": 3, "j-queued-low": 4}
    assert store.jobs.needed_media() == {"j-running", "j-queued-3"}
    again = job(store, "j-again")
    assert (again.retries, again.attempt, again.task.sampling.max_tokens) == (2, 1, 5)
    assert job(store, "j-queued-1").start_deadline_at == T0 + 1611
    claimed = store.jobs.claim(Claim("w", 9, LEASE_S), now=T0 + 1020)
    assert [one.id for one in claimed] == ["j-queued-2", "j-queued-1", "j-queued-3", "j-queued-low"]
    (last,) = store.jobs.claim(Claim("w", 9, LEASE_S), now=T0 + 1040)
    assert (last.id, last.attempt, last.lease_token, last.num_crashes) == ("j-again", 2, 2, 0)


def test_an_idempotency_key_still_names_its_job(store):
    again = Submission("other", "bob", ASKED, idempotency_key="once")
    assert store.jobs.submit(again, fingerprint="sha j-again", now=T0 + 2000)[0].id == "j-again"


def test_keys_keep_their_secrets_limits_and_spending(store):
    capped = store.keys.check("omr_00000000000000c1", secret_digest(PEPPER, "aa" * 32))
    assert capped == Key(
        "omr_00000000000000c1", "ann", Grant("ann", "laptop", False, 30, 5, 5_000_000, 2_000_000), T0, None
    )
    assert store.keys.check("omr_00000000000000ad", secret_digest(PEPPER, "bb" * 32)).grant.is_admin
    assert store.keys.check("omr_00000000000000dd", secret_digest(PEPPER, "cc" * 32)) is None
    spending = {
        one.key.id[-2:]: (one.spent_micro, one.key.revoked_at) for one in store.keys.all(now=T0 + 1e3)
    }
    assert spending == {"c1": (7374, None), "ad": (0, None), "dd": (0, T0 + 500)}
    # Of its cap of $2 a month, $0.007374 is spent, and two unfinished jobs reserve $0.06 each.
    left = 2_000_000 - 7374 - 2 * 60_000
    more = Submission("new", "ann", ASKED, key_id=capped.id, reserved_micro=left + 1)
    with pytest.raises(DeniedError):
        store.jobs.submit(more, fingerprint="f", now=T0 + 2000)
    store.jobs.submit(replace(more, reserved_micro=left), fingerprint="f", now=T0 + 2000)
    # Nobody knows the key with which this token was made, so it could not end with it.
    assert store.keys.token_holder(token_hash("a cdn token"), now=T0 + 4999) is None


def test_the_ledger_keeps_every_charge(store):
    charges = {one.job_id: one.amount_micro for one in store.usage.charges(None, EVER, limit=100)}
    assert charges == {
        "j-purged": 252, "j-plain": 774, "j-think": 6600, "j-warned": 774, "j-unkept": 774,
        "j-unkept-purged": 774, "j-dropped": 774,
    }  # fmt: skip


def test_webhooks_keep_their_state_body_and_attempts(store):
    log = {entry.job_id: entry for entry in store.webhooks.read_log()}
    assert {job_id: entry.state for job_id, entry in log.items()} == {
        "j-think": "delivered", "j-unkept": "delivered", "j-too-long": "given_up", "j-warned": "waiting",
    }  # fmt: skip
    assert log["j-think"].deliveries == (
        Delivery(T0 + 200, 503, None, 0.25),
        Delivery(T0 + 300, 200, None, 0.25),
    )
    assert log["j-too-long"].deliveries[0].error == "the address cannot be reached: refused"
    assert store.webhooks.replay(["j-unkept"], now=T0) == {"j-unkept": "not_kept"}
    assert store.webhooks.replay(["j-think"], now=T0 + 999) == {"j-think": "due"}
    claim = {"running": Counter(), "max_running": 9, "max_each": 9, "lease_s": 45.0}
    claimed = store.webhooks.claim(**claim, now=T0 + 1000)
    assert [one.job_id for one in claimed] == ["j-warned", "j-think"]


def test_uploads_keep_their_files_parts_and_tokens(store):
    limits = FileLimits(1_000_000, 10_000_000, 3600.0)
    assert store.uploads.find("u-complete", now=T0 + 400) == StoredFile(
        "u-complete", "ann", "u-complete.mp4", "video/mp4", "http://here:8000", "blob-complete", 1000, "e1",
        T0 + 302 + 86_400,
    )  # fmt: skip
    parts = [Part(1, "blob-part-1", 500, "p1"), Part(2, "blob-part-2", 500, "p2")]
    assert store.uploads.arrived_parts("u-parts") == parts
    end = {"num_bytes": 200, "etag": "p3", "limits": limits, "now": T0 + 400}
    assert store.uploads.end_part("blob-part-3", **end) == []
    assert store.uploads.check_token("u-open", "u-open-token", now=T0 + 400) is None
    assert store.uploads.needed_blobs() == {"blob-complete", *(f"blob-part-{n}" for n in (1, 2, 3))}
    assert store.uploads.num_stored_bytes() == 2200


def test_the_migrated_file_is_intact_and_its_tasks_are_as_this_version_writes_them(store, old):
    with closing(apsw.Connection(str(old))) as db:
        assert db.pragma("user_version") == NEWEST
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert db.execute("PRAGMA foreign_key_check").fetchall() == []
        for (text,) in db.execute("SELECT task FROM jobs").fetchall():
            stored = json.loads(text)
            assert task_to_json(task_from_json(stored)) == stored


def schema(path):
    with closing(apsw.Connection(str(path))) as db:
        return sorted(
            db.execute("SELECT type, name, tbl_name FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%'")
        )


def test_a_migrated_store_has_the_tables_of_a_new_one(old, tmp_path):
    for path in (old, tmp_path / "new.db"):
        SqliteStore(path).close()
    assert len(schema(old)) > 30
    assert [row for row in schema(old) if row[1] != "jobs_on_the_line"] == schema(tmp_path / "new.db")


def test_a_store_is_migrated_once_and_opens_again(old):
    for _ in range(2):
        with closing(SqliteStore(old)) as store:
            assert asyncio.run(store.jobs.find("j-plain")).outcome == BALL


@pytest.mark.parametrize("is_old", [True, False], ids=["old", "missing"])
def test_processes_can_open_a_store_at_the_same_time(old, tmp_path, is_old):
    path = old if is_old else tmp_path / "new" / "store.db"
    code = """
import asyncio, sys
from pathlib import Path
from omnireel.store.open import open_store
print("ready", flush=True)
sys.stdin.readline()
store = open_store(Path(sys.argv[1]))
print(asyncio.run(store.jobs.num_queued()))
store.close()
"""
    command = [sys.executable, "-c", code, str(path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    running = [subprocess.Popen(command, text=True, **pipes) for _ in range(4)]
    assert [process.stdout.readline() for process in running] == ["ready\n"] * 4
    for process in running:
        process.stdin.write("go\n")
        process.stdin.flush()
    printed = [process.communicate(timeout=60) for process in running]
    assert printed == [("5\n" if is_old else "0\n", "")] * 4


def test_a_migration_that_fails_leaves_the_old_store_as_it_was(old):
    with closing(apsw.Connection(str(old))) as db:
        db.execute("UPDATE jobs SET input = 'no JSON' WHERE id = 'j-queued-1'")
        before = db.execute("SELECT * FROM jobs").fetchall()
    with pytest.raises(ValueError, match="Expecting value"):
        SqliteStore(old)
    with closing(apsw.Connection(str(old))) as db:
        assert (db.pragma("user_version"), db.execute("SELECT * FROM jobs").fetchall()) == (1, before)


def test_a_store_of_a_newer_version_is_refused_and_not_changed(old):
    SqliteStore(old).close()
    with closing(apsw.Connection(str(old))) as db:
        db.execute(f"PRAGMA user_version = {NEWEST + 1}")
    with pytest.raises(SettingsError) as raised:
        SqliteStore(old)
    assert raised.value.message == (
        f"The store at {old} has version {NEWEST + 1}; this omnireel knows versions up to {NEWEST}."
    )
    assert "--data-dir" in raised.value.hint
