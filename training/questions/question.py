"""A question with its true answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from random import Random
from typing import NamedTuple

from training.questions.forms import worded
from training.questions.view import View

NUMBERS = ("zero", "one", "two", "three")
ON_SCREEN = "on-screen word"  # the kind of questions about what a text says


class Wording(NamedTuple):
    """What a question wants to know, and about what: an intent of `forms`, and texts for its slots."""

    intent: str
    slots: Mapping[str, str]


@dataclass(frozen=True)
class Question:
    """A question with its answer.

    kind:    the row of the evaluation table
    text:    the question, as a person would type it
    short:   the answer as a word or a phrase
    sentence: the answer as a sentence
    seconds: the true time in the clip, if the answer is a second or begins with one
    wording: from which its text was made; None if it has no other
    """

    kind: str
    text: str
    short: str
    sentence: str
    seconds: float | None = None
    wording: Wording | None = field(default=None, hash=False)

    def reworded(self, rng: Random) -> Question:
        """The same question with a wording that training does not use."""
        if self.wording is None:
            return self
        return replace(self, text=worded(rng, self.wording.intent, self.wording.slots, held_out=True))

    @property
    def names_second(self) -> bool:
        """Whether the answer gives the second although the question does not ask for it."""
        return self.kind in ("order", "happening") and self.seconds is not None


Builder = Callable[[Random, View], Question | None]


def asked(
    rng: Random, kind: str, wording: Wording, short: str, sentence: str, *, seconds: float | None = None
) -> Question:
    """A question with a random wording of training."""
    return Question(kind, worded(rng, wording.intent, wording.slots), short, sentence, seconds, wording)
