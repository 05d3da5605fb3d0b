"""A small run of `make kill-test`, and a test that its checks find faults."""

import uuid

import pytest
from killing import APP_ID, Kill, judge, make_plan, run
from served import Server

from omnireel.store.sqlite.database import connect


@pytest.mark.timeout(400)
def test_nothing_is_lost_or_done_twice_when_processes_are_killed(tmp_path):
    verdict = run(make_plan(seed=7, num_requests=30, num_kills=6), tmp_path, limit_s=280)
    assert verdict.faults == {}
    assert sum(verdict.attempts.values()) == 30
    assert max(verdict.attempts) > 1, "no kill hit a running job"


def test_the_same_seed_is_the_same_plan():
    first, again, other = (make_plan(seed, 500, 60) for seed in (1, 1, 2))
    assert first == again != other
    assert {kill.victim for kill in first.kills} == {"server", "worker"}
    assert all(isinstance(kill, Kill) for kill in first.kills)


def test_missing_and_superfluous_rows_are_found(tmp_path):
    """One acknowledged request is missing in the store. One job, charge and webhook was never requested."""
    acknowledged = {0: str(uuid.uuid4())}
    with Server(tmp_path) as server:
        db = connect(tmp_path / "omnireel.db")
        db.execute("""INSERT INTO jobs (id, owner, priority, endpoint, task, keeps_io, retries, created_at, run_after)
                      VALUES ('stray', '', 0, 'e', '{}', 1, 0, 0, 1e12)""")
        db.execute("INSERT INTO ledger VALUES ('stray', 'charge', '', '', 0, 5, 30)")
        db.execute("""INSERT INTO outbox (id, job_id, owner, url, receiver, body, created_at, next_at)
                      VALUES ('msg_stray', 'stray', '', 'https://a.invalid', 'a.invalid', x'', 0, 1e12)""")
        verdict = judge(acknowledged, db, server.url)
        db.close()
    assert set(verdict.faults) == {"lost", "doubled", "wrongly_billed", "wrong_events", "unended"}
    assert len(verdict.wrongly_billed) == len(verdict.wrong_events) == 2
    assert APP_ID == "nvidia/nemotron-3-nano-omni"
