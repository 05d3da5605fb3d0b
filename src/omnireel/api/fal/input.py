"""The request body of the endpoint, and the task that it becomes.

The official fields come first and keep their names, order, ranges and defaults. The fields that only omnireel has come
after them. All of these are optional, and a caller who does not send them gets the official behaviour.

Values are read as pydantic reads them by default, because the hosted endpoint does so (decision 6).
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import ErrorDetails, PydanticCustomError

from omnireel.api.http.errors import BodyError, Problem, echo, problem
from omnireel.engine.params import (
    ANY_SEED,
    MAX_OUTPUT_TOKENS,
    MAX_SEED,
    MAX_TEMPERATURE,
    MAX_TOP_P,
    SamplingParams,
)
from omnireel.task import MediaOptions, Task, shortened, video_task

APP_ID = "nvidia/nemotron-3-nano-omni"
ENDPOINT_ID = f"{APP_ID}/video"
_DEFAULTS = SamplingParams()
# Beyond this, fields that the task has no place for are kept shortened.
_MAX_EXTRA, _MAX_EXTRA_FIELDS = 64 * 1024, 100
_PER_VALUE = 8
# The required fields: every task has a place for them.
_ALWAYS_DESCRIBED = frozenset({"prompt", "video_url"})


class Nemotron3NanoOmniVideoInput(BaseModel):
    """A question about a video.

    An optional field that is null counts as not given. A number or a boolean may be written as text, such as "0.7".
    """

    # Every number needs a range with two ends: no range has NaN or infinity in it, which "nan" and "inf" are read as.
    model_config = ConfigDict(extra="ignore")

    prompt: str = Field(description="The question or instruction about the video.")
    system_prompt: str | None = Field(
        None,
        description="The system message. Without one, or with a blank one, the model gets /think or /no_think, as "
        "reasoning_mode says.",
    )
    reasoning_mode: Literal["think", "no_think"] = Field(
        "no_think",
        description="think: the output has the chain of thought between <think> and </think>, then the answer.",
    )
    max_tokens: int = Field(
        _DEFAULTS.max_tokens,
        ge=1,
        le=MAX_OUTPUT_TOKENS,
        description="Maximum number of tokens in the answer.",
    )
    temperature: float = Field(
        _DEFAULTS.temperature, ge=0, le=MAX_TEMPERATURE, description="0 always takes the likeliest token."
    )
    top_p: float = Field(
        _DEFAULTS.top_p,
        ge=0,
        le=MAX_TOP_P,
        description="Nucleus sampling: the share of probability to draw from.",
    )
    video_url: str = Field(
        description="The video: an https address, the address of an uploaded file, or a data: URI "
        "(data:video/mp4;base64,...); "
        "at most 2 minutes and 1080p.",
    )
    enable_safety_checker: bool = Field(
        True, description="Accepted as by the hosted endpoint; has no effect."
    )

    seed: int | None = Field(
        None,
        ge=-1,
        le=MAX_SEED,
        description="omnireel: the same seed and input give the same answer; -1 chooses one, as without a seed.",
    )
    fps: float | None = Field(None, ge=0.01, le=120, description="omnireel: frames chosen per second.")
    max_frames: int | None = Field(None, ge=1, le=1024, description="omnireel: most frames chosen.")
    start_s: float | None = Field(
        None, ge=0, le=86_400, description="omnireel: use the clip from this second on."
    )
    end_s: float | None = Field(
        None, ge=0, le=86_400, description="omnireel: use the clip up to this second."
    )
    video_pruning_rate: float | None = Field(
        None, ge=0, lt=1, description="omnireel: share of the vision tokens to drop."
    )

    use_audio: bool | None = Field(
        None, description="omnireel: false leaves the clip's own sound out; for models with an audio encoder."
    )

    report_video: bool | None = Field(
        None,
        description="omnireel: true adds video to the answer, with the number of vision tokens that were kept of each "
        "tubelet.",
    )

    detail: Literal["low", "auto", "high"] | None = Field(
        None,
        description="omnireel: patches that each frame is cut into. auto: as many as the model was made for; low: a "
        "quarter of them, with fewer tokens and less time; high: four times as many, which may show more of small "
        "text but is not what models were trained with.",
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
        description="omnireel: most tokens beyond reasoning_budget, so that a line can end; 0 by default.",
    )

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, body: object) -> object:
        """The body without optional fields that are null."""
        if not isinstance(body, dict) or None not in body.values():
            return body
        return {name: value for name, value in body.items() if value is not None or name in _ALWAYS_DESCRIBED}

    @field_validator("reasoning_budget")
    @classmethod
    def _needs_thinking(cls, budget: int | None, info: ValidationInfo) -> int | None:
        if budget is not None and info.data.get("reasoning_mode") != "think":
            raise PydanticCustomError("needs_think", "Input is allowed only with reasoning_mode think")
        return budget

    @field_validator("grace_period")
    @classmethod
    def _needs_reasoning_budget(cls, grace: int | None, info: ValidationInfo) -> int | None:
        if grace is not None and info.data.get("reasoning_budget") is None:
            raise PydanticCustomError(
                "needs_reasoning_budget", "Input is allowed only together with reasoning_budget"
            )
        return grace

    @field_validator("end_s")
    @classmethod
    def _ends_after_its_start(cls, end_s: float | None, info: ValidationInfo) -> float | None:
        start_s = info.data.get("start_s")
        if end_s is not None and start_s is not None and end_s <= start_s:
            raise PydanticCustomError("greater_than", "Input should be greater than start_s", {"gt": start_s})
        return end_s


def parse_input(body: object) -> Nemotron3NanoOmniVideoInput:
    """The input in a parsed JSON body; None for an empty one. Raises BodyError with every problem in it."""
    if body is None:
        raise BodyError([problem(("body",), "Field required", "missing", input=None)])
    try:
        # As FastAPI does it, so that what is no object has its error type.
        return Nemotron3NanoOmniVideoInput.model_validate(body, from_attributes=True)
    except ValidationError as error:
        raise BodyError([_problem(details) for details in error.errors()]) from None


def _problem(details: ErrorDetails) -> Problem:
    extra = {"url": details["url"]} if "url" in details else {}
    loc = ("body", *details["loc"])
    return extra | problem(
        loc, details["msg"], details["type"], ctx=details.get("ctx"), input=details["input"]
    )


def ignored_fields(body: Mapping[str, Any]) -> list[str]:
    """The names in `body` that are not fields of the input schema."""
    return [name for name in body if name not in Nemotron3NanoOmniVideoInput.model_fields]


def to_task(sent: Nemotron3NanoOmniVideoInput, body: Mapping[str, Any]) -> Task:
    """The task that the input describes; body: the decoded JSON that `sent` was read from."""
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
            seed=None if sent.seed == ANY_SEED else sent.seed,
            reasoning_budget=sent.reasoning_budget,
            grace_period=sent.grace_period or 0,
        ),
        media=MediaOptions(
            fps=sent.fps,
            max_frames=sent.max_frames,
            start_s=sent.start_s,
            end_s=sent.end_s,
            video_pruning_rate=sent.video_pruning_rate,
            use_audio=sent.use_audio,
            report_video=sent.report_video
            or None,  # false is the same as nothing, and leaves the answer as it is
            detail=sent.detail,
        ),
    )
    if body.keys() <= _ALWAYS_DESCRIBED:
        return task
    described = to_fields(task)
    extra = {name: value for name, value in body.items() if name not in described}
    if _num_characters(extra) > _MAX_EXTRA:  # it is stored, and only shown again
        extra = {shortened(name): echo(value) for name, value in list(extra.items())[:_MAX_EXTRA_FIELDS]}
    return dataclasses.replace(task, extra=extra) if extra else task


def _num_characters(root: object) -> int:
    """Characters of all texts in a JSON value, and some for each value."""
    waiting, count = [root], 0
    while waiting:
        value = waiting.pop()
        count += _PER_VALUE
        if isinstance(value, str):
            count += len(value)
        elif isinstance(value, dict):
            waiting += [*value.keys(), *value.values()]
        elif isinstance(value, list):
            waiting += value
    return count


def to_fields(task: Task) -> dict[str, Any]:
    """The request body that describes `task`.

    Fields that the task has no place for are in its `extra`: unknown fields, and fields that were sent with their
    default values.
    """
    fields = {
        "prompt": task.prompt,
        "system_prompt": task.system_prompt,
        "reasoning_mode": "think" if task.thinking else None,
        "video_url": task.references[0],
        **{name: value for name, value in vars(task.sampling).items() if value != getattr(_DEFAULTS, name)},
        **vars(task.media),
    }
    return {name: value for name, value in fields.items() if value is not None} | dict(task.extra)
