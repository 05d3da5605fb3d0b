"""A request to the engine, and the sequence that the engine makes of it.

Importing this loads no torch, so that every part of the program can use these types.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from omnireel.engine.params import FinishReason, SamplingParams
from omnireel.engine.runner import Rows, Segment, Wanted
from omnireel.engine.thinking import ChainOfThought, ChainRules
from omnireel.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

    from omnireel.engine.sampler import Sampler

SequenceId = Hashable


@dataclass(frozen=True, eq=False)
class MediaSpan:
    """The positions of a prompt that vision or sound tokens fill.

    rows:         the tokens and the position of the first one; at least one
    content_hash: equal for equal tokens only, since the placeholder ids of all media are the same
    """

    rows: Rows
    content_hash: str


@dataclass(frozen=True, eq=False)
class Request:
    """One prompt, ready for the model.

    id:         chosen by the caller, unique among the sequences that have not ended
    prompt_ids: the whole prompt, with placeholders in the spans
    media:      the spans, in order and without overlap
    stop_ids:   tokens that end the answer
    thinking:   how the chain of thought that the prompt has opened is closed; None: there is no chain
    """

    id: SequenceId
    prompt_ids: tuple[int, ...]
    media: tuple[MediaSpan, ...]
    sampling: SamplingParams
    stop_ids: frozenset[int]
    thinking: ChainRules | None = None

    @property
    def num_prompt_tokens(self) -> int:
        """Length of the prompt, vision and sound tokens included."""
        return len(self.prompt_ids)

    def segment(self, slot: int, start: int, end: int, *, wanted: Wanted) -> Segment:
        """The positions start ≤ p < end of the prompt."""
        parts = (span.rows.part(start, end) for span in self.media)
        rows = tuple(part for part in parts if part is not None)
        return Segment(slot, start, self.prompt_ids[start:end], rows, wanted)


@dataclass(eq=False)
class Sequence:
    """The progress of one request; changed by the engine only.

    max_output_tokens: max_tokens, or fewer where the context ends first
    slot:              where the runner holds it; None before the first prefill
    output_ids:        output tokens so far
    """

    request: Request
    sampler: Sampler
    max_output_tokens: int
    slot: int | None = None
    output_ids: list[int] = field(default_factory=list)
    finish_reason: FinishReason | None = None

    def __post_init__(self) -> None:
        rules = self.request.thinking
        self._chain = None if rules is None else ChainOfThought(rules)

    def advance(self, logits: Tensor) -> int:
        """Choose the next output token, add it, and set the finish reason where it is the last one.

        logits: [V] fp32. Raises ArithmeticError when they are not finite.
        The stop token is not part of the answer's text but counts as an output token.
        """
        token_id, is_forced = self._choose(logits)
        self.output_ids.append(token_id)
        if self._chain is not None:
            self._chain.append(token_id)
        if token_id in self.request.stop_ids and not is_forced:
            self.finish_reason = FinishReason.stop
        elif len(self.output_ids) >= self.max_output_tokens:
            self.finish_reason = FinishReason.length
        return token_id

    def _choose(self, logits: Tensor) -> tuple[int, bool]:
        """The next token, and whether it is one of the closing of the chain.

        A stop token in an open chain gives way to the closing, and is not part of the output. Once the chain was
        closed for the model, it cannot stop before its answer has text: else the answer would still be empty.
        """
        chain = self._chain
        if chain is None:
            return self.sampler.choose(logits), False
        if chain.forced_id is None:
            excluded = self.request.stop_ids if chain.needs_answer else frozenset()
            token_id = self.sampler.choose(logits, excluded_ids=excluded)
            if not (chain.is_open and token_id in self.request.stop_ids):
                return token_id, False
            chain.close()
        assert chain.forced_id is not None, "a closing has tokens"
        return chain.forced_id, True


def check_prompt_fits(num_prompt_tokens: int, max_context: int, *, is_exact: bool = True) -> None:
    """Raise InputError(sequence_too_long) unless the prompt leaves room for one output token.

    is_exact: False where the prompt may have more tokens than that
    """
    max_length = max_context - 1
    if num_prompt_tokens <= max_length:
        return
    number = f"{num_prompt_tokens}" if is_exact else f"at least {num_prompt_tokens}"
    raise InputError(
        f"The prompt has {number} tokens; the limit is {max_length}.",
        kind="sequence_too_long",
        about="prompt",
        ctx={"max_length": max_length, "provided": num_prompt_tokens},
        hint="Send a shorter prompt, fewer frames, or a higher video_pruning_rate.",
    )
