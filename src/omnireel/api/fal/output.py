"""The endpoint's output: outcomes as responses, in a job's status, and as the bodies of webhooks."""

import base64
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import BaseModel, Field

from omnireel.api.fal.errors import Rendered, render_failure
from omnireel.api.fal.prices import MICRO_USD_PER_TOKEN, billable_units, price_usd
from omnireel.settings import Settings
from omnireel.store.jobs import EndPolicy, Job, JobStatus, LogLine
from omnireel.task import (
    CANCELLED,
    LOST,
    NOT_STARTED,
    Answer,
    Failure,
    Inspection,
    MediaOptions,
    Outcome,
    SoundUse,
    Task,
    VideoFacts,
)


class UsageInfo(BaseModel):
    """The tokens of a run."""

    input_tokens: int = Field(
        description="Tokens of the prompt as fed to the model, kept video tokens included."
    )
    output_tokens: int = Field(description="Tokens generated, reasoning included.")


class TubeletReport(BaseModel):
    """omnireel: consecutive frames that the model sees together, and the tokens it reads of them."""

    num_frames: int = Field(description="How many of frame_times_s; the tubelets have them in order.")
    vision_tokens: int = Field(description="Before pruning.")
    kept_tokens: int = Field(description="After pruning.")


class ClipReport(BaseModel):
    """omnireel: the clip, and what is used of it."""

    width: int
    height: int
    codec: str
    source_fps: float
    duration_s: float
    has_audio: bool
    audio: SoundUse = Field(
        description="What became of the sound. used: all of it was used; cut: used up to the limit on its length; "
        "absent: the clip has none; off: use_audio is false; failed: it cannot be decoded; unheard: the model has "
        "no audio encoder."
    )
    audio_tokens: int
    frame_times_s: list[float]
    vision_tokens: int
    kept_tokens: int
    warnings: list[str]


class VideoReport(ClipReport):
    """omnireel: the clip, and what was used of it."""

    tubelets: list[TubeletReport] | None = Field(
        default=None, description="Only in an answer, with report_video."
    )


class Nemotron3NanoOmniVideoOutput(BaseModel):
    """The answer."""

    output: str = Field(description="The generated text.")
    finish_reason: Literal["stop", "length"] = Field("stop", description="length: max_tokens was reached.")
    usage: UsageInfo
    reasoning: str | None = Field(None, description="omnireel: the chain of thought alone; only with think.")
    video: VideoReport | None = Field(
        None,
        description="omnireel: only if a field about the clip was sent, or if there is a warning.",
    )


def render(outcome: Outcome, task: Task) -> Rendered:
    """An outcome as an HTTP response."""
    if isinstance(outcome, Failure):
        return render_failure(outcome)
    units = billable_units(outcome.input_tokens + outcome.output_tokens)
    return Rendered(200, to_output(outcome, task.media), {"x-fal-billable-units": units})


def to_output(answer: Answer, media: MediaOptions) -> dict[str, Any]:
    """The answer's JSON: three official fields, then `reasoning` and `video` if the request called for them."""
    usage = {"input_tokens": answer.input_tokens, "output_tokens": answer.output_tokens}
    output: dict[str, Any] = {
        "output": answer.output,
        "finish_reason": str(answer.finish_reason),
        "usage": usage,
    }
    if answer.reasoning is not None:
        output["reasoning"] = answer.reasoning
    if answer.video is not None and (media != MediaOptions() or answer.video.warnings):
        output["video"] = video_report(answer.video)
        if media.report_video:
            output["video"]["tubelets"] = list(tubelet_reports(answer.video))
    return output


def video_report(video: VideoFacts) -> dict[str, Any]:
    """The JSON of a `VideoReport`."""
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
    ).model_dump(exclude_unset=True)


def tubelet_reports(video: VideoFacts) -> Iterator[dict[str, int]]:
    """The JSON of each tubelet's `TubeletReport`, in order; nothing for a backend without vision."""
    num_frames, num_tubelets = len(video.frame_times_s), len(video.num_kept_per_tubelet)
    per_tubelet = -(-num_frames // max(num_tubelets, 1))
    for index, num_kept in enumerate(video.num_kept_per_tubelet):
        yield {
            "num_frames": min(per_tubelet, num_frames - index * per_tubelet),
            "vision_tokens": video.num_vision_tokens // num_tubelets,
            "kept_tokens": num_kept,
        }


def inspection_report(inspection: Inspection) -> dict[str, Any]:
    """The JSON of a dry run: the frames that would be chosen, the tokens of the prompt and their price.

    The expected times are null where no measured speed is kept on this machine.
    """
    return {
        "video": video_report(inspection.video) | {"frame_indices": list(inspection.video.frame_indices)},
        "usage": {"input_tokens": inspection.input_tokens},
        "max_context": inspection.max_context,
        "expected_s": {
            "encoding": inspection.expected.encoding_s,
            "prefill": inspection.expected.prefill_s,
            "each_token": inspection.expected.token_s,
        },
        "input_price_usd": float(price_usd(inspection.input_tokens)),
    }


def estimate_report(inspection: Inspection, max_tokens: int) -> dict[str, Any]:
    """The JSON of a dry run over HTTP: `inspection_report`, and the most tokens and the highest price of a run."""
    max_output_tokens = min(max_tokens, inspection.max_context - inspection.input_tokens)
    report = inspection_report(inspection)
    report["usage"]["max_output_tokens"] = max_output_tokens
    return report | {"max_price_usd": float(price_usd(inspection.input_tokens + max_output_tokens))}


def picture_report(inspection: Inspection, max_tokens: int) -> dict[str, Any]:
    """The JSON of a dry run with pictures: `estimate_report`, the chosen frames and the span of the sound."""
    report = estimate_report(inspection, max_tokens)
    report["frames"] = [
        {
            "index": picture.index,
            "time_s": picture.time_s,
            "width": picture.width,
            "height": picture.height,
            "picture": f"data:image/png;base64,{base64.b64encode(picture.png).decode('ascii')}",
        }
        for picture in inspection.pictures
    ]
    if inspection.sound_span_s is not None:
        report["sound_span_s"] = list(inspection.sound_span_s)
    return report


def log_line(line: LogLine) -> dict[str, str]:
    """A log line in a status."""
    at = datetime.fromtimestamp(line.at, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    return {"message": line.message, "level": line.level, "source": "USER", "timestamp": at}


def end_fields(job: Job | JobStatus) -> dict[str, Any]:
    """The fields that a status has once the job has ended: its duration, its cost, and its error if it failed."""
    if not job.state.is_final:
        return {}
    started, finished = job.started_at, job.finished_at
    metrics = {
        "inference_time": None
        if started is None or finished is None
        else round(max(0.0, finished - started), 3),
        "billable_units": float(billable_units(job.num_tokens)),
        "cost_usd": float(price_usd(job.num_tokens)),
    }
    if job.failure is None:
        return {"metrics": metrics}
    error = render_failure(job.failure)
    return {"metrics": metrics, "error": error.message, "error_type": error.error_type}


def end_policy(settings: Settings) -> EndPolicy:
    """How the store ends jobs of this endpoint, what they cost, and the bodies of their webhooks."""
    return EndPolicy(
        CANCELLED,
        NOT_STARTED,
        LOST,
        webhook_body=webhook_body,
        micro_per_token=MICRO_USD_PER_TOKEN,
        max_crashes=settings.max_crashes,
    )


def webhook_body(job_id: str, task: Task, outcome: Outcome) -> bytes:
    """The body of a job's webhook. It is signed, so it is stored and every attempt sends the same bytes."""
    rendered = render(outcome, task)
    num_tokens = outcome.input_tokens + outcome.output_tokens
    content = {
        "request_id": job_id,
        "gateway_request_id": job_id,
        "status": "OK" if rendered.status < 400 else "ERROR",
        "payload": rendered.body,
        "metrics": {
            "billable_units": float(billable_units(num_tokens)), "cost_usd": float(price_usd(num_tokens))
        },
    }  # fmt: skip
    if rendered.status >= 400:
        content["error"] = f"Invalid status code: {rendered.status}"
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode("utf-8")
