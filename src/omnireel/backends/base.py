"""What every backend is asked and what it answers; free of torch."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from omnireel.engine.params import FinishReason, SamplingParams

__all__ = [
    "Answer",
    "Ask",
    "Backend",
    "Delta",
    "Event",
    "FinishReason",
    "Health",
    "Inspection",
    "MediaOptions",
    "Progress",
    "SamplingParams",
    "SoundUse",
    "Stage",
    "VideoFacts",
]

# used; cut: used, and longer than what may be; absent: no track; off: not wanted; failed: a track that cannot
# be decoded; unheard: the model has no audio encoder.
SoundUse = Literal["used", "cut", "absent", "off", "failed", "unheard"]
Stage = Literal["video", "encoding", "vision tokens", "first token", "done"]


@dataclass(frozen=True)
class MediaOptions:
    """How the clip is sampled; None takes the backend's default.

    start_s, end_s:     look at this part of the clip only
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
class Ask:
    """One question about one clip.

    video:         a file on this machine
    system_prompt: None lets the reasoning control token stand in its place
    thinking:      the chain of thought comes before the answer
    """

    video: Path
    prompt: str
    system_prompt: str | None = None
    thinking: bool = False
    sampling: SamplingParams = field(default_factory=SamplingParams)
    media: MediaOptions = field(default_factory=MediaOptions)


@dataclass(frozen=True)
class VideoFacts:
    """What was seen of the clip.

    width, height:    as displayed
    frame_indices:    source frames chosen, in order; frame_times_s: their times in the container
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
    """A line for whoever waits; fraction: of this stage, where it is known."""

    stage: Stage
    message: str
    fraction: float | None = None


@dataclass(frozen=True)
class Delta:
    """Exactly the text that is appended to `Answer.output`."""

    text: str


@dataclass(frozen=True)
class Answer:
    """The last event of every answered ask; `output` equals all deltas joined.

    output:       with thinking `<think>` chain `</think>` answer, else the answer alone
    reasoning:    the chain alone; None without thinking
    input_tokens: every token of the prompt as fed to the model, kept vision tokens included
    """

    output: str
    reasoning: str | None
    finish_reason: FinishReason
    input_tokens: int
    output_tokens: int
    video: VideoFacts


Event = Progress | Delta | Answer


@dataclass(frozen=True)
class Inspection:
    """What an ask would cost, found without inference.

    video: frame times are index / frame rate here: no frame has been read yet
    """

    video: VideoFacts
    input_tokens: int
    max_context: int


@dataclass(frozen=True)
class Health:
    """Whether the backend can take work.

    detail:         one line saying why not
    sandbox_misses: what this kernel cannot do to confine the video decoder
    num_sandbox_violations: decoding children of this process that were ended for a forbidden system call
    """

    is_ready: bool
    model: str
    detail: str | None = None
    sandbox_misses: tuple[str, ...] = ()
    num_sandbox_violations: int = 0


class Backend(Protocol):
    """Something that answers questions about clips."""

    @property
    def name(self) -> str:
        """What it is called in settings: local, echo."""

    def generate(self, ask: Ask) -> AsyncGenerator[Event]:
        """Progress and deltas as they come, the Answer last; closing the iterator aborts.

        Raises InputError where the ask cannot be met, GenerationError where the backend failed.
        """

    async def inspect(self, ask: Ask) -> Inspection:
        """What `generate` would feed to the model; raises the same InputErrors."""

    def most_tokens(self, ask: Ask) -> int:
        """No answer to this ask uses more tokens, those of its prompt included, whatever the clip holds.

        The clip is not looked at, and need not be there. Blocks for as long as it takes to read the prompt.
        """

    async def health(self) -> Health:
        """Cheap; never raises."""

    async def close(self) -> None:
        """End its threads; asks still running fail."""
