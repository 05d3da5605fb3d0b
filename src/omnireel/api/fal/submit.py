"""From an HTTP request to a job: one way in for every route that asks for an answer."""

import asyncio
import hashlib
import math
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from starlette.requests import Request

from omnireel.api.fal import wire
from omnireel.api.fal.storage.lifecycle import keep_s_of
from omnireel.api.fal.storage.stored_video import link_stored_video
from omnireel.api.fal.webhooks import QUERY, webhook_url
from omnireel.api.http.body import parse_json, read_body
from omnireel.api.http.caller import key_of, owner_of
from omnireel.api.http.errors import RequestError, echo
from omnireel.api.http.rates import Rates
from omnireel.backends.base import Backend
from omnireel.errors import OmnireelError
from omnireel.jobs.worker import Worker
from omnireel.settings import Settings
from omnireel.storage.media import is_data_uri, read_data_uri
from omnireel.storage.policy import egress_policy
from omnireel.storage.uploads import Files
from omnireel.store.jobs import Job, Submission

# The newer name first: it wins where both are sent.
_START_DEADLINE_HEADERS = ("x-fal-request-start-timeout", "x-fal-request-timeout")
_IDEMPOTENCY_HEADERS = ("idempotency-key", "x-fal-idempotency-key")
_MIN_START_DEADLINE_S = 0.1
_MAX_KEY = 256
_YES, _NO = ("1", "true", "yes"), ("0", "false", "no")
_QUEUE_RETRIES = 9


@dataclass(frozen=True)
class Accepted:
    """A stored job; ignored: the fields of its request that nothing knows."""

    job: Job
    ignored: list[str]


@dataclass(frozen=True)
class Submitter:
    """Reads, checks and stores requests.

    Raises OmnireelError; the fields that were read are then in `request.state.fields`.
    """

    worker: Worker
    settings: Settings
    backend: Backend
    files: Files
    rates: Rates = field(default_factory=Rates)

    async def accept(self, request: Request, *, waits: bool) -> Accepted:
        """Store a job and wake the worker; it is durable when this returns.

        waits: its caller stays on the line, so nobody else may run it and nobody retries it
        """
        key = key_of(request)
        self.rates.admit(key)
        read = self._headers(request.headers, request.query_params, waits=waits)
        read |= {"owner": owner_of(request), "key_id": "" if key is None else key.id}
        body = await read_body(request, self.settings.max_body_bytes)
        fields = parse_json(body)
        if isinstance(fields, dict):
            request.state.fields = fields
        sent = wire.parse_input(fields)
        read["reserved_micro"] = await self._most_micro(sent) if key is not None and key.has_cap else 0
        job_id = request.state.request_id if waits else str(uuid.uuid4())
        keep_s_of(request.headers, 0.0)  # an answer is text: no file is made that could be kept or dropped
        if await link_stored_video(self.files, request, sent.video_url, self.worker.spool.path(job_id)):
            submission = Submission(job_id, input=fields, video=job_id, **read)
        else:
            submission = await self._spooled(job_id, fields, sent.video_url, read)
        job = await self._submit(submission, hashlib.sha256(body).hexdigest())
        request.state.request_id = job.id
        return Accepted(job, wire.ignored_fields(fields))

    async def _most_micro(self, sent: wire.Nemotron3NanoOmniVideoInput) -> int:
        """Most that the answer can cost, in millionths of a US dollar."""
        num_tokens = await asyncio.to_thread(self.backend.most_tokens, wire.to_ask(sent, Path()))
        return num_tokens * wire.MICRO_USD_PER_TOKEN

    def _headers(
        self, headers: Mapping[str, str], query: Mapping[str, str], *, waits: bool
    ) -> dict[str, Any]:
        """The parts of a submission that headers and query decide."""
        is_final = headers.get("x-fal-no-retry", "").lower() in _YES
        return {
            "is_low": _priority(headers.get("x-fal-queue-priority", "normal")) == "low",
            "webhook_url": self._webhook_url(query, waits=waits),
            "pinned_to": self.worker.policy.name if waits else None,
            "keeps_io": _keeps_io(headers.get("x-fal-store-io", "1")),
            "retries": 0 if waits or is_final else _QUEUE_RETRIES,
            "start_deadline_s": _start_deadline(headers),
            "max_queued": None if waits else self._max_queued(query.get("fal_max_queue_length")),
            "idempotency_key": None if waits else _idempotency_key(headers),
        }

    def _webhook_url(self, query: Mapping[str, str], *, waits: bool) -> str | None:
        """A caller on the line is told there: a second promise would not be kept."""
        if waits and QUERY in query:
            raise _bad_request(f"{QUERY} is for the queue: this answer comes on the line")
        return webhook_url(query, egress_policy(self.settings))

    def _max_queued(self, text: str | None) -> int:
        if text is None:
            return self.settings.max_queued
        if not text.isdecimal() or len(text) > 9:
            raise _bad_request("fal_max_queue_length is not a whole number")
        return min(int(text), self.settings.max_queued)

    async def _spooled(
        self, job_id: str, fields: Mapping[str, Any], video_url: str, read: Mapping[str, Any]
    ) -> Submission:
        """The submission; a video inside the request is put on disk, and only named in the row."""
        if not is_data_uri(video_url):
            return Submission(job_id, input=fields, **read)
        content = read_data_uri(video_url, self.settings.max_data_uri_bytes)
        await self.worker.spool.put(job_id, content, survives=read["pinned_to"] is None)
        return Submission(job_id, input={**fields, "video_url": echo(video_url)}, video=job_id, **read)

    async def _submit(self, submission: Submission, fingerprint: str) -> Job:
        try:
            job = await self.worker.submit(submission, fingerprint=fingerprint)
        except OmnireelError:
            self._drop_video(submission)
            raise
        except asyncio.CancelledError:
            if submission.pinned_to is not None:
                self.worker.abandon(submission.id)  # the row may have been written
            raise
        if job.id != submission.id:
            self._drop_video(submission)
        return job

    def _drop_video(self, submission: Submission) -> None:
        if submission.video is not None:
            self.worker.spool.remove(submission.video)


def _start_deadline(headers: Mapping[str, str]) -> float | None:
    """Seconds within which the work has to begin, as the caller wants it."""
    name = next((name for name in _START_DEADLINE_HEADERS if name in headers), None)
    if name is None:
        return None
    try:
        seconds = float(headers[name])
    except ValueError:
        seconds = math.nan
    if not math.isfinite(seconds) or seconds <= 0:
        raise _bad_request(f"{name} is not a number of seconds")
    return max(seconds, _MIN_START_DEADLINE_S)


def _priority(text: str) -> str:
    if text.lower() not in ("normal", "low"):
        raise _bad_request("x-fal-queue-priority is neither normal nor low")
    return text.lower()


def _idempotency_key(headers: Mapping[str, str]) -> str | None:
    key = next((headers[name] for name in _IDEMPOTENCY_HEADERS if name in headers), None)
    if key is not None and not 1 <= len(key) <= _MAX_KEY:
        raise _bad_request(f"the idempotency key has {len(key)} characters, limit {_MAX_KEY}")
    return key


def _keeps_io(text: str) -> bool:
    if text.lower() not in (*_YES, *_NO):
        raise _bad_request("x-fal-store-io is neither 0 nor 1")
    return text.lower() in _YES


def _bad_request(message: str) -> RequestError:
    return RequestError(message, error_type="bad_request", status=400)
