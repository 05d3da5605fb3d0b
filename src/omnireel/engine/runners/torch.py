"""Runs the model of this package: the reference for every other runner."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from omnireel.engine.runner import Capacity, Outcome, Segment, Snapshot, Stop, Wanted, never
from omnireel.errors import Cancelled
from omnireel.model.language.state import ModelState
from omnireel.model.out_of_memory import as_out_of_memory

_MIN_RESERVED = 256


class LanguageModel(Protocol):
    """The model as this runner uses it. B sequences, T new positions, width D, vocabulary V."""

    def embed(self, ids: Tensor) -> Tensor:
        """Embeddings of ids. [...] int64 → [..., D]."""

    def new_state(self, batch_size: int = 1, *, capacity: int | None = None) -> ModelState:
        """An empty state with room for `capacity` tokens."""

    def forward_hidden(self, x: Tensor, state: ModelState) -> Tensor:
        """Hidden states of the next positions. [B, T, D] → [B, T, D]; the state advances by T."""

    def logits(self, hidden: Tensor) -> Tensor:
        """Scores of the next token. [..., D] → [..., V] fp32."""


@dataclass(frozen=True, eq=False)
class StateSnapshot:
    """A copy of a state."""

    state: ModelState

    @property
    def num_tokens(self) -> int:
        """See Snapshot."""
        return self.state.num_tokens

    @property
    def num_bytes(self) -> int:
        """See Snapshot."""
        return self.state.num_bytes


class TorchRunner:
    """One model in this process; the segments of a batch run one after the other.

    max_context: positions of one sequence. Memory is taken as a sequence grows.
    """

    def __init__(self, model: LanguageModel, *, max_context: int, num_slots: int = 1) -> None:
        self._model = model
        self._states: dict[int, ModelState] = {}
        empty, one = (model.new_state(capacity=capacity).num_bytes for capacity in (0, 1))
        self.capacity = Capacity(num_slots, max_context, bytes_per_slot=empty, bytes_per_token=one - empty)

    @torch.inference_mode()
    def forward(self, batch: Sequence[Segment], *, stop: Stop = never) -> list[Outcome]:
        """See Runner.forward. `stop` is asked before each segment."""
        return [self._outcome(segment, stop) for segment in batch]

    @torch.inference_mode()
    def copy(self, source: int, target: int) -> None:
        """See Runner.copy."""
        self.restore(target, self.snapshot(source))

    @torch.inference_mode()
    def snapshot(self, slot: int) -> Snapshot:
        """See Runner.snapshot."""
        return StateSnapshot(self._state(slot).copy())

    @torch.inference_mode()
    def restore(self, slot: int, snapshot: Snapshot) -> None:
        """See Runner.restore."""
        assert isinstance(snapshot, StateSnapshot), "a snapshot of another runner"
        self._states[slot] = snapshot.state.copy()

    def clear(self, slot: int) -> None:
        """See Runner.clear."""
        self._states.pop(slot, None)

    def close(self) -> None:
        """See Runner.close. The model's owner frees it."""
        self._states.clear()

    def _outcome(self, segment: Segment, stop: Stop) -> Outcome:
        if stop():
            return Outcome(error=Cancelled("The forward pass was ended on request."))
        try:
            return Outcome(self._run(segment))
        except Exception as error:  # noqa: BLE001 - the other segments go on after any failure
            return Outcome(error=as_out_of_memory(error) or error)

    def _run(self, segment: Segment) -> Tensor | None:
        self.capacity.check(segment)
        state = self._state(segment.slot)
        assert state.num_tokens == segment.start, (
            "the slot holds other positions than those before the segment"
        )
        self._reserve(state, segment.end)
        hidden = self._model.forward_hidden(self._embed(segment)[None], state)[0]  # [T, D]
        if segment.wanted is Wanted.none:
            return None
        if segment.wanted is Wanted.last:
            return self._model.logits(hidden[-1])[None]
        return self._model.logits(hidden)

    def _state(self, slot: int) -> ModelState:
        if slot not in self._states:
            self._states[slot] = self._model.new_state(capacity=0)
        return self._states[slot]

    def _reserve(self, state: ModelState, num_tokens: int) -> None:
        """Doubling keeps the cost of copying below that of one copy of the final cache."""
        if num_tokens > state.capacity:
            doubled = max(_MIN_RESERVED, num_tokens, 2 * state.capacity)
            state.reserve(min(doubled, self.capacity.max_context))

    def _embed(self, segment: Segment) -> Tensor:
        x = self._model.embed(torch.tensor(list(segment.ids)))
        for rows in segment.rows:
            x[rows.start - segment.start : rows.end - segment.start] = rows.embeddings.to(x.dtype)
        return x
