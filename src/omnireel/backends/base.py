"""What every backend is asked and what it answers; free of torch."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from omnireel.task import Answer, Task, VideoFacts

Stage = Literal["video", "encoding", "vision tokens", "first token", "done"]


@dataclass(frozen=True)
class Progress:
    """A log line for the caller; fraction: how much of this stage is done, where it is known."""

    stage: Stage
    message: str
    fraction: float | None = None


@dataclass(frozen=True)
class Delta:
    """Exactly the text that is appended to `Answer.output`."""

    text: str


Event = Progress | Delta | Answer


@dataclass(frozen=True)
class Inspection:
    """What a task would cost, found without inference.

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

    def generate(self, task: Task, files: Sequence[Path]) -> AsyncGenerator[Event]:
        """Progress and deltas as they come, the Answer last; closing the iterator aborts.

        files: one on this machine for each of the task's media parts, in order
        Raises InputError where the task cannot be done, GenerationError where the backend failed.
        """

    async def inspect(self, task: Task, files: Sequence[Path]) -> Inspection:
        """What `generate` would feed to the model; raises the same InputErrors."""

    def most_tokens(self, task: Task) -> int:
        """No answer to this task uses more tokens, those of its prompt included, whatever the clip holds.

        The clip is not looked at, and need not be there. Blocks for as long as it takes to read the prompt.
        """

    async def health(self) -> Health:
        """Cheap; never raises."""

    async def close(self) -> None:
        """End its threads; tasks still running fail."""
