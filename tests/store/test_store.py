"""The queue as a state machine, on a clock that the test owns."""

import json

import apsw
import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, rule

from omnireel.errors import CapacityError, InputError
from omnireel.store.jobs import Outcome, State, Submission
from omnireel.store.sqlite import job_log, usage
from omnireel.store.sqlite import jobs as store
from omnireel.store.sqlite.database import connect, create_schema

LEASE_S = 15.0
TERMS = store.EndPolicy(
    cancelled=Outcome(499, {"detail": "cancelled"}, error="cancelled", error_type="client_cancelled"),
    not_started=Outcome(504, {"detail": "late"}, error="late", error_type="request_timeout"),
    lost=Outcome(500, {"detail": "lost"}, error="lost", error_type="internal_error"),
    notice=lambda job_id, outcome: json.dumps([job_id, outcome.status]).encode(),
    micro_per_token=6,
)


def done(tokens=10):
    return Outcome(200, {"output": "yes"}, {"x": "1"}, input_tokens=tokens, output_tokens=1)


@pytest.fixture
def db():
    connection = connect(":memory:")
    create_schema(connection)
    return connection


def charged_micro(db, owner):
    return sum(total.amount_micro for total in usage.totals(db, owner, usage.Period(0, 1e12)))


def put(db, job_id="a", now=0.0, **more):
    return store.submit(db, Submission(job_id, "ann", {"prompt": "?"}, **more), fingerprint="f", now=now)


def take(db, worker="w", now=0.0):
    return store.claim(db, worker, lease_s=LEASE_S, now=now)


def test_jobs_run_in_order_of_arrival_and_low_ones_last(db):
    put(db, "low", is_low=True)
    put(db, "first")
    put(db, "second")
    assert [store.position(db, job) for job in ("first", "second", "low")] == [0, 1, 2]
    assert [take(db).id for _ in range(3)] == ["first", "second", "low"]
    assert take(db) is None


def test_a_finished_job_is_charged_once_and_tells_once(db):
    put(db, webhook_url="https://hook")
    job = take(db)
    assert store.finish(db, TERMS, job, done(), worker="w", now=1)
    assert not store.finish(db, TERMS, job, done(), worker="w", now=2)
    assert charged_micro(db, "ann") == 66
    assert db.execute("SELECT id, url FROM outbox").fetchall() == [("msg_a", "https://hook")]
    found = store.find(db, "a")
    assert (found.state, found.outcome) == (State.succeeded, done())


def test_a_worker_that_was_presumed_dead_changes_nothing(db):
    put(db)
    old = take(db, "old")
    store.sweep(db, TERMS, now=LEASE_S + 1)
    new = take(db, "new", now=LEASE_S + 10)
    assert store.renew_lease(db, old, "old", lease_s=LEASE_S, now=LEASE_S + 11) is None
    assert not store.finish(db, TERMS, old, done(), worker="old", now=LEASE_S + 11)
    assert store.renew_lease(db, new, "new", lease_s=LEASE_S, now=LEASE_S + 11) is False
    assert store.finish(db, TERMS, new, done(), worker="new", now=LEASE_S + 12)
    assert charged_micro(db, "ann") == 66


def test_a_job_that_kills_three_workers_is_lost_and_free(db):
    put(db)
    now = 0.0
    for _ in range(3):
        assert take(db, now=now) is not None
        now += LEASE_S + 1
        store.sweep(db, TERMS, now=now)
        now += 100
    assert store.find(db, "a").outcome == TERMS.lost
    assert charged_micro(db, "ann") == 0


def test_a_pinned_job_runs_only_where_its_caller_waits(db):
    put(db, pinned_to="here", retries=0)
    assert take(db, "there") is None
    assert take(db, "here").id == "a"
    assert store.sweep(db, TERMS, now=LEASE_S + 1) == ["a"]


def test_a_pinned_job_whose_server_died_before_it_ran_does_not_wait_for_ever(db):
    put(db, pinned_to="dead", retries=0)
    assert store.sweep(db, TERMS, now=store.MAX_PINNED_S - 1) == []
    assert store.sweep(db, TERMS, now=store.MAX_PINNED_S + 1) == ["a"]


def test_a_job_that_does_not_start_in_time_ends(db):
    put(db, start_deadline_s=5)
    assert take(db, now=5.1) is None
    assert store.sweep(db, TERMS, now=5.1) == ["a"]
    assert store.find(db, "a").outcome.error_type == "request_timeout"


def test_a_job_that_started_in_time_outlives_a_drain_after_its_deadline(db):
    put(db, start_deadline_s=5)
    job = take(db, now=1)
    assert store.requeue(db, job, worker="w", after_s=0, counts=False, now=20)
    assert store.sweep(db, TERMS, now=21) == []
    assert take(db, "next", now=21).id == "a"


def test_cancelling_says_what_happened(db):
    put(db, "waiting")
    assert store.cancel(db, TERMS, "waiting", now=1) == "removed"
    assert store.cancel(db, TERMS, "waiting", now=1) == "ended"
    assert store.cancel(db, TERMS, "nobody", now=1) == "unknown"
    put(db, "running")
    job = take(db)
    assert store.cancel(db, TERMS, "running", now=1) == "requested"
    assert store.renew_lease(db, job, "w", lease_s=LEASE_S, now=1) is True


def test_the_same_key_and_body_is_the_same_job(db):
    first = put(db, "a", idempotency_key="k")
    assert put(db, "b", idempotency_key="k").id == first.id == "a"
    with pytest.raises(InputError):
        store.submit(db, Submission("c", "ann", {}, idempotency_key="k"), fingerprint="other", now=1)
    assert put(db, "d", idempotency_key="k", now=store.IDEMPOTENCY_S + 1).id == "d"


def test_a_queue_that_is_too_long_refuses(db):
    put(db, "a")
    put(db, "b")
    with pytest.raises(CapacityError):
        put(db, "c", max_queued=1)
    assert put(db, "c", max_queued=2).id == "c"


def test_a_job_that_may_not_be_kept_loses_its_input(db):
    put(db, keeps_io=False)
    store.finish(db, TERMS, take(db), done(), worker="w", now=1)
    assert store.find(db, "a").input == {}


@pytest.mark.parametrize(("pinned_to", "kept_s"), [(None, store.UNKEPT_S), ("w", store.UNKEPT_ATTACHED_S)])
def test_its_answer_can_be_fetched_for_a_while_and_is_shown_nowhere(db, pinned_to, kept_s):
    put(db, "kept")
    put(db, keeps_io=False, pinned_to=pinned_to)
    for _ in range(2):
        store.finish(db, TERMS, take(db), done(), worker="w", now=1)
    store.purge_unkept(db, now=kept_s)
    assert store.find(db, "a").outcome.body == {"output": "yes"}
    shown = {job.id: job.answer for job in usage.ended_jobs(db, "ann", usage.Period(0, 1e12), limit=9)}
    assert shown == {"a": None, "kept": {"output": "yes"}}
    store.purge_unkept(db, now=kept_s + 2)
    assert db.execute("SELECT id FROM jobs WHERE body IS NULL").fetchall() == [("a",)]


def test_what_happens_every_second_does_not_walk_through_all_jobs(db):
    plans = []

    def explain(cursor, sql, bindings):
        if not sql.startswith("EXPLAIN"):
            plans.extend(row[3] for row in cursor.connection.execute(f"EXPLAIN QUERY PLAN {sql}", bindings))
        return True

    put(db)
    db.exec_trace = explain
    job = take(db)
    store.renew_lease(db, job, "w", lease_s=LEASE_S, now=1)
    store.sweep(db, TERMS, now=2)
    store.purge_unkept(db, now=2)
    db.exec_trace = None
    assert len(plans) > 5
    assert [plan for plan in plans if plan.startswith("SCAN jobs")] == []


def test_log_lines_are_numbered_within_their_job(db):
    put(db, "a")
    put(db, "b")
    for job in ("a", "b", "a"):
        job_log.append(db, job, [(1.0, "INFO", "one"), (2.0, "INFO", "two")])
    assert [line.number for line in job_log.read_from(db, "a")] == [0, 1, 2, 3]
    assert [line.message for line in job_log.read_from(db, "b", start=1)] == ["two"]


def test_the_schema_refuses_a_second_end_and_a_changed_ledger(db):
    put(db)
    store.finish(db, TERMS, take(db), done(), worker="w", now=1)
    with pytest.raises(apsw.ConstraintError):
        db.execute("UPDATE jobs SET state = 'failed' WHERE id = 'a'")
    with pytest.raises(apsw.ConstraintError):
        db.execute("UPDATE ledger SET amount_micro = 0")


class Queue(RuleBasedStateMachine):
    """Submissions, workers, deaths, cancellations and time in any order."""

    jobs = Bundle("jobs")
    held = Bundle("held")

    @initialize()
    def start(self):
        self.db = connect(":memory:")
        create_schema(self.db)
        self.now = 0.0
        self.submitted = []
        self.ends = {}

    @rule(target=jobs, low=st.booleans(), retries=st.integers(0, 4), deadline=st.none() | st.floats(0.5, 30))
    def submit(self, low, retries, deadline):
        job_id = f"job-{len(self.submitted)}"
        put(
            self.db, job_id, self.now, is_low=low, retries=retries, start_deadline_s=deadline,
            webhook_url="https://hook",
        )  # fmt: skip
        self.submitted.append(job_id)
        return job_id

    @rule(target=held, worker=st.sampled_from(["w1", "w2"]))
    def claim(self, worker):
        return take(self.db, worker, self.now), worker

    @rule(holding=consumes(held), tokens=st.integers(0, 50), fails=st.booleans())
    def finish(self, holding, tokens, fails):
        job, worker = holding
        if job is not None:
            outcome = Outcome(500, {}, error="broken", error_type="internal_error") if fails else done(tokens)
            store.finish(self.db, TERMS, job, outcome, worker=worker, now=self.now)

    @rule(holding=held)
    def renew_lease(self, holding):
        job, worker = holding
        if job is not None:
            store.renew_lease(self.db, job, worker, lease_s=LEASE_S, now=self.now)

    @rule(holding=consumes(held), counts=st.booleans())
    def requeue(self, holding, counts):
        job, worker = holding
        if job is not None:
            store.requeue(self.db, job, worker=worker, after_s=1, counts=counts, now=self.now)

    @rule(job_id=jobs)
    def cancel(self, job_id):
        store.cancel(self.db, TERMS, job_id, now=self.now)

    @rule(seconds=st.floats(0.1, 40))
    def pass_time(self, seconds):
        self.now += seconds
        store.sweep(self.db, TERMS, now=self.now)

    @invariant()
    def every_job_is_in_one_place(self):
        for job_id in getattr(self, "submitted", []):
            job = store.find(self.db, job_id)
            assert job is not None
            if job_id in self.ends:
                assert (job.state, job.outcome) == self.ends[job_id]
            elif job.state.is_final:
                self.ends[job_id] = job.state, job.outcome

    @invariant()
    def what_ended_was_charged_and_told_as_it_should(self):
        if not hasattr(self, "db"):
            return
        charged = dict(self.db.execute("SELECT job_id, amount_micro FROM ledger").fetchall())
        told = {row[0] for row in self.db.execute("SELECT job_id FROM outbox")}
        assert told == set(self.ends)
        due = {
            job_id: 6 * (outcome.input_tokens + outcome.output_tokens)
            for job_id, (state, outcome) in self.ends.items()
            if state == State.succeeded
        }
        assert charged == due

    def teardown(self):
        """Left alone with a worker that does its work, every job ends."""
        if not hasattr(self, "db"):
            return
        for _ in range(200):
            self.now += LEASE_S + 61
            store.sweep(self.db, TERMS, now=self.now)
            while (job := take(self.db, "last", self.now)) is not None:
                outcome = TERMS.cancelled if job.cancel_requested else done()
                store.finish(self.db, TERMS, job, outcome, worker="last", now=self.now)
            if all(store.find(self.db, job_id).state.is_final for job_id in self.submitted):
                return
        raise AssertionError("some job never ends")


Queue.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestQueue = Queue.TestCase
