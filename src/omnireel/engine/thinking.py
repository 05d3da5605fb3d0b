"""A limit on the chain of thought: beyond it the engine itself writes the end, and the answer begins."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class ThinkingLimit:
    """In tokens, counted from the first output token.

    budget:       after so many the chain ends at the next end of a line
    grace:        after so many more it ends wherever it is
    end_ids:      tokens that end a chain
    line_end_ids: tokens after which a line has ended
    closing:      what is written to end the chain, one of end_ids among it
    closing_line: the same, at the end of a line
    """

    budget: int
    grace: int
    end_ids: frozenset[int]
    line_end_ids: frozenset[int]
    closing: tuple[int, ...]
    closing_line: tuple[int, ...]


@dataclass(eq=False)
class Chain:
    """How far one chain has come."""

    limit: ThinkingLimit
    num_tokens: int = 0
    is_open: bool = True
    _owed: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        if not self.limit.budget:
            self._owed = list(self.limit.closing_line)  # the prompt ends with the end of a line

    @property
    def forced_id(self) -> int | None:
        """The next token, where it is no longer the model's to choose."""
        return self._owed[0] if self._owed else None

    def append(self, token_id: int) -> None:
        """Count an output token; where the limit is reached, the closing is owed."""
        if self._owed:
            self._owed.pop(0)
            self.is_open = bool(self._owed) and self.is_open
            return
        self.num_tokens += 1
        self.is_open = self.is_open and token_id not in self.limit.end_ids
        if not self.is_open or self.num_tokens < self.limit.budget:
            return
        if token_id in self.limit.line_end_ids:
            self._owed = list(self.limit.closing_line)
        elif self.num_tokens >= self.limit.budget + self.limit.grace:
            self._owed = list(self.limit.closing)
