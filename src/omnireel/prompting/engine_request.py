"""An encoded prompt and its task become the request that the engine runs."""

from __future__ import annotations

from omnireel.engine.request import Request, SequenceId
from omnireel.engine.thinking import ThinkingLimit
from omnireel.prompting.encoding import EncodedPrompt
from omnireel.task import Task
from omnireel.text.reasoning import CLOSE, TOOL_CALL
from omnireel.text.tokenizer import Tokenizer


def engine_request(
    sequence_id: SequenceId, task: Task, encoded: EncodedPrompt, tokenizer: Tokenizer
) -> Request:
    """What the engine needs to answer a task whose prompt was encoded."""
    stop_ids = frozenset(tokenizer.stop_ids)
    return Request(sequence_id, encoded.embeddings, task.sampling, stop_ids, thinking_limit(task, tokenizer))


def thinking_limit(task: Task, tokenizer: Tokenizer) -> ThinkingLimit | None:
    """The task's limit on its chain of thought; None where it does not think, or sets no limit."""
    budget = task.sampling.reasoning_budget
    if not task.thinking or budget is None:
        return None
    tool_call_ids = [tokenizer.id_of(TOOL_CALL)] if TOOL_CALL in tokenizer.added_tokens else []
    return ThinkingLimit(
        budget=budget,
        grace=task.sampling.grace_period,
        end_ids=frozenset({tokenizer.id_of(CLOSE), *tool_call_ids}),
        line_end_ids=tokenizer.line_end_ids,
        closing=tuple(tokenizer.encode_markup(f"\n{CLOSE}\n")),
        closing_line=tuple(tokenizer.encode_markup(f"{CLOSE}\n")),
    )
