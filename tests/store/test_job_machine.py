"""Random sequences of submissions, claims, crashes and cancellations: each job ends once and is charged once."""

from dataclasses import replace

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    rule,
    run_state_machine_as_test,
)
from stores import (
    BROKEN,
    CANCELLED,
    EVER,
    IMPLEMENTATIONS,
    LEASE_S,
    POLICY,
    blocking_store,
    done,
    finish,
    renew,
    submit,
    sweep,
    take,
)


class Queue(RuleBasedStateMachine):
    """A store and the jobs that were submitted to it. ends: state and outcome of each ended job"""

    jobs = Bundle("jobs")
    held = Bundle("held")

    def __init__(self, implementation):
        super().__init__()
        self.opened = blocking_store(implementation)
        self.store = self.opened.__enter__()
        self.now = 0.0
        self.submitted = []
        self.ends = {}

    @rule(target=jobs, low=st.booleans(), retries=st.integers(0, 4), deadline=st.none() | st.floats(0.5, 30))
    def submit(self, low, retries, deadline):
        job_id = f"job-{len(self.submitted)}"
        options = {"is_low": low, "retries": retries, "start_deadline_s": deadline}
        submit(self.store, job_id, now=self.now, webhook_url="https://hook.example/", **options)
        self.submitted.append(job_id)
        return job_id

    @rule(target=held, worker=st.sampled_from(["w1", "w2"]))
    def claim(self, worker):
        return take(self.store, worker, now=self.now), worker

    @rule(
        holding=consumes(held),
        tokens=st.integers(0, 50),
        how=st.sampled_from(["done", "broken", "cancelled"]),
    )
    def finish(self, holding, tokens, how):
        job, worker = holding
        cancelled = replace(CANCELLED, input_tokens=tokens, output_tokens=2)
        outcome = {"done": done(tokens), "broken": BROKEN, "cancelled": cancelled}[how]
        if job is not None:
            finish(self.store, job, outcome, worker=worker, now=self.now)

    @rule(holding=held)
    def renew_lease(self, holding):
        job, worker = holding
        if job is not None:
            renew(self.store, job, worker, now=self.now)

    @rule(holding=consumes(held), counts=st.booleans())
    def requeue(self, holding, counts):
        job, worker = holding
        if job is not None:
            self.store.jobs.requeue(job, worker=worker, after_s=1, counts=counts, log=(), now=self.now)

    @rule(job_id=jobs)
    def cancel(self, job_id):
        self.store.jobs.cancel(job_id, POLICY, now=self.now)

    @rule(seconds=st.floats(0.1, 40))
    def pass_time(self, seconds):
        self.now += seconds
        sweep(self.store, now=self.now)

    @invariant()
    def an_ended_job_never_changes(self):
        for job_id in self.submitted:
            job = self.store.jobs.find(job_id)
            assert job is not None
            if job_id in self.ends:
                assert (job.state, job.outcome) == self.ends[job_id]
            elif job.state.is_final:
                self.ends[job_id] = job.state, job.outcome

    @invariant()
    def each_ended_job_has_its_charge_and_its_webhook(self):
        charges = self.store.usage.charges(None, EVER, limit=1000)
        assert {charge.job_id: charge.amount_micro for charge in charges} == {
            job_id: 6 * (outcome.input_tokens + outcome.output_tokens)
            for job_id, (_, outcome) in self.ends.items()
            if outcome.input_tokens + outcome.output_tokens
        }
        assert {entry.job_id for entry in self.store.webhooks.read_log(limit=1000)} == set(self.ends)

    def teardown(self):
        """Every job ends when a worker runs that does not crash."""
        try:
            self.run_until_all_have_ended()
        finally:
            self.opened.__exit__(None, None, None)

    def run_until_all_have_ended(self):
        for _ in range(200):
            self.now += LEASE_S + 61
            sweep(self.store, now=self.now)
            while (job := take(self.store, "last", now=self.now)) is not None:
                outcome = CANCELLED if job.cancel_requested else done()
                finish(self.store, job, outcome, worker="last", now=self.now)
            if all(self.store.jobs.find(job_id).state.is_final for job_id in self.submitted):
                return
        raise AssertionError("some job never ends")


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_each_job_ends_once_and_is_charged_once(implementation):
    run_state_machine_as_test(
        lambda: Queue(implementation),
        settings=settings(max_examples=40, stateful_step_count=40, deadline=None),
    )
