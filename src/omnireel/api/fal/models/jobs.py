"""The shapes of jobs and estimates, and the parameters of requests for them."""

from typing import Annotated, Any, Literal

from pydantic import Field

from omnireel.api.fal.output import ClipReport
from omnireel.api.http.wire_model import WireModel
from omnireel.net.urls import MAX_LENGTH


class JobLogLine(WireModel):
    """One line of a job's log."""

    message: str
    level: str
    source: str
    timestamp: str


class QueueStatus(WireModel):
    """The status of a job."""

    status: Literal["IN_QUEUE", "IN_PROGRESS", "COMPLETED"]
    request_id: str
    response_url: str | None = Field(default=None, description="Where the result is.")
    status_url: str | None = Field(default=None, description="Where this status is.")
    cancel_url: str | None = Field(default=None, description="Where the job can be cancelled.")
    queue_position: int | None = Field(default=None, ge=0, description="Jobs before it; only while it waits.")
    logs: list[JobLogLine] | None = Field(default=None, description="Empty unless the query says logs=1.")
    metrics: dict[str, Any] | None = Field(
        default=None, description="Time of the last attempt, and cost; only once the job has ended."
    )
    error: str | None = Field(default=None, description="Only if the job failed.")
    error_type: str | None = Field(default=None, description="Only if the job failed.")


class Cancellation(WireModel):
    """The result of a request to cancel a job."""

    status: str = Field(description="OK, CANCELLATION_REQUESTED or ALREADY_COMPLETED.")
    success: bool


class EstimatedUsage(WireModel):
    """Tokens that a run would use."""

    input_tokens: int
    max_output_tokens: int


class EstimatedVideo(ClipReport):
    """omnireel: the clip, and what would be used of it."""

    frame_indices: list[int] = Field(description="The frames of the clip that would be used, counted from 0.")


class ExpectedSeconds(WireModel):
    """How long the parts of a run take here; null where no measured speed is kept on this machine."""

    encoding: float | None = Field(description="To encode the frames, without reading the clip.")
    prefill: float | None = Field(description="To read the prompt.")
    each_token: float | None = Field(description="For each token of the answer.")


class Estimate(WireModel):
    """omnireel: the frames, tokens and price of a run."""

    video: EstimatedVideo
    usage: EstimatedUsage
    max_context: int = Field(description="Maximum number of tokens in prompt and answer together.")
    expected_s: ExpectedSeconds
    input_price_usd: float
    max_price_usd: float = Field(description="The price if the answer uses all of max_output_tokens.")


class InspectedFrame(WireModel):
    """omnireel: a frame that would be used."""

    index: int = Field(description="Counted from 0.")
    time_s: float
    width: int = Field(description="Of the picture, in pixels.")
    height: int
    picture: str = Field(description="A small PNG as a data: URI.")


class InspectedRun(Estimate):
    """omnireel: an estimate with pictures of the frames."""

    frames: list[InspectedFrame]
    sound_span_s: list[float] | None = Field(
        default=None,
        min_length=2,
        max_length=2,
        description="Begin and end of the sound that would be used, in seconds of the clip. Missing without sound.",
    )


class JobPath(WireModel):
    """The part of a path that names a job."""

    request_id: str = Field(min_length=1, description="As the response to the submission has it.")


class StatusQuery(WireModel):
    """Query parameters of a request for a status."""

    logs: str | None = Field(default=None, description="1: include the job's log.")


_IdempotencyKey = Annotated[str, Field(min_length=1, max_length=256)]


class RunHeaders(WireModel):
    """Headers of a request that runs a task."""

    timeout: float | None = Field(
        default=None,
        alias="x-fal-request-timeout",
        gt=0,
        description="Seconds within which the work has to begin.",
    )
    priority: Literal["normal", "low"] | None = Field(
        default=None, alias="x-fal-queue-priority", description="low: runs after all jobs of normal priority."
    )
    store_io: str | None = Field(
        default=None,
        alias="x-fal-store-io",
        description="0: delete the input when the job ends, and the answer an hour later.",
    )
    idempotency_key: _IdempotencyKey | None = Field(
        default=None, alias="idempotency-key", description="The same key and body again give the same job."
    )


class SubmitHeaders(RunHeaders):
    """Headers of a submission to the queue."""

    no_retry: str | None = Field(default=None, alias="x-fal-no-retry", description="1: only one attempt.")


_Url = Annotated[str, Field(max_length=MAX_LENGTH, json_schema_extra={"format": "uri"})]


class SubmitQuery(WireModel):
    """Query parameters of a submission to the queue."""

    fal_webhook: _Url | None = Field(
        default=None,
        description="Where a signed POST reports the job's end: an https address of the public internet, "
        "unless the operator allows others.",
    )
    fal_max_queue_length: int | None = Field(
        default=None,
        ge=0,
        le=999_999_999,
        description="Refuse the job with 429 if more jobs than this are waiting.",
    )
