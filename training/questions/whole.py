"""Questions about the whole clip: its text, its description, and subjects that it does not show."""

from __future__ import annotations

from random import Random

from training import outside
from training.questions.question import ON_SCREEN, Question, Wording, asked
from training.questions.view import UNREADABLE, View, caption, reading


def on_screen(rng: Random, view: View) -> Question | None:
    """What does the text say?"""
    word = view.scene.word
    if word is None and rng.random() < 0.8:
        return None
    is_number = word is not None and word.is_readable and word.text.isdigit() and rng.random() < 0.5
    slots = {"text": "number"} if is_number else {}
    wording = Wording("text", slots)
    if word is None:
        return asked(rng, "no text", wording, "none", "There is no text.")
    if not word.is_readable:
        return asked(rng, "unreadable text", wording, UNREADABLE, reading(word))
    return asked(rng, ON_SCREEN, wording, word.text, reading(word))


def describe(rng: Random, view: View) -> Question | None:
    """Describe the video."""
    return asked(rng, "describe", Wording("describe", {}), caption(view), caption(view))


def beyond(rng: Random, view: View) -> Question | None:
    """A question that is not about the scene."""
    del view
    return Question("outside my world", outside.question(rng), "unknown", outside.ANSWER)
