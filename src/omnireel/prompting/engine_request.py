"""An encoded prompt and its task become the request that the engine runs."""

from __future__ import annotations

from functools import partial

from omnireel.engine.request import Request, SequenceId
from omnireel.engine.thinking import ChainRules
from omnireel.prompting.encoding import EncodedPrompt
from omnireel.task import Task
from omnireel.text.answer import AnswerText
from omnireel.text.reasoning import CLOSE
from omnireel.text.tokenizer import Tokenizer


def engine_request(
    sequence_id: SequenceId, task: Task, encoded: EncodedPrompt, tokenizer: Tokenizer
) -> Request:
    """What the engine needs to answer a task whose prompt was encoded."""
    stop_ids = frozenset(tokenizer.stop_ids)
    rules = chain_rules(task, tokenizer)
    return Request(
        sequence_id, tuple(encoded.prompt.ids), encoded.media, task.sampling, stop_ids, thinking=rules
    )


def chain_rules(task: Task, tokenizer: Tokenizer) -> ChainRules | None:
    """How the task's chain of thought is closed; None where it does not think.

    The engine reads the output as it is read for the caller, so that both agree where the chain ends. A tokenizer
    without a token for the closing tag spells it out.
    """
    if not task.thinking:
        return None
    return ChainRules(
        closing=tuple(tokenizer.encode_markup(f"\n{CLOSE}\n")),
        closing_line=tuple(tokenizer.encode_markup(f"{CLOSE}\n")),
        line_end_ids=tokenizer.line_end_ids,
        new_reader=partial(AnswerText, tokenizer, thinking=True),
        budget=task.sampling.reasoning_budget,
        grace=task.sampling.grace_period,
    )
