"""A question with its true answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from training.questions.view import View

NUMBERS = ("zero", "one", "two", "three")


@dataclass(frozen=True)
class Question:
    """text: as a person would type it; short, sentence: the answer in two styles; kind: for the table.

    seconds: the true time in the clip, where the answer is one or begins with one
    """

    kind: str
    text: str
    short: str
    sentence: str
    seconds: float | None = None

    @property
    def names_second(self) -> bool:
        """Whether the answer says when, though only what happens is asked."""
        return self.kind in ("order", "happening") and self.seconds is not None


Builder = Callable[[Random, View], Question | None]


def pick(rng: Random, *texts: str) -> str:
    """One of the ways to ask."""
    return rng.choice(texts)
