"""What counts as the running time of a job."""

import asyncio
import time
from contextlib import asynccontextmanager
from types import SimpleNamespace

from omnireel.backends.base import Health
from omnireel.jobs.run import TaskRun
from omnireel.task import Answer, Failure, Progress, video_task


class SkippingLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock can be set forward."""

    skipped_s = 0.0

    def time(self):
        return super().time() + self.skipped_s


class WaitingBackend:
    """Waits a thousand seconds in one stage, then answers."""

    def __init__(self, stage):
        self.stage = stage

    async def health(self):
        return Health(is_ready=True, model="none")

    async def generate(self, task, files):
        yield Progress("video", "read")
        yield Progress(self.stage, "now it takes long")
        asyncio.get_running_loop().skipped_s += 1000
        await asyncio.sleep(0.01)
        yield Progress("prompt", "sent")
        await asyncio.sleep(0.01)
        yield Answer("It moves.", None, "stop", 10, 2, None)


def outcome_of(backend, tmp_path):
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(b"clip")

    @asynccontextmanager
    async def file(reference, media, *, owner):
        yield clip

    task = video_task("", prompt="What moves?", video="clip.mp4")
    job = SimpleNamespace(task=task, media=None, owner="", start_deadline_at=None, retries=0, pinned_to=None)
    run = TaskRun(backend, SimpleNamespace(file=file), max_run_s=600, clock=time.monotonic)
    with asyncio.Runner(loop_factory=SkippingLoop) as runner:
        return runner.run(run(job, lambda event: None))


def test_waiting_for_a_model_server_is_no_running_time(tmp_path):
    assert outcome_of(WaitingBackend("waiting"), tmp_path).output == "It moves."


def test_other_stages_are_running_time(tmp_path):
    outcome = outcome_of(WaitingBackend("encoding"), tmp_path)
    assert isinstance(outcome, Failure)
    assert outcome.kind == "generation_timeout"
