"""Choice of a question, and variation of its wording."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random

from training.questions.events import lifecycle, order, second
from training.questions.places import position
from training.questions.question import Builder, Question
from training.questions.traits import absent, colour, direction, how_many, shape
from training.questions.view import View
from training.questions.whole import beyond, describe, on_screen
from training.questions.yes_no import yes_no

# Shares of the questions. Those that a small model learns last, and those that few scenes answer, have large shares.
BUILDERS: dict[Builder, float] = {
    colour: 0.5, shape: 0.5, how_many: 0.9, direction: 0.6, position: 2.6, order: 2.6, lifecycle: 1.1, second: 4.0,
    on_screen: 3.0, yes_no: 1.6, absent: 0.3, describe: 0.7, beyond: 0.5,
}  # fmt: skip


def ask(
    rng: Random,
    view: View,
    builders: Sequence[Builder] | None = None,
    shares: Mapping[Builder, float] = BUILDERS,
) -> Question:
    """A random question that has a definite answer in this view."""
    pool = list(builders or shares)
    while True:
        builder = rng.choices(pool, [shares[b] for b in pool])[0]
        question = builder(rng, view)
        if question is not None:
            return question


def casual(rng: Random, text: str) -> str:
    """The same question as people might type it: in lower case, without a question mark, with a preamble or thanks."""
    roll = rng.random()
    if roll < 0.12:
        text = rng.choice(
            (
                "In this video, ",
                "In the clip, ",
                "Watch the video. ",
                "Please tell me: ",
                "Question: ",
                "Hi! ",
                "Look closely: ",
            )
        ) + (text if rng.random() < 0.5 else text[0].lower() + text[1:])
    if rng.random() < 0.06:
        text += rng.choice((" Thanks!", " Thank you.", " Please answer."))
    if rng.random() < 0.15:
        text = text.lower()
    if rng.random() < 0.12:
        text = text.rstrip("?.")
    return text[0].upper() + text[1:] if roll > 0.3 else text
