"""From an HTTP request to a job. Every route of the endpoint that runs a task uses this."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, Protocol

from starlette.requests import Request

from omnireel.api.fal.input import ignored_fields, parse_input, to_task
from omnireel.api.fal.storage.lifecycle import keep_s_of
from omnireel.api.fal.storage.stored_media import find_stored_media
from omnireel.api.fal.webhooks import WEBHOOK_PARAMETER, webhook_url
from omnireel.api.http.body import ReadBody, reading_json
from omnireel.api.http.caller import key_of, owner_of
from omnireel.api.http.errors import RequestError
from omnireel.jobs.submit import JobOptions, Submitter
from omnireel.jobs.worker import Worker
from omnireel.net.policy import egress_policy
from omnireel.settings import Settings
from omnireel.store.jobs import Job, Submission
from omnireel.store.store import Store
from omnireel.store.uploads import StoredFile
from omnireel.task import Task, shortened

# The newer name first: it wins where both are sent.
_START_DEADLINE_HEADERS = ("x-fal-request-start-timeout", "x-fal-request-timeout")
_IDEMPOTENCY_HEADERS = ("idempotency-key", "x-fal-idempotency-key")
_MIN_START_DEADLINE_S = 0.1
_MAX_KEY_LENGTH = 256
# How headers and query parameters write true and false.
YES, NO = ("1", "true", "yes"), ("0", "false", "no")


@dataclass(frozen=True)
class ReadRequest:
    """A request whose body was read.

    ignored: names in the body that the schema does not have
    """

    task: Task
    ignored: list[str]


@dataclass(frozen=True)
class Accepted:
    """A stored job.

    task:    as it was sent, without a clip; the stored one may lose its content when the job ends
    ignored: names in the body that the schema does not have
    """

    job: Job
    task: Task
    ignored: list[str]


@dataclass(frozen=True)
class _Prepared:
    """A request that was read and checked, and whose clip is saved.

    fingerprint: a hash of its body
    needs_turn:  whether it has to wait for one: it is attached, and no job of its idempotency key is there
    """

    submission: Submission
    fingerprint: str
    ignored: list[str]
    needs_turn: bool


class Turns(Protocol):
    """The turns that an attached request has to wait for."""

    def check_room(self) -> None:
        """Raise CapacityError if too many requests of the account wait already."""

    async def wait(self, within_s: float | None) -> float:
        """Wait for a turn. Returns after how many seconds it came.

        Raises CapacityError, Cancelled if the client disconnects, GenerationError(not_started) after within_s.
        """


@dataclass(frozen=True)
class Submissions:
    """Reads and checks requests, and stores their jobs.

    Raises OmnireelError. If the task was read before, it is in `request.state.task`.
    """

    submitter: Submitter
    store: Store
    settings: Settings

    @property
    def worker(self) -> Worker:
        """The worker of this process. Another process may run the job."""
        return self.submitter.worker

    async def accept(self, request: Request, *, turns: Turns | None = None) -> Accepted:
        """Read a request, check it and store its job; it is durable when this returns.

        turns: of an attached request. Its turn is waited for once the request is good and its clip is saved.
        """
        await self.submitter.count_request(key_of(request))
        options = self._options(request, is_attached=turns is not None)
        keep_s_of(request.headers, 0.0)  # checked only: it is about files of answers, and there are none
        prepared = await self._prepare(request, options, turns)
        submission = prepared.submission
        if turns is not None and prepared.needs_turn:
            try:
                waited_s = await turns.wait(options.start_deadline_s)
            except BaseException:
                await self.submitter.drop(submission)
                raise
            if submission.start_deadline_s is not None:
                submission = replace(submission, start_deadline_s=submission.start_deadline_s - waited_s)
        job = await self.submitter.submit(submission, fingerprint=prepared.fingerprint)
        request.state.request_id = job.id
        return Accepted(job, request.state.task, prepared.ignored)

    async def _prepare(self, request: Request, options: JobOptions, turns: Turns | None) -> _Prepared:
        async with self.reading(request) as body:
            read = body.value
            stored = await self.find_stored(request, read.task)
            needs_turn = turns is not None and not await self._is_repeated(options)
            if turns is not None and needs_turn:
                turns.check_room()
            submission = await self.submitter.prepare(read.task, options, stored=stored)
            request.state.task = without_clip(read.task)
            return _Prepared(submission, body.fingerprint, read.ignored, needs_turn)

    async def _is_repeated(self, options: JobOptions) -> bool:
        if options.idempotency_key is None:
            return False
        return await self.store.jobs.is_repeated(options.owner, options.idempotency_key)

    @asynccontextmanager
    async def reading(self, request: Request) -> AsyncIterator[ReadBody[ReadRequest]]:
        """The request in a body. A clip that came with it should not be in memory for longer than this block."""
        async with reading_json(request, self.settings.max_body_bytes, _read) as body:
            request.state.task = body.value.task
            yield body

    async def find_stored(self, request: Request, task: Task) -> StoredFile | None:
        """The uploaded file that the clip's address names, if it names one."""
        return await find_stored_media(self.submitter.media.uploads, request, task.references[0])

    def _options(self, request: Request, *, is_attached: bool) -> JobOptions:
        """The options in the headers and the query."""
        headers, query = request.headers, request.query_params
        return JobOptions(
            owner_of(request),
            key_of(request),
            attached_id=request.state.request_id if is_attached else None,
            is_low=_priority(headers.get("x-fal-queue-priority", "normal")) == "low",
            webhook_url=self._webhook_url(query, is_attached=is_attached),
            keeps_io=_keeps_io(headers.get("x-fal-store-io", "1")),
            has_one_attempt=headers.get("x-fal-no-retry", "").lower() in YES,
            start_deadline_s=_start_deadline(headers),
            max_queued=self._max_queued(None if is_attached else query.get("fal_max_queue_length")),
            queue_room=self.settings.max_queued,
            idempotency_key=_idempotency_key(headers),
        )

    def _webhook_url(self, query: Mapping[str, str], *, is_attached: bool) -> str | None:
        """The address for the webhook. An attached request has none, because it is answered directly."""
        if is_attached and WEBHOOK_PARAMETER in query:
            raise _bad_request(
                f"The parameter {WEBHOOK_PARAMETER} is only for the queue. This request is answered directly."
            )
        return webhook_url(query, egress_policy(self.settings))

    def _max_queued(self, text: str | None) -> int:
        if text is None:
            return self.settings.max_queued
        if not text.isdecimal() or len(text) > 9:
            raise _bad_request(
                "The parameter fal_max_queue_length must be a whole number from 0 to 999999999."
            )
        return min(int(text), self.settings.max_queued)


def _read(fields: Any) -> ReadRequest:  # noqa: ANN401  # any JSON value
    return ReadRequest(to_task(parse_input(fields), fields), ignored_fields(fields))


def without_clip(task: Task) -> Task:
    """The task as it is kept while its request is open: with the header of a data: URI."""
    return task.with_reference(shortened(task.references[0]))


def _start_deadline(headers: Mapping[str, str]) -> float | None:
    """Seconds within which the work has to begin; None if the caller does not say."""
    name = next((name for name in _START_DEADLINE_HEADERS if name in headers), None)
    if name is None:
        return None
    try:
        seconds = float(headers[name])
    except ValueError:
        seconds = math.nan
    if not math.isfinite(seconds) or seconds <= 0:
        raise _bad_request(f"The header {name} must be a positive number of seconds.")
    return max(seconds, _MIN_START_DEADLINE_S)


def _priority(text: str) -> str:
    if text.lower() not in ("normal", "low"):
        raise _bad_request("The header x-fal-queue-priority must be normal or low.")
    return text.lower()


def _idempotency_key(headers: Mapping[str, str]) -> str | None:
    key = next((headers[name] for name in _IDEMPOTENCY_HEADERS if name in headers), None)
    if key is not None and not 1 <= len(key) <= _MAX_KEY_LENGTH:
        raise _bad_request(
            f"The idempotency key has {len(key)} characters. It must have 1 to {_MAX_KEY_LENGTH}."
        )
    return key


def _keeps_io(text: str) -> bool:
    if text.lower() not in (*YES, *NO):
        raise _bad_request("The header x-fal-store-io must be 0 or 1.")
    return text.lower() in YES


def _bad_request(message: str) -> RequestError:
    return RequestError(message, error_type="bad_request", status=400)
