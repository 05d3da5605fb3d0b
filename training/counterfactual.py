"""Chains that hold something else than the clip, from which what is decided must follow all the same.

A model that sees the clip and has written its chain can decide from either. Where the two differ, a chain alone
says what was weighed, so decisions are taught on chains that the clip contradicts; nobody is taught to write these.
Source: faithfulness of chains of thought under interventions, arXiv 2307.13702 section 2
"""

from __future__ import annotations

from dataclasses import replace
from random import Random

from training.questions.events import happening, lifecycle, order, second
from training.questions.question import Builder
from training.questions.traits import absent, colour, direction, how_many, shape
from training.questions.view import View
from training.questions.whole import describe, on_screen
from training.questions.yes_no import without_places

# What the chain alone decides: it holds ninths of the frame, too coarse for what is beside what.
DECIDED: dict[Builder, float] = {
    colour: 0.5, shape: 0.5, how_many: 3.0, direction: 1.5, order: 4.0, lifecycle: 1.5, second: 2.0, on_screen: 2.0,
    without_places: 1.5, absent: 0.3, describe: 3.0, happening: 2.0,
}  # fmt: skip


def counterfactual(rng: Random, view: View, other: View) -> View:
    """Some of the clip's things and some of another's, as if seen in this clip; the word of either."""
    kept = [thing for thing in view.things if rng.random() < 0.6]
    names = {thing.name for thing in kept}
    both = [*kept, *(thing for thing in other.things if thing.name not in names)]
    things = both[: rng.choices((1, 2, 3), (2, 4, 4))[0]]
    words = rng.choice((view, other)).scene.words
    return View(replace(view.scene, things=tuple(things), words=words), view.times_s)
