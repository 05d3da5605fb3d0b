"""A task and its outcome, in the words of no protocol.

A protocol's request becomes a Task when it is read; a job stores that Task; a backend answers it with an Answer;
the job stores the Answer, or the Failure, and the caller's protocol renders it when it is read. Free of torch
and of web frameworks.

Stored as JSON with a version, so that a later program can read what this one wrote.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal

from omnireel.engine.params import FinishReason, SamplingParams
from omnireel.errors import (
    Cancelled,
    CapacityError,
    DeniedError,
    GenerationError,
    InputError,
    OmnireelError,
)

VERSION = 1

# used; cut: used up to the limit on its length; absent: the clip has no sound track; off: the task does not want
# it; failed: the track cannot be decoded; unheard: the model has no audio encoder.
SoundUse = Literal["used", "cut", "absent", "off", "failed", "unheard"]
MediaKind = Literal["video"]
Stage = Literal["video", "encoding", "vision tokens", "first token", "done"]


class Role(StrEnum):
    """Who speaks in a message."""

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
    """How a clip is sampled; None takes the backend's default.

    fps:                frames looked at per second
    start_s, end_s:     only this part of the clip is looked at
    video_pruning_rate: share of vision tokens to drop, 0 ≤ rate < 1
    use_audio:          False leaves the clip's own sound out
    """

    fps: float | None = None
    max_frames: int | None = None
    start_s: float | None = None
    end_s: float | None = None
    video_pruning_rate: float | None = None
    use_audio: bool | None = None


@dataclass(frozen=True)
class Task:
    """What a caller wants to know.

    endpoint: which endpoint was called; its protocol renders the outcome
    messages: oldest first; () once the caller's content has been dropped
    thinking: the model writes a chain of thought before its answer
    """

    endpoint: str
    messages: tuple[Message, ...]
    thinking: bool = False
    sampling: SamplingParams = field(default_factory=SamplingParams)
    media: MediaOptions = field(default_factory=MediaOptions)

    @property
    def prompt(self) -> str:
        """The text of the last user message."""
        texts = [message.text for message in self.messages if message.role is Role.user]
        return texts[-1] if texts else ""

    @property
    def system_prompt(self) -> str | None:
        """The text of the system message; None where there is none."""
        texts = [message.text for message in self.messages if message.role is Role.system]
        return texts[0] if texts else None

    @property
    def references(self) -> tuple[str, ...]:
        """What its media parts refer to, in order."""
        parts = [part for message in self.messages for part in message.parts]
        return tuple(part.reference for part in parts if isinstance(part, MediaPart))

    def without_content(self) -> Task:
        """The same task without what its caller wrote: the options stay, since an answer is rendered by them."""
        return dataclasses.replace(self, messages=())

    def with_reference(self, reference: str) -> Task:
        """The same task whose media parts all have this reference."""

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
    """One user message about one clip, after a system message where there is one."""
    user = Message(Role.user, (MediaPart(video), TextPart(prompt)))
    system = () if system_prompt is None else (Message(Role.system, (TextPart(system_prompt),)),)
    return Task(endpoint, (*system, user), thinking, sampling or SamplingParams(), media or MediaOptions())


@dataclass(frozen=True)
class VideoFacts:
    """What was seen of a clip.

    width, height:     in pixels, as displayed
    frame_indices:     source frames chosen, in order; empty in answers that version 0.1 stored
    frame_times_s:     their times in the container
    num_vision_tokens, num_kept_tokens: before and after pruning; 0 where the backend has no vision
    sound, num_sound_tokens: what became of the clip's own sound
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


@dataclass(frozen=True)
class Progress:
    """A log line for the caller; fraction: how much of this stage is done, None where it is not known."""

    stage: Stage
    message: str
    fraction: float | None = None


# Takes the progress of blocking work; raises Cancelled once the result is not needed any more.
Report = Callable[[Progress], None]


@dataclass(frozen=True)
class Inspection:
    """What a task would cost, found without inference.

    video: frame times are index / frame rate here, since no frame has been read
    input_tokens: tokens of the prompt as it would be fed to the model
    max_context:  most tokens of prompt and answer together
    """

    video: VideoFacts
    input_tokens: int
    max_context: int


@dataclass(frozen=True)
class Answer:
    """What the model wrote.

    output:       with thinking `<think>` chain `</think>` answer, else the answer alone; a chain that was cut by
                  max_tokens has no `</think>`
    reasoning:    the chain alone; None without thinking
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
    """Text that is appended to the output; all deltas joined are `Answer.output`."""

    text: str


Event = Progress | Delta | Answer


@dataclass(frozen=True)
class Failure:
    """Why a task has no answer.

    kind:    one of `errors`' kinds, or "cancelled", "not_started", "lost", "internal_server_error"
    message: one line for a person
    hint:    what to do about it, or None
    about:   the part of the input that is to blame, such as "media" or "prompt"; None: the request as a whole
    ctx:     limits and the values that broke them
    after_s: for kinds of a full server: seconds until it is sensible to try again
    is_callers: whether the caller's input or wish was the reason, not the server
    """

    kind: str
    message: str
    hint: str | None = None
    about: str | None = None
    ctx: Mapping[str, Any] = field(default_factory=dict)
    after_s: float | None = None
    is_callers: bool = False


Outcome = Answer | Failure

CANCELLED = Failure("cancelled", "The request was cancelled.", is_callers=True)
LOST = Failure("lost", "The request was lost with its worker.")
NOT_STARTED = Failure("not_started", "The request did not start in time.")
# The fault is ours: it tells nothing of what happened.
INTERNAL = Failure("internal_server_error", "Internal Server Error")


def failure_of(error: OmnireelError) -> Failure:
    """What is stored of a task that ended with `error`."""
    match error:
        case InputError():
            return Failure(error.kind, error.message, error.hint, error.about, error.ctx, is_callers=True)
        case CapacityError():
            return Failure(error.kind, error.message, error.hint, after_s=error.after_s, is_callers=True)
        case DeniedError():
            return Failure(error.kind, error.message, error.hint, is_callers=True)
        case GenerationError():
            return Failure(error.kind, error.message, error.hint)
        case Cancelled():
            return CANCELLED
    return INTERNAL


def task_to_json(task: Task) -> dict[str, Any]:
    """The stored form of a task; `task_from_json` reads it."""
    return {
        "version": VERSION,
        "endpoint": task.endpoint,
        "messages": [
            {"role": str(message.role), "parts": [_part_to_json(part) for part in message.parts]}
            for message in task.messages
        ],
        "thinking": task.thinking,
        "sampling": _given(task.sampling),
        "media": _given(task.media),
    }


def task_from_json(stored: Mapping[str, Any]) -> Task:
    """The task that `task_to_json` wrote. Raises OmnireelError for a version that is not known here."""
    if stored["version"] != VERSION:
        raise OmnireelError(
            f"A stored task has version {stored['version']}, this program knows version {VERSION}.",
            hint="Run the newer version of omnireel that stored it.",
        )
    return Task(
        endpoint=stored["endpoint"],
        messages=tuple(
            Message(Role(message["role"]), tuple(_part_from_json(part) for part in message["parts"]))
            for message in stored["messages"]
        ),
        thinking=stored["thinking"],
        sampling=SamplingParams(**stored["sampling"]),
        media=MediaOptions(**stored["media"]),
    )


def outcome_to_json(outcome: Outcome) -> dict[str, Any]:
    """The stored form of an outcome; `outcome_from_json` reads it."""
    # `vars`, and not `dataclasses.asdict`, which copies deeply: this is done for every job.
    if isinstance(outcome, Answer):
        video = None if outcome.video is None else vars(outcome.video)
        return {"version": VERSION, "answer": vars(outcome) | {"video": video}}
    return {"version": VERSION, "failure": dict(vars(outcome))}


def outcome_from_json(stored: Mapping[str, Any]) -> Outcome:
    """The outcome that `outcome_to_json` wrote."""
    if "failure" in stored:
        return Failure(**stored["failure"])
    answer = dict(stored["answer"])
    answer["finish_reason"] = FinishReason(answer["finish_reason"])
    answer["video"] = None if answer["video"] is None else _facts_from_json(answer["video"])
    return Answer(**answer)


def _part_to_json(part: Part) -> dict[str, str]:
    if isinstance(part, TextPart):
        return {"text": part.text}
    return {"media": part.kind, "reference": part.reference}


def _part_from_json(stored: Mapping[str, str]) -> Part:
    if "text" in stored:
        return TextPart(stored["text"])
    return MediaPart(stored["reference"], kind="video")


def _given(options: SamplingParams | MediaOptions) -> dict[str, Any]:
    """The fields that differ from their defaults, except that sampling fields are always written.

    A default may change with a later version, and an old task must not change with it.
    """
    if isinstance(options, SamplingParams):
        return dict(vars(options))
    return {name: value for name, value in vars(options).items() if value is not None}


def _facts_from_json(stored: Mapping[str, Any]) -> VideoFacts:
    lists = {name: tuple(stored[name]) for name in ("frame_indices", "frame_times_s", "warnings")}
    return VideoFacts(**{**stored, **lists})
