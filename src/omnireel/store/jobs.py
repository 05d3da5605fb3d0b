"""A job: one request as the store knows it, from its submission to its stored answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal

Level = Literal["DEBUG", "INFO", "WARN", "ERROR"]


class State(StrEnum):
    """Where a job stands. queued → running → one of the rest; running may fall back to queued."""

    queued = "queued"
    running = "running"
    succeeded = "succeeded"
    failed = "failed"
    cancelled = "cancelled"

    @property
    def is_final(self) -> bool:
        """It has ended, and stays as it is."""
        return self not in (State.queued, State.running)


@dataclass(frozen=True)
class Submission:
    """What a caller asks for.

    id:               a UUID made by whoever submits
    owner:            whose it is; "" where nobody has to log in
    input:            the request's body
    video:            name of a file in the spool that stands for the body's video_url
    is_low:           waits behind every job that is not
    pinned_to:        the one worker that may run it, because its caller waits there
    start_deadline_s: seconds within which it has to begin
    max_queued:       refuse when more jobs are waiting already
    key_id:           the key it was sent with; "" where there are none
    reserved_micro:   most that it can cost, in millionths of a US dollar; counts where the key has a cap
    """

    id: str
    owner: str
    input: Mapping[str, Any]
    video: str | None = None
    is_low: bool = False
    pinned_to: str | None = None
    webhook_url: str | None = None
    keeps_io: bool = True
    retries: int = 9
    start_deadline_s: float | None = None
    max_queued: int | None = None
    idempotency_key: str | None = None
    key_id: str = ""
    reserved_micro: int = 0


@dataclass(frozen=True)
class Outcome:
    """The stored HTTP answer, and what it cost.

    status, headers, body: as the result route sends them, for ever
    error, error_type:     one line and a name where it failed
    """

    status: int
    body: Mapping[str, Any]
    headers: Mapping[str, str] = field(default_factory=dict)
    error: str | None = None
    error_type: str | None = None
    input_tokens: int = 0
    output_tokens: int = 0

    @property
    def state(self) -> State:
        """What a job with this outcome is called."""
        if self.error_type == "client_cancelled":
            return State.cancelled
        return State.succeeded if self.status < 400 else State.failed


@dataclass(frozen=True)
class Job:
    """A row of the store, as it was read."""

    id: str
    owner: str
    state: State
    pinned_to: str | None
    input: Mapping[str, Any]
    video: str | None
    webhook_url: str | None
    keeps_io: bool
    retries: int
    created_at: float
    started_at: float | None
    finished_at: float | None
    start_deadline_at: float | None
    attempt: int
    lease_token: int
    cancel_requested: bool
    outcome: Outcome | None


@dataclass(frozen=True)
class LogLine:
    """One line for the job's owner; number counts from 0 within the job."""

    number: int
    at: float
    level: Level
    message: str
