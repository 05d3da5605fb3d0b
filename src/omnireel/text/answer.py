"""The text of one answer as it grows out of token ids."""

from __future__ import annotations

from omnireel.text.detokenize import Detokenizer
from omnireel.text.reasoning import CLOSE, OPEN, ReasoningSplitter, Split
from omnireel.text.tokenizer import Tokenizer


class AnswerText:
    """Tokens in, the deltas of `output` out.

    thinking: output is `<think>` chain `</think>` answer, both tags always there and there once, even
              when the tokens run out inside the chain; else output is the answer alone
    """

    def __init__(self, tokenizer: Tokenizer, *, thinking: bool) -> None:
        self._detokenizer = Detokenizer(tokenizer)
        self._splitter = ReasoningSplitter(starts_inside=thinking)
        self._thinking = thinking
        self._is_closed = False
        self._deltas: list[str] = []
        self._chain: list[str] = []

    @property
    def output(self) -> str:
        """All deltas so far."""
        return "".join(self._deltas)

    @property
    def reasoning(self) -> str | None:
        """The chain so far; None without thinking."""
        return "".join(self._chain) if self._thinking else None

    def push(self, token_id: int) -> str:
        """The delta that this token makes certain, often empty."""
        part = self._splitter.push(self._detokenizer.push(token_id))
        return self._append(part, closes=not self._splitter.is_inside)

    def finish(self) -> str:
        """The delta that was held back, when no more tokens come."""
        last = self._splitter.push(self._detokenizer.finish())
        rest = self._splitter.finish()
        part = Split(last.reasoning + rest.reasoning, last.answer + rest.answer)
        return self._append(part, closes=True)

    def _append(self, part: Split, *, closes: bool) -> str:
        delta = self._with_tags(part, closes=closes) if self._thinking else part.answer
        self._chain.append(part.reasoning)
        self._deltas.append(delta)
        return delta

    def _with_tags(self, part: Split, *, closes: bool) -> str:
        before = "" if self._deltas else OPEN
        after = CLOSE if closes and not self._is_closed else ""
        self._is_closed = self._is_closed or closes
        return before + part.reasoning + after + part.answer
