"""What a process does beside answering requests: run jobs, send webhooks, delete what has expired."""

import asyncio
import os
import signal
import socket
import uuid
from dataclasses import dataclass, field

import structlog

from omnireel.api.fal.webhooks import make_sender
from omnireel.backends.base import Backend
from omnireel.jobs.events import JobEvents
from omnireel.jobs.run import JobRun, end_policy
from omnireel.jobs.worker import Worker, WorkerPolicy
from omnireel.settings import Settings
from omnireel.storage.local_blobs import Blobs
from omnireel.storage.spool import Spool
from omnireel.storage.uploads import Files
from omnireel.store.sqlite.database import Database
from omnireel.store.sqlite.uploads import FileLimits
from omnireel.webhooks.sender import Sender

_DRAIN_S = 10.0

log = structlog.get_logger()


@dataclass(eq=False)
class Supervisor:
    """The tasks of one process on one store; a server has one, and so has each worker beside it."""

    worker: Worker
    sender: Sender
    files: Files
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def start(self) -> None:
        """Begin. A process whose tasks broke would take jobs and run none: it is sent SIGTERM."""
        work = {
            "worker": self.worker.run(),
            "sender": self.sender.run(),
            "sweeper": self.files.sweep_for_ever(),
        }
        for name, coroutine in work.items():
            task = asyncio.create_task(coroutine, name=name)
            task.add_done_callback(_end_when_broken)
            self._tasks.append(task)

    async def stop(self) -> None:
        """Let queued work that runs end, for a while; what is left waits in the store for the next start."""
        work, _, sweeping = self._tasks
        sweeping.cancel()
        self.worker.stop()
        _, unfinished = await asyncio.wait({work}, timeout=_DRAIN_S)
        if unfinished:
            self.worker.give_up()
        self.sender.stop()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.worker.database.close()

    @property
    def is_broken(self) -> bool:
        """Whether a task ended by an error; it has been logged."""
        return any(t.done() and not t.cancelled() and t.exception() is not None for t in self._tasks)


def make_supervisor(backend: Backend, settings: Settings) -> Supervisor:
    """On the store and the directories that the settings name; nothing runs yet."""
    worker = _make_worker(backend, settings)
    limits = FileLimits(settings.max_upload_bytes, settings.max_stored_bytes, settings.upload_open_s)
    files = Files(worker.database, Blobs(settings.uploads_dir), limits)
    return Supervisor(worker, make_sender(worker, settings), files)


def _make_worker(backend: Backend, settings: Settings) -> Worker:
    spool = Spool(settings.incoming_dir)
    name = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
    return Worker(
        Database(settings.store_path),
        end_policy(settings),
        spool,
        JobEvents(),
        JobRun(backend, settings, spool),
        WorkerPolicy(name, settings.max_running, settings.lease_s, renew_every_s=settings.lease_s / 3),
    )


def _end_when_broken(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.critical(f"the {task.get_name()} broke", exc_info=error)
        signal.raise_signal(signal.SIGTERM)
