"""A task and its outcome, in the words of no protocol. This module imports neither torch nor a web framework.

A protocol's request becomes a Task when it is read. A job stores that Task. A backend answers it with an Answer. The
job stores the Answer or a Failure, and the caller's protocol renders it when it is read.

They are stored as JSON with a version, so that later programs can read them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal

from omnireel.engine.params import FinishReason, SamplingParams
from omnireel.errors import (
    AttemptError,
    Cancelled,
    CapacityError,
    DeniedError,
    GenerationError,
    InputError,
    OmnireelError,
)

VERSION = 1
_MAX_SHOWN = 200

# What became of a clip's own sound. used: all of it; cut: used up to the limit on its length; absent: the clip has
# none; off: the task leaves it out; failed: it cannot be decoded; unheard: the model has no audio encoder.
SoundUse = Literal["used", "cut", "absent", "off", "failed", "unheard"]
MediaKind = Literal["video"]
Detail = Literal["low", "auto", "high"]
# waiting: for a model server that has room; it does not count as running time
Stage = Literal["video", "encoding", "vision tokens", "prompt", "waiting", "first token", "done"]


class Role(StrEnum):
    """The author of a message."""

    system = "system"
    user = "user"
    assistant = "assistant"


@dataclass(frozen=True)
class TextPart:
    """Text of a message."""

    text: str


@dataclass(frozen=True)
class MediaPart:
    """A clip that a message refers to.

    reference: an address, a data: URI, or a path, as the caller wrote it; a data: URI that was saved when the
               job was submitted is shortened, and the job names the saved file
    """

    reference: str
    kind: MediaKind = "video"


Part = TextPart | MediaPart


@dataclass(frozen=True)
class Message:
    """One turn of a conversation."""

    role: Role
    parts: tuple[Part, ...]

    @property
    def text(self) -> str:
        """Its text parts, joined."""
        return "".join(part.text for part in self.parts if isinstance(part, TextPart))


@dataclass(frozen=True)
class MediaOptions:
    """How a clip is sampled and reported. None takes the backend's default.

    fps:                frames chosen per second
    max_frames:         most frames chosen
    start_s, end_s:     only this part of the clip is used
    video_pruning_rate: share of vision tokens to drop, 0 ≤ rate < 1
    use_audio:          False leaves the clip's own sound out
    report_video:       True reports what was used of the clip, tubelet by tubelet
    detail:             how finely each frame is looked at; auto as the checkpoint says
    """

    fps: float | None = None
    max_frames: int | None = None
    start_s: float | None = None
    end_s: float | None = None
    video_pruning_rate: float | None = None
    use_audio: bool | None = None
    report_video: bool | None = None
    detail: Detail | None = None


@dataclass(frozen=True)
class Task:
    """A caller's question.

    endpoint: id of the endpoint that was called; its protocol renders the outcome
    messages: oldest first; () once the caller's content was dropped
    thinking: the model writes a chain of thought before its answer
    extra:    other fields of the caller's request, in its protocol's words; only shown to the caller again
    tenant:   whose it is, so that backends keep what they cache apart; set when a job runs, not stored with the task
    """

    endpoint: str
    messages: tuple[Message, ...]
    thinking: bool = False
    sampling: SamplingParams = field(default_factory=SamplingParams)
    media: MediaOptions = field(default_factory=MediaOptions)
    extra: Mapping[str, Any] = field(default_factory=dict)
    tenant: str | None = None

    @property
    def prompt(self) -> str:
        """The text of the last user message."""
        texts = [message.text for message in self.messages if message.role is Role.user]
        return texts[-1] if texts else ""

    @property
    def system_prompt(self) -> str | None:
        """The text of the system message; None if there is none."""
        texts = [message.text for message in self.messages if message.role is Role.system]
        return texts[0] if texts else None

    @property
    def references(self) -> tuple[str, ...]:
        """The references of its media parts, in order."""
        parts = [part for message in self.messages for part in message.parts]
        return tuple(part.reference for part in parts if isinstance(part, MediaPart))

    def without_content(self) -> Task:
        """The same task without content. The options stay, because they decide how an answer is rendered."""
        return dataclasses.replace(self, messages=(), extra={})

    def with_reference(self, reference: str) -> Task:
        """The same task with this reference in all media parts."""

        def changed(part: Part) -> Part:
            return dataclasses.replace(part, reference=reference) if isinstance(part, MediaPart) else part

        messages = tuple(
            dataclasses.replace(message, parts=tuple(map(changed, message.parts)))
            for message in self.messages
        )
        return dataclasses.replace(self, messages=messages)


def video_task(
    endpoint: str,
    *,
    prompt: str,
    video: str,
    system_prompt: str | None = None,
    thinking: bool = False,
    sampling: SamplingParams | None = None,
    media: MediaOptions | None = None,
) -> Task:
    """A task with one user message about one clip, after the system message if there is one. A blank one is none."""
    user = Message(Role.user, (MediaPart(video), TextPart(prompt)))
    system = []
    if system_prompt is not None and system_prompt.strip():
        system = [Message(Role.system, (TextPart(system_prompt),))]
    return Task(endpoint, (*system, user), thinking, sampling or SamplingParams(), media or MediaOptions())


@dataclass(frozen=True)
class VideoFacts:
    """Facts about a clip, and what was used of it.

    width, height:     in pixels, as displayed
    frame_indices:     source frames chosen, in order; empty in answers that version 0.1 stored
    frame_times_s:     their times in the container
    num_vision_tokens, num_kept_tokens: before and after pruning; 0 for a backend without vision
    sound, num_sound_tokens: whether the clip's own sound was used, and its tokens
    num_kept_per_tubelet: after pruning; () before anything was encoded, and for a backend without vision
    """

    width: int
    height: int
    codec: str
    source_fps: float
    duration_s: float
    has_audio: bool
    frame_indices: tuple[int, ...]
    frame_times_s: tuple[float, ...]
    num_vision_tokens: int
    num_kept_tokens: int
    warnings: tuple[str, ...] = ()
    sound: SoundUse = "unheard"
    num_sound_tokens: int = 0
    num_kept_per_tubelet: tuple[int, ...] = ()


@dataclass(frozen=True)
class Usage:
    """Tokens of the prompt that were read, and tokens of the output."""

    input_tokens: int = 0
    output_tokens: int = 0


@dataclass(frozen=True)
class Progress:
    """A log line for the caller.

    fraction: share of this stage that is done; None if it is not known
    usage:    the tokens so far; None before the model reads the prompt
    """

    stage: Stage
    message: str
    fraction: float | None = None
    usage: Usage | None = None


# Receives the progress of blocking work. Raises Cancelled once the result is not needed any more.
Report = Callable[[Progress], None]


@dataclass(frozen=True)
class FramePicture:
    """A small picture of a chosen frame.

    index, time_s: of the frame in the clip
    width, height: of the picture, in pixels
    """

    index: int
    time_s: float
    width: int
    height: int
    png: bytes


@dataclass(frozen=True)
class ExpectedTime:
    """How long the parts of a task will take, in seconds; None where this process has not measured it.

    token_s: of each token of the answer
    """

    encoding_s: float | None = None
    prefill_s: float | None = None
    token_s: float | None = None


@dataclass(frozen=True)
class Inspection:
    """What a task would use, found without inference.

    video:        without pictures, its frame times are index / frame rate, because no frame has been read
    input_tokens: tokens of the prompt as it would be fed to the model
    max_context:  most tokens of prompt and answer together
    sound_span_s: begin and end of the sound that would be used, in seconds of the clip; None for no sound
    pictures:     of the chosen frames, where they were asked for
    expected:     known only where the model has run on this machine
    """

    video: VideoFacts
    input_tokens: int
    max_context: int
    sound_span_s: tuple[float, float] | None = None
    pictures: tuple[FramePicture, ...] = ()
    expected: ExpectedTime = field(default_factory=ExpectedTime)


@dataclass(frozen=True)
class Answer:
    """The model's answer.

    output:       with thinking `<think>` chain of thought `</think>` answer, else the answer alone; a chain that was
                  cut by max_tokens has no `</think>`
    reasoning:    the chain of thought alone; None without thinking
    input_tokens: every token of the prompt as fed to the model, kept vision tokens included
    video:        None only in an answer that an older version stored without it
    """

    output: str
    reasoning: str | None
    finish_reason: FinishReason
    input_tokens: int
    output_tokens: int
    video: VideoFacts | None


@dataclass(frozen=True)
class Delta:
    """Text that is appended to the output; all deltas joined are `Answer.output`.

    usage: the tokens so far, those of this text included
    """

    text: str
    usage: Usage


Event = Progress | Delta | Answer


@dataclass(frozen=True)
class Failure:
    """Why a task has no answer.

    kind:    one of `errors`' kinds, or "cancelled", "not_started", "lost", "internal_server_error"
    message: one line for a person
    hint:    what to do about it, or None
    about:   the part of the input that is wrong, such as "media" or "prompt"; None: the request as a whole
    ctx:     limits and the values that broke them
    after_s: seconds after which to try again, if the server was full
    value:   what the caller sent in the part that is wrong, shortened; None where it is not known
    is_callers: whether the cause was the caller's input or choice, and not the server
    input_tokens, output_tokens: what is charged although there is no answer; 0 unless the task was cancelled
    """

    kind: str
    message: str
    hint: str | None = None
    about: str | None = None
    ctx: Mapping[str, Any] = field(default_factory=dict)
    after_s: float | None = None
    is_callers: bool = False
    value: Any = None
    input_tokens: int = 0
    output_tokens: int = 0


Outcome = Answer | Failure

CANCELLED = Failure("cancelled", "The request was cancelled.", is_callers=True)
LOST = Failure("lost", "The request was lost with its worker.")
NOT_STARTED = Failure("not_started", "The request did not start in time.")
# A bug of ours. The text says nothing else, because details must not reach callers.
INTERNAL = Failure("internal_server_error", "Internal Server Error")


def failure_of(error: OmnireelError, task: Task | None = None) -> Failure:
    """The Failure that is stored for a task that ended with `error`; task: None where the error came before it."""
    match error:
        case InputError():
            value = None if task is None or error.about is None else _value(task, error.about)
            return Failure(
                error.kind, error.message, error.hint, error.about, error.ctx, is_callers=True, value=value
            )
        case CapacityError():
            return Failure(
                error.kind, error.message, error.hint, after_s=error.after_s, is_callers=error.is_callers
            )
        case DeniedError():
            return Failure(error.kind, error.message, error.hint, is_callers=True)
        case GenerationError() | AttemptError():
            return Failure(error.kind, error.message, error.hint)
        case Cancelled():
            return CANCELLED
    return INTERNAL


def shortened(text: str) -> str:
    """A text that is fit to be shown: the begin of a long one, or the header of a long data: URI, and its length."""
    if len(text) <= _MAX_SHOWN:
        return text.encode("utf-8", "backslashreplace").decode("utf-8")
    shown = text[: text.find(",", 0, _MAX_SHOWN) + 1] if text[:5].lower() == "data:" else text[:_MAX_SHOWN]
    return f"{shortened(shown)}… ({len(text)} characters)"


def task_to_json(task: Task) -> dict[str, Any]:
    """The JSON that stores a task. `task_from_json` reads it."""
    stored = {
        "version": VERSION,
        "endpoint": task.endpoint,
        "messages": [
            {"role": str(message.role), "parts": [_part_to_json(part) for part in message.parts]}
            for message in task.messages
        ],
        "thinking": task.thinking,
        "sampling": _fields_to_store(task.sampling),
        "media": _fields_to_store(task.media),
    }
    return stored | {"extra": dict(task.extra)} if task.extra else stored


def task_from_json(stored: Mapping[str, Any]) -> Task:
    """The task that `task_to_json` wrote. Raises OmnireelError for another version."""
    _check_version(stored)
    return Task(
        endpoint=stored["endpoint"],
        messages=tuple(
            Message(Role(message["role"]), tuple(_part_from_json(part) for part in message["parts"]))
            for message in stored["messages"]
        ),
        thinking=stored["thinking"],
        sampling=SamplingParams(**stored["sampling"]),
        media=MediaOptions(**stored["media"]),
        extra=stored.get("extra", {}),
    )


def outcome_to_json(outcome: Outcome) -> dict[str, Any]:
    """The JSON that stores an outcome. `outcome_from_json` reads it."""
    # `vars` and not `dataclasses.asdict`, which copies deeply and is slow: this runs for every job.
    if isinstance(outcome, Answer):
        video = None if outcome.video is None else vars(outcome.video)
        return {"version": VERSION, "answer": vars(outcome) | {"video": video}}
    return {"version": VERSION, "failure": dict(vars(outcome))}


def outcome_from_json(stored: Mapping[str, Any]) -> Outcome:
    """The outcome that `outcome_to_json` wrote. Raises OmnireelError for another version."""
    _check_version(stored)
    if "failure" in stored:
        return Failure(**stored["failure"])
    answer = dict(stored["answer"])
    answer["finish_reason"] = FinishReason(answer["finish_reason"])
    answer["video"] = None if answer["video"] is None else _facts_from_json(answer["video"])
    return Answer(**answer)


def _check_version(stored: Mapping[str, Any]) -> None:
    if stored["version"] != VERSION:
        raise OmnireelError(
            f"A stored task or outcome has version {stored['version']}. This program reads only version {VERSION}.",
            hint="Run the version of omnireel that stored it, or a newer one.",
        )


def _value(task: Task, about: str) -> Any:  # noqa: ANN401  # a text or a number
    if about == "media" and task.references:
        return shortened(task.references[0])
    if about == "prompt" and task.messages:
        return shortened(task.prompt)
    return getattr(task.media, about, None)


def _part_to_json(part: Part) -> dict[str, str]:
    if isinstance(part, TextPart):
        return {"text": part.text}
    return {"media": part.kind, "reference": part.reference}


def _part_from_json(stored: Mapping[str, str]) -> Part:
    if "text" in stored:
        return TextPart(stored["text"])
    return MediaPart(stored["reference"], kind="video")


def _fields_to_store(options: SamplingParams | MediaOptions) -> dict[str, Any]:
    """The fields to store: all sampling fields, and the media options that are not None.

    A later version may change the defaults of sampling. Stored tasks must not change with them.
    """
    if isinstance(options, SamplingParams):
        return dict(vars(options))
    return {name: value for name, value in vars(options).items() if value is not None}


def _facts_from_json(stored: Mapping[str, Any]) -> VideoFacts:
    names = ("frame_indices", "frame_times_s", "warnings", "num_kept_per_tubelet")
    lists = {name: tuple(stored[name]) for name in names if name in stored}
    return VideoFacts(**{**stored, **lists})
