"""Owners take turns, and the position of a job agrees with the order in which jobs run."""

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings
from stores import IMPLEMENTATIONS, blocking_store, finish, run_all, submit, take


def test_a_thousand_jobs_of_one_owner_do_not_delay_another(store):
    for n in range(1000):
        submit(store, f"many-{n}", owner="many")
    submit(store, "few-0", owner="few")
    submit(store, "few-1", owner="few")
    positions = [store.jobs.position(job) for job in ("few-0", "few-1", "many-0", "many-999")]
    assert positions == [0, 2, 1, 1001]
    claimed = [take(store) for _ in range(6)]
    assert [job.owner for job in claimed] == ["few", "many", "few", "many", "many", "many"]
    for job in claimed:
        finish(store, job)
    submit(store, "late", owner="third")
    assert take(store).owner == "third"


def test_owners_take_turns_and_priority_comes_first(store):
    for n in range(3):
        for owner in ("a", "b", "c"):
            submit(store, f"{owner}{n}", owner=owner, is_low=owner == "a")
    assert run_all(store) == ["b0", "c0", "b1", "c1", "b2", "c2", "a0", "a1", "a2"]


def test_a_job_that_cannot_run_yet_does_not_block_its_owners_other_jobs(store):
    submit(store, "elsewhere", owner="ann", pinned_to="there")
    submit(store, "here", owner="ann")
    assert take(store).id == "here"


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@settings(max_examples=25, deadline=None)
@given(owners=st.lists(st.sampled_from("abc"), min_size=1, max_size=12))
def test_jobs_run_in_the_order_of_their_positions(implementation, owners):
    with blocking_store(implementation) as store:
        jobs = [f"j{n}" for n in range(len(owners))]
        for job_id, owner in zip(jobs, owners, strict=True):
            submit(store, job_id, owner=owner)
        positions = {job_id: store.jobs.position(job_id) for job_id in jobs}
        assert run_all(store) == sorted(positions, key=positions.__getitem__)
        assert sorted(positions.values()) == list(range(len(jobs)))
