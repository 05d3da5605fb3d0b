"""Every JSON shape that crosses the wire; pydantic lives here, and in `wire_schema.py` beside it.

The official fields come first and keep their names, ranges and defaults. Ours come after them, are all
optional, and change nothing for a caller who does not send them.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator
from pydantic_core import ErrorDetails, PydanticCustomError

from omnireel.api.http.errors import BodyError, Problem, problem
from omnireel.backends.base import Answer, Ask, Inspection, MediaOptions, SamplingParams, SoundUse, VideoFacts
from omnireel.store.jobs import Job, LogLine, Outcome

APP_ID = "nvidia/nemotron-3-nano-omni"
ENDPOINT_ID = f"{APP_ID}/video"
USD_PER_UNIT = Decimal("0.006")
TOKENS_PER_UNIT = 1000
UNIT = f"{TOKENS_PER_UNIT} tokens"
MICRO_USD_PER_TOKEN = 6


class Nemotron3NanoOmniVideoInput(BaseModel):
    """A question about a video."""

    model_config = ConfigDict(strict=True, allow_inf_nan=False, extra="ignore")

    prompt: str = Field(min_length=1, description="The question or instruction about the video.")
    video_url: str = Field(
        min_length=1,
        description="The video: an https address, or a data: URI (data:video/mp4;base64,...); "
        "at most 2 minutes and 1080p.",
    )
    system_prompt: str | None = Field(
        None, description="The system message; when absent, the reasoning control token stands there."
    )
    reasoning_mode: Literal["no_think", "think"] = Field(
        "no_think", description="think: the chain of thought between <think> and </think>, then the answer."
    )
    max_tokens: int = Field(1024, ge=1, le=20_000, description="Most tokens the answer may have.")
    temperature: float = Field(0.7, ge=0, le=2, description="0 always takes the likeliest token.")
    top_p: float = Field(0.95, ge=0, le=1, description="Nucleus sampling: share of probability to draw from.")
    enable_safety_checker: bool = Field(True, description="Taken as the hosted endpoint does; has no effect.")

    seed: int | None = Field(
        None, ge=0, le=2**63 - 1, description="omnireel: the same seed and input give the same answer."
    )
    fps: float | None = Field(None, ge=0.01, le=120, description="omnireel: frames looked at per second.")
    max_frames: int | None = Field(None, ge=1, le=1024, description="omnireel: most frames looked at.")
    start_s: float | None = Field(None, ge=0, le=86_400, description="omnireel: look from this second on.")
    end_s: float | None = Field(None, ge=0, le=86_400, description="omnireel: look up to this second.")
    video_pruning_rate: float | None = Field(
        None, ge=0, lt=1, description="omnireel: share of the vision tokens to drop."
    )

    use_audio: bool | None = Field(
        None, description="omnireel: false leaves the clip's own sound out, where the model hears."
    )

    reasoning_budget: int | None = Field(
        None, ge=0, le=20_000, description="omnireel: most tokens of the chain of thought; only with think."
    )
    grace_period: int | None = Field(
        None,
        ge=0,
        le=20_000,
        description="omnireel: tokens beyond reasoning_budget to end a line in; 0 by default.",
    )

    @field_validator("reasoning_budget")
    @classmethod
    def _thinks(cls, budget: int | None, info: ValidationInfo) -> int | None:
        if budget is not None and info.data.get("reasoning_mode") != "think":
            raise PydanticCustomError("needs_think", "Input is only for reasoning_mode think")
        return budget

    @field_validator("grace_period")
    @classmethod
    def _has_a_budget(cls, grace: int | None, info: ValidationInfo) -> int | None:
        if grace is not None and info.data.get("reasoning_budget") is None:
            raise PydanticCustomError("needs_reasoning_budget", "Input is only beside reasoning_budget")
        return grace

    @field_validator("end_s")
    @classmethod
    def _ends_after_its_start(cls, end_s: float | None, info: ValidationInfo) -> float | None:
        start_s = info.data.get("start_s")
        if end_s is not None and start_s is not None and end_s <= start_s:
            raise PydanticCustomError("greater_than", "Input should be greater than start_s", {"gt": start_s})
        return end_s

    @property
    def media(self) -> MediaOptions:
        """How the clip is to be sampled."""
        return MediaOptions(
            self.fps, self.max_frames, self.start_s, self.end_s, self.video_pruning_rate, self.use_audio
        )

    @property
    def sampling(self) -> SamplingParams:
        """How tokens are to be chosen."""
        return SamplingParams(
            temperature=self.temperature,
            top_p=self.top_p,
            max_tokens=self.max_tokens,
            seed=self.seed,
            reasoning_budget=self.reasoning_budget,
            grace_period=self.grace_period or 0,
        )


class UsageInfo(BaseModel):
    """Tokens that were counted."""

    input_tokens: int = Field(
        description="Tokens of the prompt as fed to the model, kept video tokens included."
    )
    output_tokens: int = Field(description="Tokens generated, reasoning included.")


class VideoReport(BaseModel):
    """omnireel: what was looked at."""

    width: int
    height: int
    codec: str
    source_fps: float
    duration_s: float
    has_audio: bool
    audio: SoundUse
    audio_tokens: int
    frame_times_s: list[float]
    vision_tokens: int
    kept_tokens: int
    warnings: list[str]


class Nemotron3NanoOmniVideoOutput(BaseModel):
    """The answer."""

    output: str = Field(description="The generated text.")
    finish_reason: Literal["stop", "length"] = Field("stop", description="length: max_tokens was reached.")
    usage: UsageInfo
    reasoning: str | None = Field(None, description="omnireel: the chain of thought alone; only with think.")
    video: VideoReport | None = Field(
        None,
        description="omnireel: only when a sampling field was sent, or when there is something to warn of.",
    )


def parse_input(body: object) -> Nemotron3NanoOmniVideoInput:
    """The input that a decoded JSON body holds; raises BodyError with every problem in it."""
    try:
        return Nemotron3NanoOmniVideoInput.model_validate(body)
    except ValidationError as error:
        raise BodyError([_problem(details) for details in error.errors()]) from None


def _problem(details: ErrorDetails) -> Problem:
    kind, ctx = details["type"], details.get("ctx")
    extra = {"url": details["url"]} if "url" in details else {}
    if kind == "string_too_short":
        kind = "sequence_too_short"  # the name fal's error reference has for it
    item = problem(("body", *details["loc"]), details["msg"], kind, ctx=ctx, input=details["input"])
    return extra | item


def ignored_fields(body: Mapping[str, Any]) -> list[str]:
    """The fields of `body` that no part of the input schema knows."""
    return [name for name in body if name not in Nemotron3NanoOmniVideoInput.model_fields]


def to_ask(sent: Nemotron3NanoOmniVideoInput, video: Path) -> Ask:
    """The question that was sent, about the file `video`."""
    return Ask(
        video=video,
        prompt=sent.prompt,
        system_prompt=sent.system_prompt,
        thinking=sent.reasoning_mode == "think",
        sampling=sent.sampling,
        media=sent.media,
    )


def to_output(answer: Answer, media: MediaOptions) -> dict[str, Any]:
    """The answer's JSON: three official fields, then `reasoning` and `video` where they are called for."""
    usage = {"input_tokens": answer.input_tokens, "output_tokens": answer.output_tokens}
    output: dict[str, Any] = {
        "output": answer.output,
        "finish_reason": str(answer.finish_reason),
        "usage": usage,
    }
    if answer.reasoning is not None:
        output["reasoning"] = answer.reasoning
    if media != MediaOptions() or answer.video.warnings:
        output["video"] = video_report(answer.video)
    return output


def video_report(video: VideoFacts) -> dict[str, Any]:
    """What was looked at, as JSON."""
    return VideoReport(
        width=video.width,
        height=video.height,
        codec=video.codec,
        source_fps=video.source_fps,
        duration_s=video.duration_s,
        has_audio=video.has_audio,
        audio=video.sound,
        audio_tokens=video.num_sound_tokens,
        frame_times_s=list(video.frame_times_s),
        vision_tokens=video.num_vision_tokens,
        kept_tokens=video.num_kept_tokens,
        warnings=list(video.warnings),
    ).model_dump()


def inspection_report(inspection: Inspection) -> dict[str, Any]:
    """A dry run's JSON: what would be looked at, the tokens of the prompt and their price."""
    return {
        "video": video_report(inspection.video) | {"frame_indices": list(inspection.video.frame_indices)},
        "usage": {"input_tokens": inspection.input_tokens},
        "max_context": inspection.max_context,
        "input_price_usd": float(price_usd(inspection.input_tokens)),
    }


def estimate_report(inspection: Inspection, max_tokens: int) -> dict[str, Any]:
    """A dry run's JSON over HTTP: `inspection_report`, and the most that the answer can add."""
    most = min(max_tokens, inspection.max_context - inspection.input_tokens)
    report = inspection_report(inspection)
    report["usage"]["max_output_tokens"] = most
    return report | {"max_price_usd": float(price_usd(inspection.input_tokens + most))}


def billable_units(num_tokens: int) -> str:
    """Thousands of tokens as the header writes them: whole numbers bare, others with 8 decimals."""
    units, rest = divmod(num_tokens, TOKENS_PER_UNIT)
    return str(units) if rest == 0 else f"{Decimal(num_tokens) / TOKENS_PER_UNIT:.8f}"


def price_usd(num_tokens: int) -> Decimal:
    """What the hosted endpoint asks for so many tokens, in US dollars."""
    return USD_PER_UNIT * num_tokens / TOKENS_PER_UNIT


def log_line(line: LogLine) -> dict[str, str]:
    """A log line in a status."""
    at = datetime.fromtimestamp(line.at, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    return {"message": line.message, "level": line.level, "source": "USER", "timestamp": at}


def ending(job: Job) -> dict[str, Any]:
    """What a status says of a job that has ended: how long it took, what it cost, what went wrong."""
    if job.outcome is None:
        return {}
    num_tokens = job.outcome.input_tokens + job.outcome.output_tokens
    began, ended = job.started_at, job.finished_at
    metrics = {
        "inference_time": None if began is None or ended is None else round(ended - began, 3),
        "billable_units": float(billable_units(num_tokens)),
        "cost_usd": float(price_usd(num_tokens)),
    }
    if job.outcome.error is None:
        return {"metrics": metrics}
    return {"metrics": metrics, "error": job.outcome.error, "error_type": job.outcome.error_type}


def webhook_body(job_id: str, outcome: Outcome) -> bytes:
    """What a webhook is sent; the same bytes at every attempt, because they are signed."""
    num_tokens = outcome.input_tokens + outcome.output_tokens
    content = {
        "request_id": job_id,
        "gateway_request_id": job_id,
        "status": "OK" if outcome.status < 400 else "ERROR",
        "payload": outcome.body,
        "metrics": {
            "billable_units": float(billable_units(num_tokens)), "cost_usd": float(price_usd(num_tokens))
        },
    }  # fmt: skip
    if outcome.status >= 400:
        content["error"] = f"Invalid status code: {outcome.status}"
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode("utf-8")


def sse_event(content: Mapping[str, Any]) -> bytes:
    """One server-sent event. ASCII only: a client may cut a character of several bytes in two."""
    return f"data: {json.dumps(content, separators=(',', ':'))}\n\n".encode("ascii")
