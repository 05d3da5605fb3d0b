"""Stores of each implementation for the conformance tests, and short functions for common calls."""

import asyncio
import inspect
import tempfile
from contextlib import contextmanager
from pathlib import Path

from omnireel.store.jobs import Claim, EndPolicy, Submission
from omnireel.store.sqlite.store import SqliteStore
from omnireel.store.usage import Period
from omnireel.task import Answer, Failure, FinishReason, video_task

LEASE_S = 15.0
EVER = Period(-1e12, 1e12)
ENDPOINT = "nvidia/nemotron-3-nano-omni/video"

CANCELLED = Failure("cancelled", "The request was cancelled.", is_callers=True)
NOT_STARTED = Failure("not_started", "The request did not start in time.")
LOST = Failure("lost", "The worker was lost.")
BROKEN = Failure("internal_server_error", "Internal Server Error")
POLICY = EndPolicy(
    cancelled=CANCELLED,
    not_started=NOT_STARTED,
    lost=LOST,
    webhook_body=lambda job_id, task, outcome: f"{job_id} {task.prompt} {type(outcome).__name__}".encode(),
    micro_per_token=6,
)

# Opens each implementation of `Store`. `folder` is empty at first.
IMPLEMENTATIONS = {"sqlite": lambda folder: SqliteStore(folder / "store.db")}


class Deployment:
    """A new store that can be opened several times, as several processes do."""

    def __init__(self, implementation, folder):
        self._implementation, self._folder = implementation, folder
        self._opened = []

    def open(self):
        self._opened.append(IMPLEMENTATIONS[self._implementation](self._folder))
        return self._opened[-1]

    def close(self):
        for store in self._opened:
            store.close()


@contextmanager
def deployment(implementation):
    """A new store, in memory if the machine allows it: tests make many commits, and none has to be durable."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        deployed = Deployment(implementation, Path(folder))
        try:
            yield deployed
        finally:
            deployed.close()


class Blocking:
    """Wraps a store, or a part of it, so that its methods are called without `await`."""

    _PARTS = ("jobs", "webhooks", "uploads", "keys", "usage")

    def __init__(self, target, runner):
        self._target, self._runner = target, runner

    def __getattr__(self, name):
        value = getattr(self._target, name)
        if name in self._PARTS:
            return Blocking(value, self._runner)

        def call(*arguments, **options):
            result = value(*arguments, **options)
            return self._runner.run(result) if inspect.iscoroutine(result) else result

        return call


@contextmanager
def blocking_store(implementation):
    """A new store that is called without `await`."""
    with deployment(implementation) as deployed, asyncio.Runner() as runner:
        yield Blocking(deployed.open(), runner)


def task(prompt="What happens?"):
    return video_task(ENDPOINT, prompt=prompt, video="https://videos.example/clip.mp4")


def done(tokens=10, *, output="yes"):
    """An answer with `tokens` input tokens and one output token, at 6 millionths of a dollar each."""
    return Answer(output, None, FinishReason.stop, tokens, 1, None)


def submit(store, job_id="a", *, owner="ann", now=0.0, fingerprint="f", **more):
    submission = Submission(job_id, owner, task(), **more)
    return store.jobs.submit(submission, fingerprint=fingerprint, now=now)[0]


def take(store, worker="w", *, now=0.0):
    """Claim the next job for a worker. None if there is none."""
    claimed = store.jobs.claim(Claim(worker, 1, LEASE_S), now=now)
    return claimed[0] if claimed else None


def finish(store, job, outcome=None, *, worker="w", now=1.0, log=()):
    return store.jobs.finish(job, outcome or done(), POLICY, worker=worker, log=log, now=now)


def renew(store, job, worker="w", *, now):
    """Renew one lease; see `JobStore.renew_leases`."""
    return store.jobs.renew_leases([job], worker=worker, lease_s=LEASE_S, clock=lambda: now)[0]


def sweep(store, *, now, running=(), worker="w"):
    """Ids of the jobs that it ended."""
    return overdue(store, now=now, running=running, worker=worker).ended


def overdue(store, *, now, running=(), worker="w"):
    return store.jobs.end_overdue(POLICY, running=running, worker=worker, lease_s=LEASE_S, now=now)


def charged_micro(store, owner=None):
    return sum(total.amount_micro for total in store.usage.totals(owner, EVER))


def run_all(store, *, worker="w", now=1.0):
    """Run all waiting jobs. Returns their ids in the order in which they ran."""
    order = []
    while (job := take(store, worker, now=now)) is not None:
        order.append(job.id)
        finish(store, job, worker=worker, now=now)
    return order
