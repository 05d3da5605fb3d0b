"""Tests of the SQLite store alone: shared commits, consistent reads, a full disk, constraints."""

import asyncio
import json
import time
from collections import Counter
from contextlib import closing

import apsw
import pytest
from stores import POLICY, done, task

from omnireel.errors import CapacityError, OmnireelError, SettingsError, StorageError
from omnireel.store.jobs import Claim, Submission
from omnireel.store.keys import Caller, Grant, secret_digest
from omnireel.store.sqlite.database import Database, check_sqlite_version, connect
from omnireel.store.sqlite.store import SqliteStore
from omnireel.store.uploads import FileLimits, NewUpload, token_hash


@pytest.fixture
def database(tmp_path):
    with closing(Database(tmp_path / "store.db")) as database:
        yield database


def count(db):
    return db.execute("SELECT count(*) FROM counted").fetchone()[0]


def insert(number):
    return lambda db: db.execute("INSERT INTO counted VALUES (?)", (number,)).fetchall()


def test_a_read_sees_one_state_although_a_write_is_committed_meanwhile(database):
    async def scene():
        await database.write(lambda db: db.execute("CREATE TABLE counted (n)").fetchall())

        def count_twice(db):
            before = count(db)
            database.post(insert(1)).result(60)
            return before, count(db)

        return await database.read(count_twice), await database.read(count)

    assert asyncio.run(scene()) == ((0, 0), 1)


def test_waiting_writes_share_a_commit_and_a_failed_one_undoes_only_its_own_changes(database):
    commits = []

    async def scene():
        def prepare(db):
            db.execute("CREATE TABLE counted (n UNIQUE)")
            db.set_commit_hook(lambda: commits.append(1) or False)

        await database.write(prepare)
        commits.clear()
        slow = database.post(lambda db: time.sleep(0.3))
        writes = [database.write(insert(n // 2)) for n in range(40)]
        results = await asyncio.gather(*writes, return_exceptions=True)
        slow.result(60)
        return results, await database.read(count)

    results, number = asyncio.run(scene())
    assert number == 20
    assert [isinstance(result, apsw.ConstraintError) for result in results] == [False, True] * 20
    assert len(commits) <= 3


def test_a_write_that_was_cancelled_before_it_began_is_dropped(database):
    async def scene():
        await database.write(lambda db: db.execute("CREATE TABLE counted (n)").fetchall())
        slow = database.post(lambda db: time.sleep(0.2))
        cancelled = asyncio.ensure_future(database.write(insert(1)))
        await asyncio.sleep(0)
        cancelled.cancel()
        await asyncio.wrap_future(slow)
        await database.write(insert(2))
        return await database.read(count)

    assert asyncio.run(scene()) == 1


def test_a_full_disk_fails_the_whole_commit_with_an_error_that_may_be_retried(database):
    async def scene():
        await database.write(lambda db: db.execute("CREATE TABLE counted (n)").fetchall())
        await database.write(lambda db: db.pragma("max_page_count", db.pragma("page_count")))
        fill = lambda db: db.execute("INSERT INTO counted VALUES (zeroblob(1000000))").fetchall()  # noqa: E731
        results = await asyncio.gather(
            database.write(insert(1)), database.write(fill), return_exceptions=True
        )
        return results, await database.read(count)

    results, number = asyncio.run(scene())
    assert isinstance(results[1], CapacityError)
    assert number == (0 if isinstance(results[0], CapacityError) else 1)


def test_a_store_that_is_read_only_is_an_error_of_its_own(database):
    async def scene():
        await database.write(lambda db: db.execute("CREATE TABLE counted (n)").fetchall())
        await database.write(lambda db: db.pragma("query_only", True))
        await database.write(insert(1))

    with pytest.raises(StorageError, match=r"^The store cannot be written: it is read-only\.$"):
        asyncio.run(scene())


def test_a_file_that_is_not_a_store_is_named(tmp_path):
    path = tmp_path / "store.db"
    path.write_bytes(b"This is a text of more than a hundred bytes, and not a database. " * 100)
    with pytest.raises(OmnireelError, match=str(path)):
        SqliteStore(path)


@pytest.mark.parametrize(
    ("version", "is_good"),
    [
        ("3.51.3", True),
        ("3.51.2", False),
        ("3.50.7", True),
        ("3.44.6", True),
        ("3.45.0", False),
        ("4.0", True),
    ],
)
def test_a_library_that_may_lose_commits_is_refused(version, is_good):
    if is_good:
        check_sqlite_version(version)
        return
    with pytest.raises(SettingsError, match=version.replace(".", r"\.")) as raised:
        check_sqlite_version(version)
    assert "3.51.3" in raised.value.hint


def ended_job(path):
    async def scene(store):
        job = Submission("a", "ann", task(), webhook_url="https://hook.example/")
        _, (running,) = await store.jobs.submit(job, fingerprint="f", now=0.0, claim=Claim("w", 1, 15.0))
        await store.jobs.finish(running, done(), POLICY, worker="w", log=(), now=1.0)

    with closing(SqliteStore(path)) as store:
        asyncio.run(scene(store))


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE jobs SET state = 'failed' WHERE id = 'a'",
        "UPDATE ledger SET amount_micro = 0",
        "UPDATE jobs SET failure = '{}'",
        "UPDATE jobs SET finished_at = NULL",
    ],
)
def test_the_schema_refuses_states_that_must_not_exist(tmp_path, change):
    ended_job(tmp_path / "store.db")
    with closing(connect(tmp_path / "store.db")) as db, pytest.raises(apsw.ConstraintError):
        db.execute(change)


def test_frequent_queries_do_not_scan_all_jobs(tmp_path):
    plans = []

    def explain(cursor, sql, bindings):
        if not sql.startswith(("EXPLAIN", "SAVEPOINT", "RELEASE", "BEGIN", "COMMIT")):
            plans.extend(row[3] for row in cursor.connection.execute(f"EXPLAIN QUERY PLAN {sql}", bindings))
        return True

    async def scene(store):
        await store._database.write(lambda db: setattr(db, "exec_trace", explain))
        _, (job,) = await store.jobs.submit(
            Submission("a", "ann", task()), fingerprint="f", now=0.0, claim=Claim("w", 1, 15.0)
        )
        await store.jobs.renew_leases([job], worker="w", lease_s=15.0, clock=lambda: 1.0)
        await store.jobs.end_overdue(POLICY, running=[job], worker="w", lease_s=15.0, now=20.0)
        await store.jobs.purge_unkept(now=2.0)
        await store.webhooks.claim(running=Counter(), max_running=1, max_each=1, lease_s=1.0, now=1.0)
        await store._database.write(lambda db: setattr(db, "exec_trace", None))

    with closing(SqliteStore(tmp_path / "store.db")) as store:
        asyncio.run(scene(store))
    assert len(plans) > 5
    assert [plan for plan in plans if plan.startswith(("SCAN jobs", "SCAN outbox"))] == []


def test_secrets_and_tokens_are_not_in_the_file(tmp_path):
    async def scene(store):
        await store.keys.create("omr_id", secret_digest(b"pepper", "a secret"), Grant(), now=0.0)
        await store.keys.add_token(token_hash("a cdn token"), Caller("ann", "omr_id"), expires_at=10.0)
        new = NewUpload("ann", "clip.mp4", "video/mp4", "http://here", 10.0)
        await store.uploads.begin(
            new, upload_id="u", token="an upload token", limits=FileLimits(1, 1, 9.0), now=0.0
        )

    with closing(SqliteStore(tmp_path / "store.db")) as store:
        asyncio.run(scene(store))
    stored = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"omr_id" in stored
    for text in (b"a secret", b"a cdn token", b"an upload token"):
        assert text not in stored


def test_the_files_of_a_new_store_are_for_their_owner_alone(tmp_path):
    store = SqliteStore(tmp_path / "store")
    try:
        asyncio.run(store.jobs.purge(before=0.0))  # a write, so that the log beside the file is there
        modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    finally:
        store.close()
    assert modes == dict.fromkeys(("store", "store-wal", "store-shm"), 0o600)


def test_the_files_of_an_old_store_are_closed_to_others(tmp_path):
    path = tmp_path / "store"
    with closing(SqliteStore(path)):
        for file in tmp_path.iterdir():
            file.chmod(0o664)
        with closing(SqliteStore(path)):
            assert {file.name: file.stat().st_mode & 0o777 for file in tmp_path.iterdir()} == dict.fromkeys(
                ("store", "store-wal", "store-shm"), 0o600
            )


def content_of(folder):
    return b"".join(path.read_bytes() for path in folder.iterdir())


@pytest.mark.parametrize("how", ["dropped", "purged", "not kept"])
def test_content_that_was_deleted_is_not_in_the_files_any_more(tmp_path, how):
    async def scene(store):
        submission = Submission("a", "ann", task("prompt " * 2000), keeps_io=how != "not kept")
        _, (job,) = await store.jobs.submit(submission, fingerprint="f", now=0.0, claim=Claim("w", 1, 15.0))
        await store.jobs.finish(job, done(output="answer " * 2000), POLICY, worker="w", log=(), now=1.0)
        assert b"answer answer" in content_of(tmp_path)
        if how == "dropped":
            await store.jobs.drop_payloads("a", owner=None)
        elif how == "purged":
            await store.jobs.purge(before=2.0)
        else:
            await store.jobs.purge_unkept(now=1e6)

    with closing(SqliteStore(tmp_path / "store")) as store:
        asyncio.run(scene(store))
        assert b"prompt prompt" not in content_of(tmp_path)
        assert b"answer answer" not in content_of(tmp_path)


@pytest.mark.parametrize("change", ["deleted", "replaced"])
def test_a_store_whose_file_was_taken_away_says_so(tmp_path, change):
    with closing(Database(tmp_path / "store.db")) as database:
        database.check()
        (tmp_path / "store.db").unlink()
        if change == "replaced":
            (tmp_path / "store.db").touch()
        with pytest.raises(RuntimeError, match="deleted or replaced"):
            database.check()


def test_a_status_is_read_without_the_task_and_the_outcome(tmp_path):
    async def scenario(store):
        await store.jobs.submit(Submission("a", "ann", task()), fingerprint="f", now=0)
        with closing(connect(tmp_path / "store.db")) as db:
            db.execute("UPDATE jobs SET task = 'no JSON'")
        assert (await store.jobs.status("a")).owner == "ann"
        with pytest.raises(json.JSONDecodeError):
            await store.jobs.find("a")

    with closing(SqliteStore(tmp_path / "store.db")) as store:
        asyncio.run(scenario(store))
