"""From what was prepared to what the engine is asked."""

from __future__ import annotations

from omnireel.backends.base import Ask
from omnireel.backends.preparation import Prepared
from omnireel.engine.reasoning import ReasoningLimit
from omnireel.engine.request import Request, SequenceId
from omnireel.text.reasoning import CLOSE, TOOL_CALL
from omnireel.text.tokenizer import Tokenizer


def engine_request(sequence_id: SequenceId, ask: Ask, prepared: Prepared, *, tokenizer: Tokenizer) -> Request:
    """The request that answers `ask`, its reasoning limited where the ask has a budget."""
    return Request(
        sequence_id,
        prepared.embeddings,
        ask.sampling,
        frozenset(tokenizer.stop_ids),
        reasoning_limit=_reasoning_limit(ask, tokenizer),
    )


def _reasoning_limit(ask: Ask, tokenizer: Tokenizer) -> ReasoningLimit | None:
    if not ask.thinking or ask.reasoning_budget is None:
        return None
    tool_call = tokenizer.added_tokens.get(TOOL_CALL)
    return ReasoningLimit(
        close_ids=tuple(tokenizer.encode_markup(CLOSE)),
        budget=ask.reasoning_budget,
        grace=ask.reasoning_grace,
        other_end_ids=frozenset() if tool_call is None else frozenset([tool_call]),
        line_end_ids=tokenizer.line_end_ids,
    )
