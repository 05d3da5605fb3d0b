"""What the engine is asked (Request), and how far it got (Sequence).

Free of torch at import time, so that anything may name these types.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from omnireel.engine.params import FinishReason, SamplingParams
from omnireel.engine.thinking import Chain, ThinkingLimit
from omnireel.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

    from omnireel.engine.sampler import Sampler
    from omnireel.model.language.state import ModelState

SequenceId = Hashable


@dataclass(frozen=True, eq=False)
class Request:
    """One prompt, ready for the model.

    id:         the caller's name for the sequence, unique among the living
    embeddings: [S, D] prompt embeddings, kept vision tokens in place
    stop_ids:   tokens that end the answer
    thinking:   how long the chain of thought may be that the prompt has opened; None: no limit, or no chain
    """

    id: SequenceId
    embeddings: Tensor
    sampling: SamplingParams
    stop_ids: frozenset[int]
    thinking: ThinkingLimit | None = None

    @property
    def num_prompt_tokens(self) -> int:
        """Prompt length, vision tokens included."""
        return int(self.embeddings.shape[0])


@dataclass(eq=False)
class Sequence:
    """The timeline of one request; written by the engine alone.

    max_output_tokens: max_tokens, or fewer where the context ends first
    state:             the model's memory of it; None before the first prefill and after the end
    """

    request: Request
    sampler: Sampler
    max_output_tokens: int
    state: ModelState | None = None
    output_ids: list[int] = field(default_factory=list)
    finish_reason: FinishReason | None = None

    def __post_init__(self) -> None:
        limit = self.request.thinking
        self._chain = None if limit is None else Chain(limit)

    @property
    def forced_id(self) -> int | None:
        """The token that comes next whatever the model says; None where the model decides."""
        return None if self._chain is None else self._chain.forced_id

    @property
    def max_tokens_in_state(self) -> int:
        """Positions that its state can need: the last output token is never fed back."""
        return self.request.num_prompt_tokens + self.max_output_tokens - 1

    def append(self, token_id: int) -> None:
        """Add an output token and decide whether it was the last one.

        The stop token is no part of the answer's text but counts as an output token.
        """
        self.output_ids.append(token_id)
        if self._chain is not None:
            self._chain.append(token_id)
        if token_id in self.request.stop_ids:
            self.finish_reason = FinishReason.stop
        elif len(self.output_ids) >= self.max_output_tokens:
            self.finish_reason = FinishReason.length


def check_prompt_fits(num_prompt_tokens: int, max_context: int) -> None:
    """Raise InputError(sequence_too_long) unless the prompt leaves room for one output token."""
    max_length = max_context - 1
    if num_prompt_tokens <= max_length:
        return
    raise InputError(
        f"prompt is {num_prompt_tokens} tokens, limit {max_length}",
        kind="sequence_too_long",
        about="prompt",
        ctx={"max_length": max_length, "provided": num_prompt_tokens},
        hint="send a shorter prompt, fewer frames, or a higher video_pruning_rate",
    )
