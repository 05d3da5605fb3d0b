"""What has happened so far, which the end of each tubelet is asked for in training.

Questions that compare things or events (what is on the left, what happens first, how many) need more than one
glance at the vision tokens. Where the end of a tubelet holds the comparison, a question only has to look it up.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from training.dense import MAX_LETTERS, NO_LOSS
from training.questions.places import MARGIN, SIDES
from training.questions.view import View, events_of
from training.scenes import Thing
from training.watch import LETTERS_AND_NONE, NUM_KINDS, NUM_SECONDS, frame_pairs, number_of

# What is asked → how many classes, how many such answers, and the weight of the first class, the usual one.
# Things are numbered from 1 by their kind; what disappears, as an event, NUM_KINDS further on.
STORY = {
    "outermost": (1 + NUM_KINDS, len(SIDES), 0.1), "count": (4, 1, 1.0), "movers": (4, 1, 0.5),
    "first_event": (1 + 2 * NUM_KINDS, 1, 0.2), "last_event": (1 + 2 * NUM_KINDS, 1, 0.2),
    "first_second": (NUM_SECONDS, 1, 0.2), "last_second": (NUM_SECONDS, 1, 0.2),
    "first_comer": (1 + NUM_KINDS, 1, 0.2), "last_comer": (1 + NUM_KINDS, 1, 0.2),
    "spelling": (len(LETTERS_AND_NONE), MAX_LETTERS, 0.1), "presence": (3, NUM_KINDS, 0.05),
}  # fmt: skip


def story_targets(view: View) -> dict[str, Tensor]:
    """Each of `STORY` after each tubelet; 0 where there is nothing to tell yet.

    [T]; outermost is [T, 4], spelling [T, 7], presence [T, 32]: 1 for a kind that is there, 2 when it has gone
    """
    frames: dict[str, list[Any]] = {
        "outermost": _outermost(view), "count": _count(view), "movers": _movers(view),
        **_events(view), **_comers(view), "spelling": _spelling(view), "presence": _presence(view),
    }  # fmt: skip
    last = [min(2 * i + 1, len(view.times_s) - 1) for i in range(len(frame_pairs(view.times_s)))]
    return {name: torch.tensor([told[i] for i in last]) for name, told in frames.items()}


def _outermost(view: View) -> list[list[int]]:
    """For each side, which thing is nearest to it; kept when others have gone, NO_LOSS where it is close."""
    told, now = [], [0] * len(SIDES)
    for time_s in view.times_s:
        shown = [(number_of(t), t.centre(time_s)) for t in view.things if t.is_visible(time_s)]
        if len(shown) > 1:
            now = [_nearest(shown, axis, sign) for axis, sign in SIDES.values()]
        told.append(now)
    return told


def _nearest(shown: list[tuple[int, tuple[float, float]]], axis: int, sign: int) -> int:
    (nearest, place), (_, other) = sorted(shown, key=lambda s: sign * s[1][axis])[:2]
    return nearest if sign * (other[axis] - place[axis]) >= MARGIN else NO_LOSS


def _spelling(view: View) -> list[list[int]]:
    """The word's letters from the first to the last, however few of them this tubelet still shows."""
    text = view.scene.word.text.upper() if view.scene.word else ""
    letters = [LETTERS_AND_NONE.index(letter) for letter in text.ljust(MAX_LETTERS, LETTERS_AND_NONE[0])]
    return [letters] * len(view.times_s)


def _seen(view: View, frame: int) -> list[Thing]:
    return [t for t in view.things if (view.first(t) or 0) <= frame]


def _count(view: View) -> list[int]:
    return [len(_seen(view, i)) for i in range(len(view.times_s))]


def _presence(view: View) -> list[list[int]]:
    """Which kinds are there and which have gone. A still thing's later tokens are pruned: it has to be kept in mind."""
    told = []
    for i in range(len(view.times_s)):
        now = [0] * NUM_KINDS
        for thing in _seen(view, i):
            now[number_of(thing) - 1] = 1 if i <= view.last(thing) else 2
        told.append(now)
    return told


def _movers(view: View) -> list[int]:
    """How many have moved; NO_LOSS while one of them has been on a single frame."""
    told = []
    for i in range(len(view.times_s)):
        movers = [t for t in _seen(view, i) if t.direction]
        undecided = any(view.first(t) == i or view.first(t) == view.last(t) for t in movers)
        told.append(NO_LOSS if undecided else len(movers))
    return told


def _events(view: View) -> dict[str, list[int]]:
    """Which coming or going was the first, and which the last so far; at which seconds, as answers name them."""
    events = [
        (e.frame, number_of(e.thing) + (NUM_KINDS if e.what == "disappears" else 0), e.second)
        for e in events_of(view)
    ]
    past = [
        [(number, second) for frame, number, second in events if frame <= i] for i in range(len(view.times_s))
    ]
    told = {}
    for which, end in (("first", 0), ("last", -1)):
        told[f"{which}_event"] = [p[end][0] if p else 0 for p in past]
        told[f"{which}_second"] = [p[end][1] if p else 0 for p in past]
    return told


def _comers(view: View) -> dict[str, list[int]]:
    """Which thing was seen first, and which last so far; NO_LOSS where two came together."""
    first, last = [], []
    for i in range(len(view.times_s)):
        came = sorted((view.first(t) or 0, number_of(t)) for t in _seen(view, i))
        alone = [number if sum(f == g for g, _ in came) == 1 else NO_LOSS for f, number in came]
        first.append(alone[0] if alone else 0)
        last.append(alone[-1] if alone else 0)
    return {"first_comer": first, "last_comer": last}
