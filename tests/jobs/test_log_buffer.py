"""Which progress becomes a line of a job's log."""

import asyncio

from omnireel.jobs.log_buffer import JobLogBuffer
from omnireel.task import Progress


def recorded(*events):
    """The messages of the lines that these events give."""

    async def record():
        buffer = JobLogBuffer(jobs=None, clock=lambda: 0.0)
        for event in events:
            buffer.record("job", event)
        return [message for _, _, message in buffer.take("job")]

    return asyncio.run(record())


def test_stages_that_alternate_give_a_line_for_each_quarter():
    alternating = [
        progress
        for n in range(1, 101)
        for progress in (
            Progress("video", f"frame {n}", n / 100), Progress("encoding", f"tubelet {n}", n / 100)
        )
    ]  # fmt: skip
    numbers = (1, 25, 50, 75, 100)
    assert recorded(*alternating) == [line for n in numbers for line in (f"frame {n}", f"tubelet {n}")]


def test_progress_without_a_fraction_is_always_a_line():
    assert recorded(Progress("video", "first"), Progress("video", "second")) == ["first", "second"]
