"""What the engine needs of a language model: slots that hold sequences, and one forward pass over a batch.

A slot holds one sequence: its attention cache and its Mamba states. A batch is a ragged list of segments, each of
which extends the sequence of one slot by some positions. The engine passes ids, and embeddings where a picture or
a sound takes the place of an id; how a runner computes is its own affair. Importing this loads no torch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from omnireel.errors import GenerationError

if TYPE_CHECKING:
    from torch import Tensor

# Asked from time to time during a forward pass, perhaps in another thread. True: the pass may end early.
Stop = Callable[[], bool]


def never() -> bool:
    """A pass that is not to end early."""
    return False


class Wanted(StrEnum):
    """The positions of a segment whose logits are returned."""

    none = "none"
    last = "last"
    all = "all"


@dataclass(frozen=True, eq=False)
class Rows:
    """Embeddings that take the place of those of the ids.

    start: position of the first row in its sequence
    embeddings: [n, D]
    """

    start: int
    embeddings: Tensor

    @property
    def end(self) -> int:
        """The position after the last row."""
        return self.start + len(self.embeddings)

    def part(self, start: int, end: int) -> Rows | None:
        """The rows at positions start ≤ p < end; None where there are none."""
        first, last = max(start, self.start), min(end, self.end)
        if first >= last:
            return None
        return Rows(first, self.embeddings[first - self.start : last - self.start])


@dataclass(frozen=True, eq=False)
class Segment:
    """The next positions of one sequence.

    slot:   where the sequence is held
    start:  its first position; the slot holds exactly the positions before it
    ids:    one for each position, at least one; placeholders where there are rows
    rows:   embeddings at some of these positions, in order and without overlap
    wanted: the positions whose logits are returned
    """

    slot: int
    start: int
    ids: Sequence[int]
    rows: tuple[Rows, ...] = ()
    wanted: Wanted = Wanted.last

    @property
    def end(self) -> int:
        """The position after the last one."""
        return self.start + len(self.ids)


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a forward pass gave for one segment.

    logits: [n, V] fp32, n the number of wanted positions; None where none are wanted
    error:  why it failed; the slot has to be cleared then, and the other segments are not affected
    """

    logits: Tensor | None = None
    error: Exception | None = None


@dataclass(frozen=True)
class Capacity:
    """How much a runner holds.

    num_slots:       sequences at the same time
    max_context:     positions of one sequence
    bytes_per_slot:  of a sequence's state, apart from its attention cache
    bytes_per_token: of the attention cache
    """

    num_slots: int
    max_context: int
    bytes_per_slot: int
    bytes_per_token: int

    @property
    def num_bytes(self) -> int:
        """Memory of all slots at their full length."""
        return self.num_slots * (self.bytes_per_slot + self.max_context * self.bytes_per_token)

    def check(self, segment: Segment) -> None:
        """Raise GenerationError(out_of_memory) where a slot does not hold so many positions."""
        assert 0 <= segment.slot < self.num_slots, f"there is no slot {segment.slot}"
        assert len(segment.ids) > 0, "a segment has at least one position"
        if segment.end > self.max_context:
            raise GenerationError(
                f"The sequence needs {segment.end} positions; the model was opened with {self.max_context}.",
                kind="out_of_memory",
            )


class Snapshot(Protocol):
    """A copy of a slot's sequence outside the slots. Only the runner that made it can use it.

    num_tokens: positions that it holds
    num_bytes:  memory that it takes
    """

    @property
    def num_tokens(self) -> int: ...  # noqa: D102 - the class describes it

    @property
    def num_bytes(self) -> int: ...  # noqa: D102


class Runner(Protocol):
    """Runs one language model. To be used by one thread at a time."""

    @property
    def capacity(self) -> Capacity:
        """How much it holds; does not change."""

    def forward(self, batch: Sequence[Segment], *, stop: Stop = never) -> list[Outcome]:
        """Extend sequences; one outcome for each segment, in order. A slot is in at most one segment.

        stop: once true, the pass may end early; a segment that was not finished then has the error Cancelled
        """

    def copy(self, source: int, target: int) -> None:
        """Replace the sequence of one slot by a copy of another's."""

    def snapshot(self, slot: int) -> Snapshot:
        """A copy of the slot's sequence, which stays as it is."""

    def restore(self, slot: int, snapshot: Snapshot) -> None:
        """Replace the slot's sequence by that of the snapshot, which can be used again."""

    def clear(self, slot: int) -> None:
        """Empty a slot and free its memory where possible."""

    def close(self) -> None:
        """Free the model. The runner cannot be used any more."""
