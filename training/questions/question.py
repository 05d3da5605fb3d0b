"""A question with its true answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from random import Random

from training.questions.forms import worded
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
    intent, slots: of the wording, see `forms`; a question without an intent has one wording
    """

    kind: str
    text: str
    short: str
    sentence: str
    seconds: float | None = None
    intent: str = ""
    slots: Mapping[str, str] = field(default_factory=dict, hash=False)

    def reworded(self, rng: Random) -> Question:
        """The same question with a wording that training does not use."""
        if not self.intent:
            return self
        return replace(self, text=worded(rng, self.intent, self.slots, held_out=True))

    @property
    def names_second(self) -> bool:
        """Whether the answer gives the second although the question does not ask for it."""
        return self.kind in ("order", "happening") and self.seconds is not None


Builder = Callable[[Random, View], Question | None]


def asked(
    rng: Random, kind: str, intent: str, slots: Mapping[str, str], short: str, sentence: str, seconds: float | None = None
) -> Question:
    """A question with a random wording of training."""
    return Question(kind, worded(rng, intent, slots), short, sentence, seconds, intent, slots)
