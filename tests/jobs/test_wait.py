"""A request that waits for a job ends with it, even if the outcome was deleted first."""

import asyncio

import pytest
from stores import LEASE_S, POLICY, deployment

from omnireel.jobs.wait import wait_for_end
from omnireel.store.jobs import UNKEPT_ATTACHED_S, Claim, Submission
from omnireel.task import Answer, Failure, FinishReason, video_task

TASK = video_task("some/endpoint", prompt="What moves?", video="https://example.com/clip.mp4")
ANSWER = Answer("A ball.", None, FinishReason.stop, 10, 3, None)
FAILURE = Failure("generation_timeout", "The answer took too long.")


@pytest.fixture
def jobs():
    with deployment("sqlite") as deployed:
        yield deployed.open().jobs


async def waited_for(jobs):
    """What a waiting request gets if only the store knows that the job has ended."""
    async with asyncio.timeout(10):
        return await wait_for_end(jobs, "a", asyncio.Queue())


async def end(jobs, outcome, **submitted):
    submission = Submission("a", "ann", TASK, pinned_to="w", retries=0, **submitted)
    _, (job,) = await jobs.submit(submission, fingerprint="f", now=0, claim=Claim("w", 1, LEASE_S))
    await jobs.finish(job, outcome, POLICY, worker="w", log=[], now=1)


def test_an_outcome_that_another_process_stored_is_found(jobs):
    async def run():
        await end(jobs, ANSWER)
        return await waited_for(jobs)

    assert asyncio.run(run()) == ANSWER


def test_a_failure_whose_content_was_dropped_keeps_its_reason(jobs):
    async def run():
        await end(jobs, FAILURE)
        await jobs.drop_payloads("a", owner="ann")
        return await waited_for(jobs)

    assert asyncio.run(run()) == FAILURE


def test_an_answer_that_was_deleted_first_is_a_failure(jobs):
    async def run():
        await end(jobs, ANSWER, keeps_io=False)
        await jobs.purge_unkept(now=UNKEPT_ATTACHED_S + 2)
        return await waited_for(jobs)

    assert asyncio.run(run()).kind == "lost"
