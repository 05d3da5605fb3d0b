"""The background tasks of a process: run jobs, send webhooks, delete what has expired."""

import asyncio
import os
import socket
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

from omnireel.backends.base import Backend
from omnireel.jobs.events import JobEvents
from omnireel.jobs.run import TaskRun
from omnireel.jobs.worker import Worker, WorkerPolicy
from omnireel.net.policy import egress_policy
from omnireel.settings import Settings
from omnireel.storage.disk import Disk
from omnireel.storage.incoming import IncomingMedia
from omnireel.storage.local_blobs import LocalBlobStore
from omnireel.storage.media import fetch_policy
from omnireel.storage.uploads import Uploads
from omnireel.store.jobs import EndPolicy
from omnireel.store.open import open_store
from omnireel.store.store import Store
from omnireel.store.uploads import FileLimits
from omnireel.webhooks.sender import Sender
from omnireel.webhooks.signing import KeyFile

_DRAIN_S = 10.0
_WATCH_S = 1.0
# Smaller steps are corrections that nobody has to know about.
_CLOCK_WAS_SET_S = 5.0

log = structlog.get_logger()


@dataclass(eq=False)
class Supervisor:
    """Runs the background tasks of one process. A server has one, and so has each worker process.

    on_failure: called when one of them has failed, from the event loop. It has to end the process, which would
                accept jobs and not run them.
    """

    store: Store
    worker: Worker
    sender: Sender
    uploads: Uploads
    media: IncomingMedia
    backend: Backend
    disk: Disk
    on_failure: Callable[[], None]
    wall_clock: Callable[[], float] = time.time
    is_broken: bool = field(default=False, init=False)
    _tasks: list[asyncio.Task[None]] = field(default_factory=list, init=False)
    _is_stopping: bool = field(default=False, init=False)

    def start(self) -> None:
        """Start the tasks."""
        work = {
            "worker": self.worker.run(),
            "sender": self.sender.run(),
            "sweeper": self.uploads.sweep_for_ever(),
            "watch": self._watch(),
        }
        for name, coroutine in work.items():
            task = asyncio.create_task(coroutine, name=name)
            task.add_done_callback(self._ended)
            self._tasks.append(task)

    def give_up(self) -> None:
        """Interrupt the running jobs, before `stop`. Callers that wait for one learn that it is lost."""
        self._is_stopping = True
        self.worker.give_up()

    async def stop(self) -> None:
        """Give running jobs time to end, and stop. Other jobs wait in the store for the next start."""
        self._is_stopping = True
        work, _, sweeping, watching = self._tasks
        sweeping.cancel()
        watching.cancel()
        self.worker.stop()
        _, unfinished = await asyncio.wait({work}, timeout=_DRAIN_S)
        if unfinished:
            self.worker.give_up()
        self.sender.stop()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.store.close()

    async def _watch(self) -> None:
        """Look for threads that have ended, on which all jobs depend. Raises RuntimeError.

        It also logs that the disk is full or has room again, and that the wall clock was set: the times in the log do
        not fit together then.
        """
        ahead_s, was_full = self.wall_clock() - self.store.now(), False
        while True:
            self.store.check()
            before_s, ahead_s = ahead_s, self.wall_clock() - self.store.now()
            if abs(ahead_s - before_s) > _CLOCK_WAS_SET_S:
                log.warning("the clock was set", forward_s=round(ahead_s - before_s, 1))
            problem = self.disk.problem
            if (problem is not None) != was_full:
                was_full = problem is not None
                log.warning("the disk is full" if was_full else "the disk has room again", problem=problem)
            if (await self.backend.health()).has_failed:
                raise RuntimeError("the backend's thread has ended")
            await asyncio.sleep(_WATCH_S)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if task.cancelled() or (self._is_stopping and task.exception() is None):
            return
        is_first, self.is_broken = not self.is_broken, True
        log.critical("a background task failed", task=task.get_name(), exc_info=task.exception())
        if is_first:
            self.on_failure()


def make_supervisor(
    backend: Backend, settings: Settings, end_policy: EndPolicy, *, on_failure: Callable[[], None]
) -> Supervisor:
    """A supervisor on the store and directories of the settings. Nothing runs before `start`."""
    store, events = open_store(settings.store_path), JobEvents()
    disk = Disk(settings.data_directory, settings.min_free_bytes)
    incoming = LocalBlobStore(settings.incoming_dir, disk)
    limits = FileLimits(
        settings.max_upload_bytes,
        settings.max_stored_bytes,
        settings.upload_open_s,
        settings.upload_begin_s,
        settings.max_stored_bytes_per_account,
    )
    uploads = Uploads(store, LocalBlobStore(settings.uploads_dir, disk), limits, store.now)
    media = IncomingMedia(incoming, uploads, fetch_policy(settings, disk=disk))
    worker = Worker(
        store.jobs,
        incoming,
        end_policy,
        events,
        TaskRun(backend, media, settings.max_run_s, store.now),
        _worker_policy(settings),
        store.now,
    )
    keys = KeyFile(settings.webhook_keys_path)
    sender = Sender(store.webhooks, keys, egress_policy(settings), events.ends, store.now)
    return Supervisor(store, worker, sender, uploads, media, backend, disk, on_failure)


def _worker_policy(settings: Settings) -> WorkerPolicy:
    name = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
    return WorkerPolicy(name, settings.max_running, settings.lease_s, renew_every_s=settings.lease_s / 3)
