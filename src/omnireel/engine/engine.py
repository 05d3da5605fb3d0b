"""Sequences in, tokens out, one step at a time.

Works on token ids and embeddings, never on words or pixels. Not safe for several threads: all calls have to
come from one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import torch
from torch import Tensor

from omnireel.engine.params import FinishReason
from omnireel.engine.request import Request, Sequence, SequenceId, check_prompt_fits
from omnireel.engine.sampler import Sampler
from omnireel.engine.scheduler import Decode, Prefill, Scheduler
from omnireel.model.language.state import ModelState

# Runs one forward pass of a sequence; returns the logits of the next token, or None in the middle of a prompt.
Forward = Callable[[Sequence], Tensor | None]


class LanguageModel(Protocol):
    """The model as the engine uses it. B sequences, T new positions, width D, vocabulary V."""

    def embed(self, ids: Tensor) -> Tensor:
        """Embeddings of ids. [...] int64 → [..., D]."""

    def new_state(self, batch_size: int = 1, *, capacity: int | None = None) -> ModelState:
        """An empty state with room for `capacity` tokens."""

    def forward_hidden(self, x: Tensor, state: ModelState) -> Tensor:
        """Hidden states of the next positions. [B, T, D] → [B, T, D]; the state advances by T."""

    def logits(self, hidden: Tensor) -> Tensor:
        """Scores of the next token. [..., D] → [..., V] fp32."""


@dataclass(frozen=True)
class EngineConfig:
    """Limits of an engine.

    max_context:   most tokens of prompt and answer together
    prefill_chunk: most prompt tokens in one step; limits the memory used and the delay of an abort
    max_running:   most sequences that hold state at the same time
    """

    max_context: int
    prefill_chunk: int = 512
    max_running: int = 1


@dataclass(frozen=True)
class TokenEvent:
    """What happened to one sequence in one step.

    token_id:      the new output token, which may be the stop token; None where there is none
    finish_reason: set on the last event of a sequence only
    error:         the exception, where finish_reason is error
    """

    sequence_id: SequenceId
    token_id: int | None
    finish_reason: FinishReason | None = None
    error: Exception | None = None


class Engine:
    """One model and the sequences that have not ended."""

    def __init__(self, model: LanguageModel, config: EngineConfig) -> None:
        self._model = model
        self._config = config
        self._scheduler = Scheduler(prefill_chunk=config.prefill_chunk, max_running=config.max_running)
        self._sequences: dict[SequenceId, Sequence] = {}
        self._aborted: list[TokenEvent] = []

    @property
    def is_idle(self) -> bool:
        """Whether there is nothing to do: `step` would return no events."""
        return self._scheduler.is_idle and not self._aborted

    def add(self, request: Request) -> None:
        """Queue a request; raises InputError(sequence_too_long) when the context cannot hold it."""
        check_prompt_fits(request.num_prompt_tokens, self._config.max_context)
        assert request.id not in self._sequences, f"a sequence with the id {request.id!r} is still running"
        room = self._config.max_context - request.num_prompt_tokens
        limit = min(request.sampling.max_tokens, room)
        self._sequences[request.id] = Sequence(request, Sampler(request.sampling), max_output_tokens=limit)
        self._scheduler.add(request.id, request.num_prompt_tokens)

    def abort(self, sequence_id: SequenceId) -> None:
        """End a sequence now and free its state. The next step returns its last event.

        Does nothing once the sequence has ended.
        """
        if sequence_id in self._sequences:
            self._end(sequence_id)
            self._aborted.append(TokenEvent(sequence_id, None, FinishReason.cancelled))

    @torch.inference_mode()
    def step(self) -> list[TokenEvent]:
        """Run the next prefill chunk or decode; returns the events, those of aborted sequences first."""
        events, self._aborted = self._aborted, []
        plan = self._scheduler.next_step()
        if isinstance(plan, Prefill):
            events += self._advance(plan.sequence_id, partial(self._prefill, chunk=plan))
        elif isinstance(plan, Decode):
            for sequence_id in plan.sequence_ids:
                events += self._advance(sequence_id, self._decode)
        return events

    def _advance(self, sequence_id: SequenceId, forward: Forward) -> list[TokenEvent]:
        sequence = self._sequences[sequence_id]
        try:
            logits = forward(sequence)
            token_id = None if logits is None else sequence.advance(logits)
        except Exception as error:  # noqa: BLE001 - the other sequences go on after any failure
            self._end(sequence_id)
            return [TokenEvent(sequence_id, None, FinishReason.error, error)]
        if token_id is None:
            return []
        if sequence.finish_reason is not None:
            self._end(sequence_id)
        return [TokenEvent(sequence_id, token_id, sequence.finish_reason)]

    def _prefill(self, sequence: Sequence, *, chunk: Prefill) -> Tensor | None:
        if sequence.state is None:
            sequence.state = self._model.new_state(capacity=sequence.max_tokens_in_state)
        x = sequence.request.embeddings[chunk.start : chunk.end].unsqueeze(0)  # [1, T, D]
        hidden = self._model.forward_hidden(x, sequence.state)
        return self._model.logits(hidden[0, -1]) if chunk.is_last else None

    def _decode(self, sequence: Sequence) -> Tensor:
        assert sequence.state is not None, "decode comes after prefill"
        x = self._model.embed(torch.tensor([sequence.output_ids[-1:]]))  # [1, 1, D]
        hidden = self._model.forward_hidden(x, sequence.state)
        return self._model.logits(hidden[0, -1])

    def _end(self, sequence_id: SequenceId) -> None:
        self._scheduler.end(sequence_id)
        self._sequences.pop(sequence_id).state = None
