"""The interface of every backend. Free of torch."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from omnireel.task import Event, Inspection, Task


@dataclass(frozen=True)
class Health:
    """Whether the backend can take work.

    is_checked_now: it failed a moment ago, and is being asked whether it is ready
    detail:         one line saying why it is not ready
    has_failed:     it will never be ready again, and its process has to be started anew
    sandbox_misses: protections of the video decoder that this kernel does not have
    num_sandbox_violations: decoding processes of this server that were ended for a forbidden system call
    """

    is_ready: bool
    model: str
    is_checked_now: bool = False
    detail: str | None = None
    has_failed: bool = False
    sandbox_misses: tuple[str, ...] = ()
    num_sandbox_violations: int = 0


class Backend(Protocol):
    """Answers tasks about clips."""

    @property
    def name(self) -> str:
        """Its name in settings, such as local or echo."""

    def generate(self, task: Task, files: Sequence[Path]) -> AsyncGenerator[Event]:
        """Progress and deltas as they come, the Answer last; closing the iterator aborts the task.

        files: one local file for each of the task's media parts, in order
        Raises InputError where the task cannot be done, GenerationError where the backend failed.
        """

    async def inspect(self, task: Task, files: Sequence[Path], *, pictures: bool = False) -> Inspection:
        """What `generate` would feed to the model; raises the same InputErrors.

        pictures: also read the chosen frames and return small pictures of them
        """

    def check_length(self, task: Task) -> None:
        """Raise InputError(sequence_too_long) where the texts alone are certain not to fit into the context.

        Reads no clip and does not tokenise. Blocks, for some tenths of a second where a text has many megabytes.
        """

    def most_tokens(self, task: Task) -> int:
        """The most tokens that prompt and answer can have together, whatever the clip holds.

        The clip is not read and need not exist yet. Blocks while the prompt is tokenised.
        Raises InputError as `check_length`.
        """

    async def health(self) -> Health:
        """The current state, from memory alone; never raises."""

    async def close(self) -> None:
        """End its threads; tasks that are still running fail."""
