"""Chains of thought that contradict the clip. The answer has to follow from the chain nevertheless.

A model with a clip and a chain can take its answer from either. To make it use the chain, some training rows have a
chain about another scene. Loss is on the conclusion and the answer only, so the model does not learn to write such
chains. Source: faithfulness of chains of thought under interventions, arXiv 2307.13702 section 2.
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

# Questions that a chain decides, with their shares. A chain gives places in ninths of the frame, which is too coarse to
# compare the places of two things.
DECIDED_BY_CHAIN: dict[Builder, float] = {
    colour: 0.5, shape: 0.5, how_many: 3.0, direction: 1.5, order: 4.0, lifecycle: 1.5, second: 2.0, on_screen: 2.0,
    without_places: 1.5, absent: 0.3, describe: 3.0, happening: 2.0,
}  # fmt: skip


def counterfactual(rng: Random, view: View, other: View) -> View:
    """A view with some of this clip's things, some of the other's, and the word of one of them."""
    kept = [thing for thing in view.things if rng.random() < 0.6]
    names = {thing.name for thing in kept}
    both = [*kept, *(thing for thing in other.things if thing.name not in names)]
    things = both[: rng.choices((1, 2, 3), (2, 4, 4))[0]]
    words = rng.choice((view, other)).scene.words
    return View(replace(view.scene, things=tuple(things), words=words), view.times_s)
