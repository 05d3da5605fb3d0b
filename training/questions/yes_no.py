"""Questions with the answer yes or no."""

from __future__ import annotations

from random import Random

from training.questions.question import Builder, Question, Wording, asked
from training.questions.view import View, article, listing, motion, reading, reference
from training.scenes import COLOURS, DIRECTIONS, SHAPES


def yes_no(rng: Random, view: View) -> Question | None:
    """Is there a red circle? Does X move? Is X blue? Is A left of B?"""
    return rng.choice(_ALL)(rng, view)


def without_places(rng: Random, view: View) -> Question | None:
    """One of the questions of `yes_no`, but none that compares places."""
    return rng.choice([builder for builder in _ALL if builder is not is_beside])(rng, view)


def _decide(rng: Random, wording: Wording, truth: bool, seen: str) -> Question:
    """The answer states the fact before yes or no: a model this small has to write it before it can decide."""
    short = "yes" if truth else "no"
    return asked(rng, "yes/no", wording, short, f"{seen}, so {short}.")


def _is_there(rng: Random, view: View) -> Question | None:
    names = {t.name for t in view.things}
    kind = rng.random()
    if kind < 0.5:
        thing = rng.choice(view.things)
        noun = thing.name
        if rng.random() < 0.55:  # changing only one trait makes a hard "no"
            noun = (
                f"{rng.choice(list(COLOURS))} {thing.shape}"
                if rng.random() < 0.5
                else f"{thing.colour} {rng.choice(SHAPES)}"
            )
        truth = noun in names
    elif kind < 0.8:
        noun = rng.choice(view.things).shape if rng.random() < 0.5 else rng.choice(SHAPES)
        truth = any(t.shape == noun for t in view.things)
    else:
        hue = rng.choice(view.things).colour if rng.random() < 0.5 else rng.choice(list(COLOURS))
        noun, truth = f"{hue} {{object}}", any(t.colour == hue for t in view.things)
    slots = {"noun": article(noun)}
    return _decide(rng, Wording("is there", slots), truth, f"There is {listing(view.things)}")


def _is_colour(rng: Random, view: View) -> Question | None:
    thing = rng.choice(view.things)
    if sum(t.shape == thing.shape for t in view.things) > 1:
        return None
    hue = thing.colour if rng.random() < 0.5 else rng.choice(list(COLOURS))
    slots = {"ref": f"the {thing.shape}", "hue": hue}
    return _decide(
        rng, Wording("is colour", slots), hue == thing.colour, f"The {thing.shape} is {thing.colour}"
    )


def _does_move(rng: Random, view: View) -> Question | None:
    thing = rng.choice(view.things)
    ref = reference(rng, thing, view)
    if ref is None or "mov" in ref:
        return None
    intent = "stays" if rng.random() < 0.4 else "stirs"
    truth = (thing.direction is None) == (intent == "stays")
    return _decide(rng, Wording(intent, {"ref": ref}), truth, f"The {thing.name} {motion(thing)}")


def _moves_to(rng: Random, view: View) -> Question | None:
    movers = [t for t in view.things if t.direction]
    if not movers:
        return None
    thing = rng.choice(movers)
    ref = reference(rng, thing, view)
    if ref is None:
        return None
    way = thing.direction if rng.random() < 0.5 else rng.choice(list(DIRECTIONS))
    slots = {"ref": ref, "way": way or ""}
    return _decide(
        rng, Wording("moves to", slots), way == thing.direction, f"The {thing.name} {motion(thing)}"
    )


def is_beside(rng: Random, view: View) -> Question | None:
    """Is A left of B, or above it?"""
    if len(view.things) < 2:
        return None
    a, b = rng.sample(view.things, 2)
    axis = rng.randrange(2)
    gaps = [
        b.centre(t)[axis] - a.centre(t)[axis] for t in view.times_s if a.is_visible(t) and b.is_visible(t)
    ]
    ref_a, ref_b = reference(rng, a, view), reference(rng, b, view)
    if not gaps or ref_a is None or ref_b is None or not (min(gaps) > 0.12 or max(gaps) < -0.12):
        return None
    is_before = gaps[0] > 0
    truth = rng.random() < 0.5
    words = (("to the left of", "to the right of"), ("above", "below"))[axis]
    word = words[0] if is_before == truth else words[1]
    real = words[0] if is_before else words[1]
    slots = {"ref": ref_a, "side": word, "other": ref_b}
    return _decide(rng, Wording("beside", slots), truth, f"The {a.name} is {real} the {b.name}")


def _is_text(rng: Random, view: View) -> Question | None:
    word = view.scene.word
    seen = reading(word).rstrip(".") if word else "There is no text"
    return _decide(rng, Wording("is text", {}), word is not None, seen)


# `_is_there` is listed twice, so that it is asked twice as often.
_ALL: tuple[Builder, ...] = (_is_there, _is_there, _is_colour, _does_move, is_beside, _is_text, _moves_to)
