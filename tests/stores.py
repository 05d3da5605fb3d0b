"""Stores for tests, whichever database keeps them, and short forms of what tests do with them."""

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

# How each implementation of `Store` is opened; `folder` is empty at first.
IMPLEMENTATIONS = {"sqlite": lambda folder: SqliteStore(folder / "store.db")}


class Deployment:
    """An empty store that may be opened several times, as by several processes."""

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
    """In memory where the machine has such a folder: tests make many commits, and none has to be durable."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        deployed = Deployment(implementation, Path(folder))
        try:
            yield deployed
        finally:
            deployed.close()


class Blocking:
    """A store, or one part of it, whose methods are called without `await`."""

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
    """One open store, to be called without `await`."""
    with deployment(implementation) as deployed, asyncio.Runner() as runner:
        yield Blocking(deployed.open(), runner)


def task(prompt="What happens?"):
    return video_task(ENDPOINT, prompt=prompt, video="https://videos.example/clip.mp4")


def done(tokens=10, *, output="yes"):
    """An answer that costs 6 millionths of a dollar for each of its tokens + 1."""
    return Answer(output, None, FinishReason.stop, tokens, 1, None)


def submit(store, job_id="a", *, owner="ann", now=0.0, fingerprint="f", **more):
    submission = Submission(job_id, owner, task(), **more)
    return store.jobs.submit(submission, fingerprint=fingerprint, now=now)[0]


def take(store, worker="w", *, now=0.0):
    """The next job for a worker, or None."""
    claimed = store.jobs.claim(Claim(worker, 1, LEASE_S), now=now)
    return claimed[0] if claimed else None


def finish(store, job, outcome=None, *, worker="w", now=1.0, log=()):
    return store.jobs.finish(job, outcome or done(), POLICY, worker=worker, log=log, now=now)


def renew(store, job, worker="w", *, now):
    """What the store says about one lease."""
    return store.jobs.renew_leases([job], worker=worker, lease_s=LEASE_S, now=now)[0]


def sweep(store, *, now, running=(), worker="w"):
    return store.jobs.end_overdue(POLICY, running=running, worker=worker, lease_s=LEASE_S, now=now)


def charged_micro(store, owner=None):
    return sum(total.amount_micro for total in store.usage.totals(owner, EVER))


def run_all(store, *, worker="w", now=1.0):
    """Run what waits until nothing does; the ids in the order in which they ran."""
    order = []
    while (job := take(store, worker, now=now)) is not None:
        order.append(job.id)
        finish(store, job, worker=worker, now=now)
    return order
