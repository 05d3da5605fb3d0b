"""Stores a job for a task. Every protocol uses this."""

import asyncio
import uuid
from dataclasses import dataclass

from omnireel.backends.base import Backend
from omnireel.errors import InputError, OmnireelError
from omnireel.jobs.worker import Worker
from omnireel.storage.disk import Disk
from omnireel.storage.incoming import IncomingMedia, shortened
from omnireel.store.jobs import Job, Submission, is_failed_clip
from omnireel.store.keys import Key, KeyStore
from omnireel.store.uploads import StoredFile
from omnireel.task import Task, failure_of

_QUEUE_RETRIES = 9
# Shorter texts are counted by the worker only, when it runs the job.
_LONG_TEXT = 65_536


@dataclass(frozen=True)
class JobOptions:
    """A caller's choices about a job, beside its task.

    owner:            the caller's account; "" if the server runs without keys
    key:              the caller's key; None if the server runs without keys
    attached_id:      the id for the job of an attached request; None for a job of the queue. Only this process may
                      run an attached job. It is not retried, and it ends with its request.
    is_low:           the job waits behind every job that is not low
    keeps_io:         the task and its outcome may be kept after the end
    has_one_attempt:  the job is not retried
    start_deadline_s: seconds within which the job has to begin
    max_queued:       refuse the job if more jobs than this are waiting
    queue_room:       refuse the job if the account would take more of so much room in the queue than it leaves free
    """

    owner: str
    key: Key | None
    attached_id: str | None = None
    is_low: bool = False
    webhook_url: str | None = None
    keeps_io: bool = True
    has_one_attempt: bool = False
    start_deadline_s: float | None = None
    max_queued: int | None = None
    queue_room: int | None = None
    idempotency_key: str | None = None


@dataclass(frozen=True)
class Submitter:
    """Stores jobs and wakes the worker.

    max_failed_clips: so many clips of a key may turn out to be unusable in a minute
    """

    worker: Worker
    keys: KeyStore
    media: IncomingMedia
    backend: Backend
    max_failed_clips: int
    disk: Disk

    async def count_request(self, key: Key | None) -> None:
        """Count a request of a key, before anything of it is stored.

        Raises CapacityError if the disk is full, or beyond the key's limits per minute.
        """
        self.disk.check()
        if key is None:
            return
        if key.grant.max_per_minute is not None:
            await self.keys.count_request(key, now=self.worker.clock())
        await self.keys.check_failed_clips(key, self.max_failed_clips, now=self.worker.clock())

    async def count_failure(self, key: Key | None, error: InputError) -> None:
        """Count a clip of a key that was read without a job, if it is to blame for the error."""
        if key is not None and is_failed_clip(failure_of(error)):
            await self.keys.count_failed_clip(key, now=self.worker.clock())

    async def prepare(
        self, task: Task, options: JobOptions, *, stored: StoredFile | None = None
    ) -> Submission:
        """Check a task and save its clip. The submission holds no clip, so it may wait before it is stored.

        stored: the uploaded file that the task's media part names
        Raises the errors of `check_length` and `IncomingMedia.save`.
        """
        await self.check_length(task)
        reserved_micro = await self._max_cost_micro(task, options.key)
        job_id = options.attached_id or str(uuid.uuid4())
        is_saved = await self._save(task, job_id, stored, is_durable=options.attached_id is None)
        return self._submission(job_id, task, options, is_saved=is_saved, reserved_micro=reserved_micro)

    async def submit(self, submission: Submission, *, fingerprint: str) -> Job:
        """Store a job and wake the worker; it is durable when this returns.

        fingerprint: a hash of the request; it shows whether an idempotency key came with the same request again
        Raises the errors of `JobStore.submit`.
        """
        try:
            job = await self.worker.submit(submission, fingerprint=fingerprint)
        except OmnireelError:
            await self.drop(submission)
            raise
        except asyncio.CancelledError:
            if submission.pinned_to is not None:
                self.worker.abandon(submission.id)  # the row may have been written
            raise
        if job.id != submission.id:
            await self.drop(submission)
        return job

    async def drop(self, submission: Submission) -> None:
        """Delete the clip of a submission that is not stored."""
        if submission.media is not None:
            await self.media.blobs.remove([submission.media])

    async def check_length(self, task: Task) -> None:
        """Refuse texts of megabytes that cannot fit, before anything is stored or tokenised.

        Raises InputError(sequence_too_long) as `Backend.check_length`.
        """
        if sum(len(message.text) for message in task.messages) > _LONG_TEXT:
            await asyncio.to_thread(self.backend.check_length, task)

    async def _max_cost_micro(self, task: Task, key: Key | None) -> int:
        """The most that the job can cost, in millionths of a US dollar; 0 for a key without a cap."""
        if key is None or not key.has_cap:
            return 0
        num_tokens = await asyncio.to_thread(self.backend.most_tokens, task)
        return num_tokens * self.worker.end_policy.micro_per_token

    async def _save(self, task: Task, job_id: str, stored: StoredFile | None, *, is_durable: bool) -> bool:
        try:
            return await self.media.save(task.references[0], job_id, stored=stored, is_durable=is_durable)
        except FileNotFoundError:  # it has expired since it was found
            raise not_stored() from None

    def _submission(
        self, job_id: str, task: Task, options: JobOptions, *, is_saved: bool, reserved_micro: int
    ) -> Submission:
        is_attached = options.attached_id is not None
        return Submission(
            job_id,
            options.owner,
            task.with_reference(shortened(task.references[0])) if is_saved else task,
            media=job_id if is_saved else None,
            is_low=options.is_low,
            pinned_to=self.worker.policy.name if is_attached else None,
            webhook_url=options.webhook_url,
            keeps_io=options.keeps_io,
            retries=0 if is_attached or options.has_one_attempt else _QUEUE_RETRIES,
            start_deadline_s=options.start_deadline_s,
            max_queued=options.max_queued,
            queue_room=options.queue_room,
            idempotency_key=options.idempotency_key,
            key_id="" if options.key is None else options.key.id,
            reserved_micro=reserved_micro,
        )


def not_stored() -> InputError:
    """The error for a file that does not exist, has expired or belongs to another account.

    It is the same for all three, so that callers learn nothing about files of others.
    """
    return InputError(
        "This is an address of an uploaded file. You have no such file, or it has expired.",
        kind="file_download_error",
        about="media",
        hint="Upload it again.",
    )
