"""A hard limit on the chain of thought: when it is reached, the engine ends the chain instead of the model.

Knows ids, not words: a closing tag spelled with other tokens is not seen here. It is counted as chain, and
the real tag that is forced after it is dropped where the text is read.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass


@dataclass(frozen=True)
class ReasoningLimit:
    """How long the chain may be and how it ends.

    close_ids: at least one; these tokens in a row end the chain, and are what is forced
    other_end_ids: each of these ends it as well, like a tool call
    line_end_ids: tokens after which a line is complete
    budget:    tokens of chain that the model may write, 0 or more
    grace:     how many more it may write until a line is complete; the chain ends there, or where the
               grace does
    """

    close_ids: tuple[int, ...]
    budget: int
    grace: int = 0
    other_end_ids: frozenset[int] = frozenset()
    line_end_ids: frozenset[int] = frozenset()


class ReasoningGuard:
    """Follows the output of one sequence whose prompt has opened the chain."""

    def __init__(self, limit: ReasoningLimit) -> None:
        self._limit = limit
        self._num_tokens = 0
        self._last = deque[int](maxlen=len(limit.close_ids))
        self._forced = deque[int]()
        self._is_over = False
        self._check_budget()

    @property
    def forced(self) -> int | None:
        """The token that has to come next; None where the model is free."""
        return self._forced[0] if self._forced else None

    def append(self, token_id: int) -> None:
        """Take note of an output token; a forced one must be the one that was asked for."""
        if self._is_over:
            return
        if self._forced:
            assert token_id == self._forced.popleft(), "a forced token was not used"
            self._is_over = not self._forced
            return
        self._num_tokens += 1
        self._last.append(token_id)
        self._is_over = tuple(self._last) == self._limit.close_ids or token_id in self._limit.other_end_ids
        if not self._is_over:
            self._check_budget()

    def _check_budget(self) -> None:
        limit = self._limit
        ends_a_line = bool(self._last) and self._last[-1] in limit.line_end_ids
        over = self._num_tokens - limit.budget
        if over >= limit.grace or (over >= 0 and ends_a_line):
            self._forced.extend(limit.close_ids)
