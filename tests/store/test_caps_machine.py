"""Random sequences of jobs of two keys with caps, over several months: no cap is ever exceeded."""

from dataclasses import replace

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from stores import (
    CANCELLED,
    IMPLEMENTATIONS,
    LEASE_S,
    POLICY,
    blocking_store,
    done,
    finish,
    submit,
    sweep,
    take,
)

from omnireel.errors import CapacityError, DeniedError
from omnireel.store.keys import Grant, new_key

DAY_S = 24 * 3600.0


class Spending(RuleBasedStateMachine):
    """Random calls of a store. reserved: the most that each accepted job may cost, in millionths of a dollar"""

    held = Bundle("held")

    def __init__(self, implementation):
        super().__init__()
        self.opened = blocking_store(implementation)
        self.store = self.opened.__enter__()
        self.now, self.num_jobs = 0.0, 0
        self.keys, self.reserved = [], {}

    def teardown(self):
        self.opened.__exit__(None, None, None)

    @initialize(cap=st.integers(0, 900), monthly=st.integers(0, 400), most=st.integers(1, 4))
    def start(self, cap, monthly, most):
        self.cap, self.monthly, self.most = cap, monthly, most
        grant = Grant(cap_micro=cap, monthly_cap_micro=monthly, max_unfinished=most)
        self.keys = [self.store.keys.create(new_key()[0], b"x", grant, now=n) for n in range(2)]
        self.reserved = {key.id: {} for key in self.keys}

    def unfinished(self, key):
        """The most that each unfinished job of a key may cost."""
        jobs = self.reserved[key.id]
        return [micro for job_id, micro in jobs.items() if not self.store.jobs.find(job_id).state.is_final]

    def spent(self, key):
        """The charges of a key, in all and in this month."""
        (found,) = [one for one in self.store.keys.all(now=self.now) if one.key.id == key.id]
        return found.spent_micro, found.spent_this_month_micro

    @rule(which=st.integers(0, 1), tokens=st.integers(1, 40), retries=st.integers(0, 2))
    def submit(self, which, tokens, retries):
        key, micro = self.keys[which], 6 * tokens
        self.num_jobs += 1
        job_id = f"j{self.num_jobs}"
        unfinished, (spent, this_month) = self.unfinished(key), self.spent(key)
        after = sum(unfinished) + micro
        fits = spent + after <= self.cap and this_month + after <= self.monthly
        more = {"key_id": key.id, "reserved_micro": micro, "retries": retries}
        try:
            submit(self.store, job_id, owner=key.account, now=self.now, **more)
        except CapacityError:
            assert len(unfinished) >= self.most
        except DeniedError:
            assert not fits
        else:
            assert fits
            assert len(unfinished) < self.most
            self.reserved[key.id][job_id] = micro

    @rule(target=held)
    def claim(self):
        return take(self.store, now=self.now)

    @rule(job=consumes(held), share=st.floats(0, 1), leaves=st.booleans())
    def finish(self, job, share, leaves):
        if job is not None:
            (micro,) = [jobs[job.id] for jobs in self.reserved.values() if job.id in jobs]
            tokens = max(0, int(micro / 6 * share) - 1)  # `done` adds one
            stopped = replace(CANCELLED, input_tokens=tokens, output_tokens=1)
            finish(self.store, job, stopped if leaves else done(tokens), now=self.now)

    @rule(number=st.integers(1, 60))
    def cancel(self, number):
        self.store.jobs.cancel(f"j{number}", POLICY, now=self.now)

    @rule(seconds=st.sampled_from([1.0, LEASE_S + 1, 20 * DAY_S]))
    def pass_time(self, seconds):
        self.now += seconds
        sweep(self.store, now=self.now)

    @invariant()
    def no_cap_is_exceeded(self):
        for key in self.keys:
            unfinished, (spent, this_month) = self.unfinished(key), self.spent(key)
            assert len(unfinished) <= self.most
            assert spent + sum(unfinished) <= self.cap
            assert this_month + sum(unfinished) <= self.monthly


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_no_cap_is_exceeded_and_no_job_that_fits_is_refused(implementation):
    run_state_machine_as_test(
        lambda: Spending(implementation),
        settings=settings(max_examples=40, stateful_step_count=40, deadline=None),
    )
