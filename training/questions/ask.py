"""Choice of a question, and variation of its wording."""

from __future__ import annotations

import re
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


PREAMBLES = (
    "In this video, ",
    "In the clip, ",
    "Watch the video. ",
    "Please tell me: ",
    "Question: ",
    "Hi! ",
    "Look closely: ",
)
THANKS = (" Thanks!", " Thank you.", " Please answer.", " Please.", " thx", " pls", " plz", " thanks")


def casual(rng: Random, text: str) -> str:
    """The same question as people might type it: in lower case or capitals, without a question mark, with thanks, with a typing error."""
    if rng.random() < 0.1:
        text = rng.choice(PREAMBLES) + (text if rng.random() < 0.5 else text[0].lower() + text[1:])
    if rng.random() < 0.06:
        text += rng.choice(THANKS)
    if rng.random() < 0.12:
        text = mistyped(rng, text)
    if rng.random() < 0.15:
        text = text.rstrip("?.")
    if rng.random() < 0.01:
        text = text.replace(" ", "  ", 1)
    roll = rng.random()
    return text.lower() if roll < 0.15 else text.upper() if roll < 0.16 else text


def mistyped(rng: Random, text: str) -> str:
    """The text with one typing error in a longer word: a letter lost, doubled, or exchanged with the next."""
    words = list(re.finditer(r"[A-Za-z]{4,}", text))
    if not words:
        return text
    word = rng.choice(words)
    at = rng.randrange(word.start() + 1, word.end() - 1)
    kept = text[:at], text[at], text[at + 1 :]
    return rng.choice(
        (kept[0] + kept[2], kept[0] + kept[1] * 2 + kept[2], kept[0] + kept[2][0] + kept[1] + kept[2][1:])
    )
