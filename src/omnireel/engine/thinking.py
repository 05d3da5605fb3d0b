"""When a chain of thought is closed for the model, so that an answer follows it.

Two things close an open chain: its limit, and a stop token, with which the model would end its turn without an
answer. The engine then writes the closing: these tokens are part of the output and are fed to the model, which
goes on after them with its answer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol


class OutputReader(Protocol):
    """Follows the text of one output, which starts inside a chain of thought."""

    @property
    def is_chain_open(self) -> bool:
        """Whether the next token belongs to the chain."""

    @property
    def has_answer(self) -> bool:
        """Whether there is text after the chain."""

    def push(self, token_id: int) -> object:
        """Take the next output token."""


@dataclass(frozen=True)
class ChainRules:
    """How the chain of one request is closed.

    closing:      tokens that are written to end the chain in the middle of a line
    closing_line: the same at the end of a line
    line_end_ids: tokens that end a line of text
    new_reader:   makes the reader of an output that begins
    budget:       after so many output tokens the chain ends at the next end of a line; None: no limit
    grace:        after so many more it ends in the middle of a line
    """

    closing: tuple[int, ...]
    closing_line: tuple[int, ...]
    line_end_ids: frozenset[int]
    new_reader: Callable[[], OutputReader]
    budget: int | None = None
    grace: int = 0


@dataclass(eq=False)
class ChainOfThought:
    """One chain of thought, and the beginning of the answer after it.

    num_tokens: output tokens that the model chose
    """

    rules: ChainRules
    num_tokens: int = 0
    _is_at_line_end: bool = True  # the prompt ends at the end of a line
    _was_closed: bool = False
    _forced: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._reader = self.rules.new_reader()
        if self.rules.budget == 0:
            self.close()

    @property
    def forced_id(self) -> int | None:
        """The next token of the closing; None where the model chooses."""
        return self._forced[0] if self._forced else None

    @property
    def is_open(self) -> bool:
        """Whether the next token belongs to the chain."""
        return self._reader.is_chain_open

    @property
    def needs_answer(self) -> bool:
        """Whether the chain was closed for the model, which has not begun its answer."""
        return self._was_closed and not self.is_open and not self._reader.has_answer

    def close(self) -> None:
        """Have the closing written next."""
        self._was_closed = True
        self._forced = list(self.rules.closing_line if self._is_at_line_end else self.rules.closing)

    def append(self, token_id: int) -> None:
        """Take the next output token; where the limit is reached, the closing is written next."""
        self._reader.push(token_id)
        if self._forced:
            self._forced.pop(0)
            return
        self.num_tokens += 1
        self._is_at_line_end = token_id in self.rules.line_end_ids
        if self.is_open and self._is_over_limit():
            self.close()

    def _is_over_limit(self) -> bool:
        if self.rules.budget is None:
            return False
        allowed = self.rules.budget + (0 if self._is_at_line_end else self.rules.grace)
        return self.num_tokens >= allowed
