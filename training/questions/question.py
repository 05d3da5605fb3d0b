"""A question with its true answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from training.questions.view import View

NUMBERS = ("zero", "one", "two", "three")


@dataclass(frozen=True)
class Question:
    """A question with its answer.

    kind:    the row of the evaluation table
    text:    the question, as a person would type it
    short:   the answer as a word or a phrase
    sentence: the answer as a sentence
    seconds: the true time in the clip, if the answer is a second or begins with one
    """

    kind: str
    text: str
    short: str
    sentence: str
    seconds: float | None = None

    @property
    def names_second(self) -> bool:
        """Whether the answer gives the second although the question does not ask for it."""
        return self.kind in ("order", "happening") and self.seconds is not None


Builder = Callable[[Random, View], Question | None]


def pick(rng: Random, *texts: str) -> str:
    """One of the texts, at random."""
    return rng.choice(texts)
