"""Caps as a state machine, turns between owners: on a clock that the test owns."""

from contextlib import suppress

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, rule
from omnireel.store.sqlite.admission import month_of, spent_micro
from test_store import LEASE_S, TERMS, done, take

from omnireel.errors import CapacityError, DeniedError
from omnireel.store.jobs import Outcome, Submission
from omnireel.store.sqlite import jobs as store
from omnireel.store.sqlite import keys
from omnireel.store.sqlite.database import connect, create_schema
from omnireel.store.sqlite.keys import Grant

DAY_S = 24 * 3600.0


@pytest.fixture
def db():
    connection = connect(":memory:")
    create_schema(connection)
    return connection


def put(db, job_id, owner, now=0.0, **more):
    return store.submit(db, Submission(job_id, owner, {}, **more), fingerprint=job_id, now=now)


def test_a_thousand_jobs_of_one_owner_do_not_starve_another(db):
    for n in range(1000):
        put(db, f"many-{n}", "many")
    put(db, "few-0", "few")
    put(db, "few-1", "few")
    assert [store.position(db, job) for job in ("few-0", "few-1", "many-0", "many-999")] == [0, 2, 1, 1001]
    claimed = [take(db) for _ in range(6)]
    assert [job.owner for job in claimed] == ["few", "many", "few", "many", "many", "many"]
    for job in claimed:
        store.finish(db, TERMS, job, done(), worker="w", now=1)
    put(db, "late", "third")
    assert take(db).owner == "third"


def test_turns_go_round_and_priority_comes_first(db):
    for n in range(3):
        for owner in ("a", "b", "c"):
            put(db, f"{owner}{n}", owner, is_low=owner == "a")
    order = []
    while (job := take(db)) is not None:
        order.append(job.id)
        store.finish(db, TERMS, job, done(), worker="w", now=1)
    assert order == ["b0", "c0", "b1", "c1", "b2", "c2", "a0", "a1", "a2"]


def test_positions_are_the_order_in_which_jobs_are_taken(db):
    for n in range(12):
        put(db, f"j{n}", "aabacbaaabca"[n])
    foretold = {f"j{n}": store.position(db, f"j{n}") for n in range(12)}
    order = []
    while (job := take(db)) is not None:
        order.append(job.id)
        store.finish(db, TERMS, job, done(), worker="w", now=1)
    assert sorted(foretold, key=foretold.__getitem__) == order
    assert sorted(foretold.values()) == list(range(12))


def test_a_job_that_cannot_run_yet_does_not_hide_its_owners_others(db):
    put(db, "elsewhere", "ann", pinned_to="there")
    put(db, "here", "ann")
    assert take(db).id == "here"


def test_a_month_begins_anew_and_the_whole_does_not(db):
    key, _ = keys.create(db, b"p", Grant(cap_micro=150, monthly_cap_micro=70), now=0)
    for n, now in enumerate((1.0, 40 * DAY_S)):
        put(db, f"j{n}", key.account, now=now, key_id=key.id, reserved_micro=66)
        store.finish(db, TERMS, take(db, now=now), done(), worker="w", now=now)
        with pytest.raises(DeniedError):
            put(db, "more", key.account, now=now, key_id=key.id, reserved_micro=5)
    with pytest.raises(DeniedError):
        put(db, "more", key.account, now=80 * DAY_S, key_id=key.id, reserved_micro=66)
    assert spent_micro(db, key.id) == 132


def test_a_repeated_request_is_never_refused_for_its_cost(db):
    key, _ = keys.create(db, b"p", Grant(cap_micro=66, max_unfinished=1), now=0)
    wanted = {"key_id": key.id, "reserved_micro": 66, "idempotency_key": "k"}
    put(db, "a", key.account, **wanted)
    again = Submission("b", key.account, {}, **wanted)
    assert store.submit(db, again, fingerprint="a", now=1).id == "a"


def test_what_an_unfinished_job_may_cost_is_promised_to_nobody_else(db):
    key, _ = keys.create(db, b"p", Grant(cap_micro=100), now=0)
    put(db, "a", key.account, key_id=key.id, reserved_micro=70)
    with pytest.raises(DeniedError):
        put(db, "b", key.account, key_id=key.id, reserved_micro=31)
    put(db, "b", key.account, key_id=key.id, reserved_micro=30)
    store.cancel(db, TERMS, "a", now=1)
    put(db, "c", key.account, key_id=key.id, reserved_micro=70)


class Spending(RuleBasedStateMachine):
    """Two keys with caps, jobs that cost anything up to what they reserved, months that pass."""

    held = Bundle("held")

    @initialize(cap=st.integers(0, 900), monthly=st.integers(0, 400), most=st.integers(1, 4))
    def start(self, cap, monthly, most):
        self.db = connect(":memory:")
        create_schema(self.db)
        self.now, self.num_jobs = 0.0, 0
        self.cap, self.monthly, self.most = cap, monthly, most
        grant = Grant(cap_micro=cap, monthly_cap_micro=monthly, max_unfinished=most)
        self.keys = [keys.create(self.db, b"p", grant, now=0)[0] for _ in range(2)]

    @rule(which=st.integers(0, 1), tokens=st.integers(1, 40), retries=st.integers(0, 2))
    def submit(self, which, tokens, retries):
        key = self.keys[which]
        self.num_jobs += 1
        more = {"key_id": key.id, "reserved_micro": 6 * tokens, "retries": retries}
        with suppress(DeniedError, CapacityError):
            put(self.db, f"j{self.num_jobs}", key.account, now=self.now, **more)

    @rule(target=held)
    def claim(self):
        return take(self.db, "w", self.now)

    @rule(job=consumes(held), share=st.floats(0, 1), fails=st.booleans())
    def finish(self, job, share, fails):
        if job is not None:
            (reserved,) = self.db.execute(
                "SELECT reserved_micro FROM jobs WHERE id = ?", (job.id,)
            ).fetchone()
            outcome = Outcome(200, {}, input_tokens=int(reserved / 6 * share))
            if fails:
                outcome = Outcome(500, {}, error="broken", error_type="internal_error")
            store.finish(self.db, TERMS, job, outcome, worker="w", now=self.now)

    @rule(number=st.integers(1, 60))
    def cancel(self, number):
        store.cancel(self.db, TERMS, f"j{number}", now=self.now)

    @rule(seconds=st.sampled_from([1.0, LEASE_S + 1, 20 * DAY_S]))
    def pass_time(self, seconds):
        self.now += seconds
        store.sweep(self.db, TERMS, now=self.now)

    @invariant()
    def no_cap_is_broken_and_the_counters_tell_the_truth(self):
        for key in getattr(self, "keys", []):
            unfinished, reserved = self.db.execute(
                """SELECT count(*), coalesce(sum(reserved_micro), 0) FROM jobs
                   WHERE key_id = ? AND finished_at IS NULL""",
                (key.id,),
            ).fetchone()
            counted = self.db.execute(
                "SELECT num_unfinished, reserved_micro FROM keys WHERE id = ?", (key.id,)
            ).fetchone()
            assert counted == (unfinished, reserved)
            assert unfinished <= self.most
            (charged,) = self.db.execute(
                "SELECT coalesce(sum(amount_micro), 0) FROM ledger WHERE key_id = ?", (key.id,)
            ).fetchone()
            assert charged == spent_micro(self.db, key.id)
            assert charged + reserved <= max(self.cap, 0)
            assert spent_micro(self.db, key.id, month=month_of(self.now)) + reserved <= self.monthly

    @invariant()
    def shares_count_what_waits_and_runs(self):
        if hasattr(self, "db"):
            counted = self.db.execute(
                "SELECT owner, num_queued, num_running FROM shares ORDER BY owner"
            ).fetchall()
            there = self.db.execute(
                """SELECT owner, sum(state = 'queued'), sum(state = 'running') FROM jobs
                   GROUP BY owner ORDER BY owner"""
            ).fetchall()
            assert counted == there


Spending.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestSpending = Spending.TestCase
