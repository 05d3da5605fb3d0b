"""A limit on the chain of thought. Beyond it the engine writes the closing tag itself, and the answer begins."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class ThinkingLimit:
    """How long a chain may be, in tokens counted from the first output token.

    budget:       after so many tokens the chain ends at the next end of a line
    grace:        after so many more it ends in the middle of a line
    end_ids:      tokens that end a chain
    line_end_ids: tokens that end a line of text
    closing:      tokens that are written to end the chain in the middle of a line; holds one of end_ids
    closing_line: the same at the end of a line
    """

    budget: int
    grace: int
    end_ids: frozenset[int]
    line_end_ids: frozenset[int]
    closing: tuple[int, ...]
    closing_line: tuple[int, ...]


@dataclass(eq=False)
class ChainOfThought:
    """One chain of thought under a limit.

    num_tokens: tokens that the model wrote
    is_open:    whether the next token belongs to the chain
    """

    limit: ThinkingLimit
    num_tokens: int = 0
    is_open: bool = True
    _forced: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        if not self.limit.budget:
            self._forced = list(self.limit.closing_line)  # the prompt ends at the end of a line

    @property
    def forced_id(self) -> int | None:
        """The next token of the closing; None where the model chooses."""
        return self._forced[0] if self._forced else None

    def append(self, token_id: int) -> None:
        """Count an output token; where the limit is reached, the closing is forced next."""
        if self._forced:
            self._forced.pop(0)
            self.is_open = bool(self._forced) and self.is_open
            return
        self.num_tokens += 1
        self.is_open = self.is_open and token_id not in self.limit.end_ids
        if not self.is_open or self.num_tokens < self.limit.budget:
            return
        if token_id in self.limit.line_end_ids:
            self._forced = list(self.limit.closing_line)
        elif self.num_tokens >= self.limit.budget + self.limit.grace:
            self._forced = list(self.limit.closing)
