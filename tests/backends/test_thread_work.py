"""Work on clips: as much at a time as there are processors, shared by accounts, and paused when another one waits."""

import asyncio
import os
import threading
import time

import pytest

from omnireel.backends import thread_work
from omnireel.backends.thread_work import WorkThreads
from omnireel.errors import Cancelled
from omnireel.task import Progress

NUM = len(os.sched_getaffinity(0))
WORKING = Progress("video", "working")


@pytest.fixture
def threads(monkeypatch):
    monkeypatch.setattr(thread_work, "SLICE_S", 0.005)
    made = WorkThreads()
    yield made
    made.close()


async def finished(threads, owner, function):
    async with threads.work(owner, function) as work:
        async for _ in work:
            pass
        return await work.result()


async def until(condition):
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.002)


def working_until(event):
    def function(report):
        while not event.is_set():
            report(WORKING)
            time.sleep(0.001)

    return function


def test_as_many_clips_are_read_at_a_time_as_there_are_processors(threads):
    together = threading.Barrier(NUM, timeout=20)

    async def run():
        work = [finished(threads, "ann", lambda _: together.wait()) for _ in range(NUM)]
        return await asyncio.gather(*work)

    assert sorted(asyncio.run(run())) == list(range(NUM))


def test_long_work_is_paused_for_that_of_another_account_and_goes_on_afterwards(threads):
    end = threading.Event()

    async def run():
        long = [asyncio.ensure_future(finished(threads, "flood", working_until(end))) for _ in range(NUM + 3)]
        await until(lambda: threads.shares.num_held == NUM)
        async with asyncio.timeout(20):
            answer = await finished(threads, "ann", lambda _: "ann's")
        end.set()
        await asyncio.gather(*long)
        return answer, threads.num_paused, threads.shares.is_idle

    assert asyncio.run(run()) == ("ann's", 0, True)


def test_paused_work_ends_when_it_is_not_wanted_any_more(threads):
    end = threading.Event()

    async def run():
        stopped = threading.Event()

        def function(report):
            try:
                working_until(end)(report)
            except Cancelled:
                stopped.set()
                raise

        paused = asyncio.ensure_future(finished(threads, "flood", function))
        others = [finished(threads, f"account {n}", working_until(end)) for n in range(NUM)]
        other = asyncio.ensure_future(asyncio.gather(*others))
        await until(lambda: threads.num_paused)
        paused.cancel()
        await until(stopped.is_set)
        end.set()
        await other
        return threads.num_paused, threads.shares.is_idle

    assert asyncio.run(run()) == (0, True)


def test_no_work_is_paused_when_so_much_is_already(threads, monkeypatch):
    monkeypatch.setattr(thread_work, "MAX_PAUSED", 0)
    end = threading.Event()

    async def run():
        long = [asyncio.ensure_future(finished(threads, "flood", working_until(end))) for _ in range(NUM)]
        await until(lambda: threads.shares.num_held == NUM)
        other = asyncio.ensure_future(finished(threads, "ann", lambda _: None))
        await asyncio.sleep(0.1)
        was_paused = threads.num_paused
        end.set()
        await asyncio.gather(other, *long)
        return was_paused

    assert asyncio.run(run()) == 0


def test_work_that_is_left_keeps_its_turn_until_its_thread_has_ended(threads):
    end = threading.Event()

    async def run():
        async with threads.work("ann", lambda _: end.wait(20)):
            pass  # left at once, while the thread works on
        await asyncio.sleep(0.02)
        held = threads.shares.num_held
        end.set()
        await until(lambda: threads.shares.is_idle)
        return held

    assert asyncio.run(run()) == 1


def test_work_that_is_left_on_its_way_to_a_pause_holds_no_turn_in_the_end(threads):
    pausing, left = threading.Event(), threading.Event()

    def function(report):
        time.sleep(0.01)  # longer than a slice
        pausing.set()
        left.wait(20)
        report(WORKING)

    async def run():
        # The others wait, so that the work would pause.
        begun = [threads.work("ann", function) for _ in range(NUM)]
        works = [await one.__aenter__() for one in begun]
        waiting = asyncio.ensure_future(finished(threads, "bob", lambda _: None))
        await until(lambda: threads.shares.others_wait("ann"))
        for one, work in zip(begun, works, strict=True):
            work._check = lambda: None  # the request ends just after this check
            await one.__aexit__(None, None, None)
        left.set()
        await waiting
        await until(lambda: threads.shares.is_idle)

    asyncio.run(run())
