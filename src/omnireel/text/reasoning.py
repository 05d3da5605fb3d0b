"""Separates the chain of thought from the answer while they are generated.

The tags are matched as text. The first `</think>` ends the reasoning; later tags are dropped. A tool call
before any `</think>` also ends it, because models leave out the tag there. White space at both ends of the
reasoning and before the answer belongs to the template and is removed.
"""

from __future__ import annotations

import re
from typing import NamedTuple

OPEN, CLOSE, TOOL_CALL = "<think>", "</think>", "<tool_call>"
_TAGS = (OPEN, CLOSE, TOOL_CALL)
_TAG = re.compile("|".join(_TAGS))


class Split(NamedTuple):
    """Text of the reasoning and text of the answer; either may be empty."""

    reasoning: str
    answer: str


class ReasoningSplitter:
    """Splits deltas into reasoning and answer. The results joined equal `split` of the whole text.

    starts_inside: the prompt has already opened the reasoning. Otherwise, where the text holds reasoning only,
                   `finish` returns that reasoning as the answer.
    """

    def __init__(self, *, starts_inside: bool) -> None:
        self._starts_inside = starts_inside
        self._is_inside = starts_inside
        self._is_closed = False
        self._pending = ""
        self._reasoning = _Trimmed(trims_end=True)
        self._answer = _Trimmed(trims_end=False)

    @property
    def is_inside(self) -> bool:
        """Whether text that comes next is reasoning."""
        return self._is_inside

    def push(self, delta: str) -> Split:
        """The text that is certain after this delta; the possible start of a tag is held back."""
        self._pending += delta
        out = Split("", "")
        while tag := _TAG.search(self._pending):
            out = _join(out, self._emit(self._pending[: tag.start()]))
            out = _join(out, self._handle_tag(tag.group()))
            self._pending = self._pending[tag.end() :]
        held = _len_of_possible_tag(self._pending)
        ready = self._pending[: len(self._pending) - held]
        self._pending = self._pending[len(ready) :]
        return _join(out, self._emit(ready))

    def finish(self) -> Split:
        """The text that was held back, once no more deltas come."""
        out = self._emit(self._pending)
        self._pending = ""
        if not self._starts_inside and not self._answer.parts:
            return _join(out, Split("", "".join(self._reasoning.parts)))
        return out

    def _emit(self, text: str) -> Split:
        if self._is_inside:
            return Split(self._reasoning.push(text), "")
        return Split("", self._answer.push(text))

    def _handle_tag(self, tag: str) -> Split:
        if tag == OPEN:
            self._is_inside = self._is_inside or not (self._is_closed or self._answer.parts)
            return Split("", "")
        self._is_closed = self._is_closed or self._is_inside
        self._is_inside = False
        return self._emit(tag) if tag == TOOL_CALL else Split("", "")


class _Trimmed:
    """Text without leading white space, and with trims_end also without trailing white space."""

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
    """The reasoning and the answer of a whole text."""
    splitter = ReasoningSplitter(starts_inside=starts_inside)
    return _join(splitter.push(text), splitter.finish())


def _join(a: Split, b: Split) -> Split:
    return Split(a.reasoning + b.reasoning, a.answer + b.answer)


def _len_of_possible_tag(text: str) -> int:
    """Length of the longest end of `text` that is the beginning of a tag."""
    longest = max(map(len, _TAGS)) - 1
    ends = (text[-n:] for n in range(min(longest, len(text)), 0, -1))
    return next((len(end) for end in ends if any(tag.startswith(end) for tag in _TAGS)), 0)
