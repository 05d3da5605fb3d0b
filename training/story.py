"""Auxiliary targets of question training at the end of each tubelet: what has happened so far.

Questions that compare things or events (what is on the left, what happens first, how many) cannot be answered by one
look-up among the vision tokens. If the end of a tubelet already has the comparison, a question needs only one look-up.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from training.dense import MAX_CHARACTERS, NO_LOSS
from training.questions.places import MARGIN, SIDES
from training.questions.view import View, events_of
from training.scenes import COLOURS, SHAPES, Thing
from training.watch import CHARACTERS_OR_NONE, NUM_KINDS, NUM_SECONDS, frame_pairs, number_of

MANY = 4  # the count of things where there are more than three
# Target → number of classes, number of answers, weight of the first class, which is the most frequent.
# A thing's number is that of its kind, from 1. In events, NUM_KINDS is added for a thing that disappears.
# The names are in the parameter names of saved runs.
STORY = {
    "outermost": (1 + NUM_KINDS, len(SIDES), 0.1), "count": (MANY + 1, 1, 1.0), "writing": (3, 1, 0.5), "movers": (4, 1, 0.5),
    "first_event": (1 + 2 * NUM_KINDS, 1, 0.2), "last_event": (1 + 2 * NUM_KINDS, 1, 0.2),
    "first_second": (NUM_SECONDS, 1, 0.2), "last_second": (NUM_SECONDS, 1, 0.2),
    "first_comer": (1 + NUM_KINDS, 1, 0.2), "last_comer": (1 + NUM_KINDS, 1, 0.2),
    "by_shape": (4, len(SHAPES), 0.3), "by_colour": (4, len(COLOURS), 0.1), "world": (4, 1, 1.0),
    "by_kind": (4, NUM_KINDS, 0.05), "spelling": (len(CHARACTERS_OR_NONE), MAX_CHARACTERS, 0.1), "presence": (3, NUM_KINDS, 0.05),
}  # fmt: skip


def story_targets(view: View) -> dict[str, Tensor]:
    """The targets of `STORY` after each tubelet; 0 where nothing has happened yet.

    writing is 1 for a text that can be read, 2 for one that is too small.
    world is 3 while nothing has been seen, then 1; 2 stands for anything but simple scenes. Counts by trait are [T, 4], [T, 8] and, by both, [T, 32].
    Each of the others is [T], except outermost [T, 4], spelling [T, 7] and presence [T, 32]: 1 for a kind that is there, 2 for one
    that has gone.
    """
    frames: dict[str, list[Any]] = {
        "outermost": _outermost(view), "count": _count(view), "writing": _writing(view), "movers": _movers(view),
        **_events(view), **_comers(view), **_counts_by_trait(view), "world": _world(view), "spelling": _spelling(view), "presence": _presence(view),
    }  # fmt: skip
    last = [min(2 * i + 1, len(view.times_s) - 1) for i in range(len(frame_pairs(view.times_s)))]
    return {name: torch.tensor([targets[i] for i in last]) for name, targets in frames.items()}


def _outermost(view: View) -> list[list[int]]:
    """The thing nearest to each side, also after other things have gone; NO_LOSS where two are nearly as near."""
    targets, now = [], [0] * len(SIDES)
    for time_s in view.times_s:
        shown = [(number_of(t), t.centre(time_s)) for t in view.things if t.is_visible(time_s)]
        if len(shown) > 1:
            now = [_nearest(shown, axis, sign) for axis, sign in SIDES.values()]
        targets.append(now)
    return targets


def _nearest(shown: list[tuple[int, tuple[float, float]]], axis: int, sign: int) -> int:
    (nearest, place), (_, other) = sorted(shown, key=lambda s: sign * s[1][axis])[:2]
    return nearest if sign * (other[axis] - place[axis]) >= MARGIN else NO_LOSS


def _spelling(view: View) -> list[list[int]]:
    """The characters of the word in order. They are asked for even where pruning left few of their tokens."""
    word = view.scene.word
    text = word.text.replace(" ", CHARACTERS_OR_NONE[0]) if word and word.is_readable else ""
    characters = [
        CHARACTERS_OR_NONE.index(char) for char in text.ljust(MAX_CHARACTERS, CHARACTERS_OR_NONE[0])
    ]
    return [characters] * len(view.times_s)


def _writing(view: View) -> list[int]:
    word = view.scene.word
    return [0 if word is None else 1 if word.is_readable else 2] * len(view.times_s)


def _seen(view: View, frame: int) -> list[Thing]:
    return [t for t in view.things if (view.first(t) or 0) <= frame]


def _count(view: View) -> list[int]:
    return [min(MANY, len(_seen(view, i))) for i in range(len(view.times_s))]


def _counts_by_trait(view: View) -> dict[str, list[list[int]]]:
    """How many things of each shape, of each colour and of each kind have been seen."""
    seen = [_seen(view, i) for i in range(len(view.times_s))]
    return {
        "by_shape": [[sum(t.shape == shape for t in now) for shape in SHAPES] for now in seen],
        "by_colour": [[sum(t.colour == hue for t in now) for hue in COLOURS] for now in seen],
        "by_kind": [
            [sum(number_of(t) == 1 + kind for t in now) for kind in range(NUM_KINDS)] for now in seen
        ],
    }


def _world(view: View) -> list[int]:
    return [1 if _seen(view, i) else 3 for i in range(len(view.times_s))]


def _presence(view: View) -> list[list[int]]:
    """Which kinds are there and which have gone. Later tokens of a still thing are pruned, so the state must hold it."""
    targets = []
    for i in range(len(view.times_s)):
        now = [0] * NUM_KINDS
        for thing in _seen(view, i):
            index = number_of(thing) - 1
            is_there = i <= view.last(thing) or now[index] == 1
            now[index] = 1 if is_there else 2
        targets.append(now)
    return targets


def _movers(view: View) -> list[int]:
    """How many things have moved; NO_LOSS while one of them has been in a single frame."""
    targets = []
    for i in range(len(view.times_s)):
        movers = [t for t in _seen(view, i) if t.direction]
        undecided = any(view.first(t) == i or view.first(t) == view.last(t) for t in movers)
        targets.append(NO_LOSS if undecided else len(movers))
    return targets


def _events(view: View) -> dict[str, list[int]]:
    """The first event and the last event so far, with their seconds in answers."""
    events = [
        (e.frame, number_of(e.thing) + (NUM_KINDS if e.what == "disappears" else 0), e.second)
        for e in events_of(view)
    ]
    past = [
        [(number, second) for frame, number, second in events if frame <= i] for i in range(len(view.times_s))
    ]
    targets = {}
    for which, end in (("first", 0), ("last", -1)):
        targets[f"{which}_event"] = [p[end][0] if p else 0 for p in past]
        targets[f"{which}_second"] = [p[end][1] if p else 0 for p in past]
    return targets


def _comers(view: View) -> dict[str, list[int]]:
    """The thing that appeared first, and the last one so far; NO_LOSS where two appeared together."""
    first, last = [], []
    for i in range(len(view.times_s)):
        came = sorted((view.first(t) or 0, number_of(t)) for t in _seen(view, i))
        alone = [number if sum(f == g for g, _ in came) == 1 else NO_LOSS for f, number in came]
        first.append(alone[0] if alone else 0)
        last.append(alone[-1] if alone else 0)
    return {"first_comer": first, "last_comer": last}
