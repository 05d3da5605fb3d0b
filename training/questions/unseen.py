"""Questions about clips that show no simple scene, and about clips that show nothing.

They are worded like all others, so that the picture decides, and not the words.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from random import Random

from training import outside
from training.questions.ask import ask
from training.questions.question import NUMBERS, Builder, Question
from training.questions.view import View

PICTURE = "picture outside its world"
EMPTY = "empty picture"


def about_picture(rng: Random, view: View, shares: Mapping[Builder, float]) -> Question:
    """A question about a clip that is no simple scene. view: what the words of the question may be about"""
    question = ask(rng, view, shares=shares)
    return replace(question, kind=PICTURE, short="unknown", sentence=outside.ANSWER, seconds=None)


def about_nothing(rng: Random, view: View, shares: Mapping[Builder, float]) -> Question:
    """A question about an empty clip. view: what the words of the question may be about"""
    question = ask(rng, view, shares=shares)
    if question.kind == "outside my world":
        return question
    short = "nothing"
    if question.short in ("yes", "no"):
        short = "no"
    elif question.short in NUMBERS and question.kind == "how many":
        short = "zero"
    ending = "" if short == "nothing" else f", so {short}"
    return replace(
        question, kind=EMPTY, short=short, sentence=f"There is nothing to see{ending}.", seconds=None
    )
