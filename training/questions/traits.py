"""Questions about how many objects there are, how they look and how they move."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from training.questions.question import NUMBERS, Question, Wording, asked
from training.questions.view import View, listing, motion, named, reference
from training.scenes import COLOURS, SHAPES, Thing


def colour(rng: Random, view: View) -> Question | None:
    """What colour is X?"""
    thing = rng.choice(view.things)
    things = view.things
    ref = None
    if len(things) == 1:
        ref = rng.choice((f"the {thing.shape}", "the {object}", "it"))
    elif sum(t.shape == thing.shape for t in things) == 1:
        ref = f"the {thing.shape}"
    elif [t for t in things if t.direction] == [thing]:
        ref = rng.choice(("the moving {object}", "the {object} that moves"))
    if ref is None:
        return None
    sentence = f"The {thing.shape} is {thing.colour}."
    return asked(rng, "colour", Wording("colour", {"ref": ref}), thing.colour, sentence)


def shape(rng: Random, view: View) -> Question | None:
    """What shape is X?"""
    thing = rng.choice(view.things)
    things = view.things
    ref = None
    if len(things) == 1:
        ref = rng.choice((f"the {thing.colour} {{one}}", "the object", "it"))
    elif sum(t.colour == thing.colour for t in things) == 1:
        ref = f"the {thing.colour} {{one}}"
    elif [t for t in things if t.direction] == [thing]:
        ref = rng.choice(("the moving {object}", "the {object} that moves"))
    if ref is None:
        return None
    sentence = f"The {thing.colour} object is a {thing.shape}."
    return asked(rng, "shape", Wording("shape", {"ref": ref}), thing.shape, sentence)


def how_many(rng: Random, view: View) -> Question | None:
    """How many objects, circles, red things, red circles, moving things?"""
    return rng.choices(COUNTS, (26, 22, 17, 18, 17))[0](rng, view)


def count_all(rng: Random, view: View) -> Question:
    """How many objects?"""
    return _counted(rng, "{objects}", "object", view.things)


def count_of_shape(rng: Random, view: View) -> Question:
    """How many circles?"""
    wanted = _balanced(rng, SHAPES, view, lambda thing: thing.shape)
    return _counted(rng, f"{wanted}s", wanted, [t for t in view.things if t.shape == wanted])


def count_of_colour(rng: Random, view: View) -> Question:
    """How many red objects?"""
    hue = _balanced(rng, tuple(COLOURS), view, lambda thing: thing.colour)
    found = [t for t in view.things if t.colour == hue]
    return _counted(rng, f"{hue} {{objects}}", f"{hue} object", found)


def count_of_name(rng: Random, view: View) -> Question:
    """How many red circles?"""
    thing = rng.choice(view.things)
    name = thing.name if rng.random() < 0.75 else f"{rng.choice(list(COLOURS))} {thing.shape}"
    return _counted(rng, f"{name}s", name, [t for t in view.things if t.name == name])


def _balanced(rng: Random, values: tuple[str, ...], view: View, trait: Callable[[Thing], str]) -> str:
    """A value that some number of things have; the number is drawn first, so that larger ones are not rare."""
    counts = {value: sum(trait(t) == value for t in view.things) for value in values}
    number = rng.choice(sorted(set(counts.values())))
    return rng.choice([value for value, count in counts.items() if count == number])


def _counted(rng: Random, nouns: str, noun: str, found: list[Thing]) -> Question:
    seen = f"There is {listing(found) if found else f'no {noun}'}"
    count = NUMBERS[len(found)]
    return asked(rng, "how many", Wording("count", {"noun": nouns}), count, f"{seen}, so {count}.")


def count_movers(rng: Random, view: View) -> Question:
    """How many objects move?"""
    found = [t for t in view.things if t.direction]
    phrases = [f"the {thing.name}" if phrase == _first(thing) else phrase for phrase, thing in named(found)]
    names = " and ".join(phrases) or "nothing"
    seen = f"{names[0].upper()}{names[1:]} {'moves' if len(found) < 2 else 'move'}"
    count = NUMBERS[len(found)]
    return asked(rng, "how many", Wording("count movers", {}), count, f"{seen}, so {count}.")


def _first(thing: Thing) -> str:
    return named([thing])[0][0]


COUNTS = (count_all, count_of_shape, count_of_colour, count_of_name, count_movers)


def movers(rng: Random, view: View) -> Question | None:
    """What is moving, and which way?"""
    moving = named([thing for thing in view.things if thing.direction])
    sentence = " and ".join(f"{phrase} {motion(thing)}" for phrase, thing in moving) or "nothing moves"
    short = " and ".join(thing.name for _, thing in moving) or "nothing"
    return asked(rng, "what moves", Wording("movers", {}), short, f"{sentence[0].upper()}{sentence[1:]}.")


def direction(rng: Random, view: View) -> Question | None:
    """Which way does X move?"""
    movers = [t for t in view.things if t.direction]
    thing = rng.choice(movers) if movers and rng.random() < 0.85 else rng.choice(view.things)
    ref = reference(rng, thing, view)
    if ref is None:
        return None
    sentence = f"The {thing.name} {motion(thing)}."
    return asked(rng, "direction", Wording("direction", {"ref": ref}), thing.direction or "still", sentence)


def absent(rng: Random, view: View) -> Question | None:
    """What colour is the star, in a clip without a star?"""
    missing = rng.choice([s for s in SHAPES if all(t.shape != s for t in view.things)])
    intent, more = rng.choice(
        (
            ("colour", {}), ("colour", {}), ("direction", {}), ("direction", {}), ("where", {}),
            ("second", {"what": "{appears}", "stem": "{appear}"}),
        )
    )  # fmt: skip
    slots = {"ref": f"the {missing}", **more}
    return asked(rng, "absent", Wording(intent, slots), "none", f"There is no {missing}.")
