"""The chain of thought and the answer, told apart while they stream.

The tags are matched as text. The first `</think>` ends the reasoning; later tags are dropped. A tool call
before any `</think>` ends it as well: models forget the tag there. White space at both ends of the
reasoning and in front of the answer belongs to the template, not to the text.
"""

from __future__ import annotations

import re
from typing import NamedTuple

OPEN, CLOSE, TOOL_CALL = "<think>", "</think>", "<tool_call>"
_TAGS = (OPEN, CLOSE, TOOL_CALL)
_TAG = re.compile("|".join(_TAGS))


class Split(NamedTuple):
    """Some reasoning and some answer; either may be empty."""

    reasoning: str
    answer: str


class ReasoningSplitter:
    """Feed it deltas; the splits it returns, joined, equal `split` of the whole.

    starts_inside: the prompt has already opened the reasoning
    Without that, an answer that turns out to be reasoning only is handed over as the answer at the end.
    """

    def __init__(self, *, starts_inside: bool) -> None:
        self._starts_inside = starts_inside
        self._is_inside = starts_inside
        self._is_closed = False
        self._unread = ""
        self._reasoning = _Trimmed(trims_end=True)
        self._answer = _Trimmed(trims_end=False)

    @property
    def is_inside(self) -> bool:
        """Whether the next word would be reasoning."""
        return self._is_inside

    def push(self, delta: str) -> Split:
        """What is certain after this delta; a tag that may be starting is held back."""
        self._unread += delta
        out = Split("", "")
        while tag := _TAG.search(self._unread):
            out = _join(out, self._emit(self._unread[: tag.start()]))
            out = _join(out, self._cross(tag.group()))
            self._unread = self._unread[tag.end() :]
        held = _len_of_possible_tag(self._unread)
        ready = self._unread[: len(self._unread) - held]
        self._unread = self._unread[len(ready) :]
        return _join(out, self._emit(ready))

    def finish(self) -> Split:
        """What was held back, when no more deltas come."""
        out = self._emit(self._unread)
        self._unread = ""
        if not self._starts_inside and not self._answer.parts:
            return _join(out, Split("", "".join(self._reasoning.parts)))
        return out

    def _emit(self, text: str) -> Split:
        if self._is_inside:
            return Split(self._reasoning.push(text), "")
        return Split("", self._answer.push(text))

    def _cross(self, tag: str) -> Split:
        if tag == OPEN:
            self._is_inside = self._is_inside or not (self._is_closed or self._answer.parts)
            return Split("", "")
        self._is_closed = self._is_closed or self._is_inside
        self._is_inside = False
        return self._emit(tag) if tag == TOOL_CALL else Split("", "")


class _Trimmed:
    """Text without leading, and if asked without trailing, white space."""

    def __init__(self, *, trims_end: bool) -> None:
        self._trims_end = trims_end
        self._space = ""
        self.parts: list[str] = []

    def push(self, text: str) -> str:
        text = self._space + text
        self._space = ""
        if not self.parts:
            text = text.lstrip()
        if self._trims_end:
            self._space = text[len(text.rstrip()) :]
            text = text.rstrip()
        if text:
            self.parts.append(text)
        return text


def split(text: str, *, starts_inside: bool) -> Split:
    """Reasoning and answer of a whole text."""
    splitter = ReasoningSplitter(starts_inside=starts_inside)
    return _join(splitter.push(text), splitter.finish())


def _join(a: Split, b: Split) -> Split:
    return Split(a.reasoning + b.reasoning, a.answer + b.answer)


def _len_of_possible_tag(text: str) -> int:
    """Length of the longest end of `text` that begins, but does not complete, a tag."""
    longest = max(map(len, _TAGS)) - 1
    ends = (text[-n:] for n in range(min(longest, len(text)), 0, -1))
    return next((len(end) for end in ends if any(tag.startswith(end) for tag in _TAGS)), 0)
