"""The request body of the endpoint, and the task that it becomes.

The official fields come first and keep their names, ranges and defaults. Ours come after them, are all optional,
and change nothing for a caller who does not send them.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator
from pydantic_core import ErrorDetails, PydanticCustomError

from omnireel.api.http.errors import BodyError, Problem, problem
from omnireel.engine.params import MAX_OUTPUT_TOKENS, MAX_SEED, MAX_TEMPERATURE, SamplingParams
from omnireel.task import MediaOptions, Task, video_task

APP_ID = "nvidia/nemotron-3-nano-omni"
ENDPOINT_ID = f"{APP_ID}/video"
_DEFAULTS = SamplingParams()


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
    max_tokens: int = Field(
        _DEFAULTS.max_tokens, ge=1, le=MAX_OUTPUT_TOKENS, description="Most tokens the answer may have."
    )
    temperature: float = Field(
        _DEFAULTS.temperature, ge=0, le=MAX_TEMPERATURE, description="0 always takes the likeliest token."
    )
    top_p: float = Field(
        _DEFAULTS.top_p, ge=0, le=1, description="Nucleus sampling: share of probability to draw from."
    )
    enable_safety_checker: bool = Field(True, description="Taken as the hosted endpoint does; has no effect.")

    seed: int | None = Field(
        None, ge=0, le=MAX_SEED, description="omnireel: the same seed and input give the same answer."
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
        None,
        ge=0,
        le=MAX_OUTPUT_TOKENS,
        description="omnireel: most tokens of the chain of thought; only with think.",
    )
    grace_period: int | None = Field(
        None,
        ge=0,
        le=MAX_OUTPUT_TOKENS,
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


def to_task(sent: Nemotron3NanoOmniVideoInput, body: Mapping[str, Any]) -> Task:
    """The task that was sent; body: what `sent` was read from."""
    task = video_task(
        ENDPOINT_ID,
        prompt=sent.prompt,
        video=sent.video_url,
        system_prompt=sent.system_prompt,
        thinking=sent.reasoning_mode == "think",
        sampling=SamplingParams(
            temperature=sent.temperature,
            top_p=sent.top_p,
            max_tokens=sent.max_tokens,
            seed=sent.seed,
            reasoning_budget=sent.reasoning_budget,
            grace_period=sent.grace_period or 0,
        ),
        media=MediaOptions(
            sent.fps, sent.max_frames, sent.start_s, sent.end_s, sent.video_pruning_rate, sent.use_audio
        ),
    )
    known = to_fields(task)
    return dataclasses.replace(task, extra={name: body[name] for name in body if name not in known})


def to_fields(task: Task) -> dict[str, Any]:
    """The fields of the body that a task was sent with.

    Those that have no other place in a task are in its `extra`: unknown ones, and those that were sent with
    the value that they have by default.
    """
    fields = {
        "prompt": task.prompt,
        "video_url": task.references[0],
        "system_prompt": task.system_prompt,
        "reasoning_mode": "think" if task.thinking else None,
        **{name: value for name, value in vars(task.sampling).items() if value != getattr(_DEFAULTS, name)},
        **vars(task.media),
    }
    return {name: value for name, value in fields.items() if value is not None} | dict(task.extra)
