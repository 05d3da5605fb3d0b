"""The text of one answer, built from its token ids or from text that is already there."""

from __future__ import annotations

from omnireel.text.detokenize import Detokenizer
from omnireel.text.reasoning import CLOSE, OPEN, ReasoningSplitter, Split
from omnireel.text.tokenizer import Tokenizer


class OutputText:
    """Turns the model's text into deltas of the output.

    thinking: the output is `<think>` chain `</think>` answer. Each tag is there once; the closing one is missing
              where the tokens run out inside the chain. Without thinking the output is the answer alone.
    """

    def __init__(self, *, thinking: bool) -> None:
        self._splitter = ReasoningSplitter(starts_inside=thinking)
        self._thinking = thinking
        self._is_closed = False
        self._has_answer = False
        self._deltas: list[str] = []
        self._chain: list[str] = []

    @property
    def output(self) -> str:
        """All deltas so far, joined."""
        return "".join(self._deltas)

    @property
    def reasoning(self) -> str | None:
        """The chain of thought so far; None without thinking."""
        return "".join(self._chain) if self._thinking else None

    @property
    def is_chain_open(self) -> bool:
        """Whether text that comes next belongs to the chain of thought."""
        return self._splitter.is_inside

    @property
    def has_answer(self) -> bool:
        """Whether the answer has text, white space and tags not counted."""
        return self._has_answer

    def push_text(self, text: str) -> str:
        """The text that can be sent after this one, often empty."""
        return self._append(self._splitter.push(text))

    def finish_text(self, text: str = "") -> str:
        """The text that was held back, and this last one, once no more comes."""
        last = self._splitter.push(text)
        rest = self._splitter.finish()
        return self._append(Split(last.reasoning + rest.reasoning, last.answer + rest.answer))

    def _append(self, part: Split) -> str:
        delta = self._with_tags(part) if self._thinking else part.answer
        self._has_answer = self._has_answer or bool(part.answer)
        self._chain.append(part.reasoning)
        self._deltas.append(delta)
        return delta

    def _with_tags(self, part: Split) -> str:
        before = "" if self._deltas else OPEN
        after = "" if self._is_closed or self.is_chain_open else CLOSE
        self._is_closed = not self.is_chain_open
        return before + part.reasoning + after + part.answer


class AnswerText(OutputText):
    """Turns token ids into deltas of the output."""

    def __init__(self, tokenizer: Tokenizer, *, thinking: bool) -> None:
        super().__init__(thinking=thinking)
        self._detokenizer = Detokenizer(tokenizer)

    def push(self, token_id: int) -> str:
        """The text that can be sent after this token, often empty."""
        return self.push_text(self._detokenizer.push(token_id))

    def finish(self) -> str:
        """The text that was held back, once no more tokens come."""
        return self.finish_text(self._detokenizer.finish())
