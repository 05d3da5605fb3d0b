"""Questions about how many objects there are, how they look and how they move."""

from __future__ import annotations

from random import Random

from training.questions.question import NUMBERS, Question, pick
from training.questions.view import View, in_order, listing, reference
from training.scenes import COLOURS, SHAPES


def colour(rng: Random, view: View) -> Question | None:
    """What colour is X?"""
    thing = rng.choice(view.things)
    things = view.things
    ref = None
    if len(things) == 1:
        ref = rng.choice((f"the {thing.shape}", "the object", "the shape", "it"))
    elif sum(t.shape == thing.shape for t in things) == 1:
        ref = f"the {thing.shape}"
    elif [t for t in things if t.direction] == [thing]:
        ref = pick(rng, "the moving object", "the object that moves")
    if ref is None:
        return None
    word = rng.choice(("colour", "color"))
    text = pick(
        rng,
        f"What {word} is {ref}?",
        f"Which {word} is {ref}?",
        f"What {word} does {ref} have?",
        f"What is the {word} of {ref}?",
        f"Tell me the {word} of {ref}.",
        f"{ref} is what {word}?",
        f"Name the {word} of {ref}.",
        f"Which {word} does {ref} have?",
        f"Identify the {word} of {ref}.",
    )
    return Question("colour", text, thing.colour, f"The {thing.shape} is {thing.colour}.")


def shape(rng: Random, view: View) -> Question | None:
    """What shape is X?"""
    thing = rng.choice(view.things)
    things = view.things
    ref = None
    if len(things) == 1:
        ref = rng.choice((f"the {thing.colour} object", "the object", "it", f"the {thing.colour} thing"))
    elif sum(t.colour == thing.colour for t in things) == 1:
        ref = f"the {thing.colour} {rng.choice(('object', 'one', 'thing'))}"
    elif [t for t in things if t.direction] == [thing]:
        ref = pick(rng, "the moving object", "the object that moves")
    if ref is None:
        return None
    text = pick(
        rng,
        f"What shape is {ref}?",
        f"Which shape is {ref}?",
        f"What is the shape of {ref}?",
        f"What shape does {ref} have?",
        f"Tell me the shape of {ref}.",
        f"What kind of shape is {ref}?",
        f"Name the shape of {ref}.",
        f"Which shape does {ref} have?",
        f"Identify the shape of {ref}.",
    )
    return Question("shape", text, thing.shape, f"The {thing.colour} object is a {thing.shape}.")


def how_many(rng: Random, view: View) -> Question | None:
    """How many objects, circles, red things, moving things?"""
    things, what = view.things, rng.random()
    if what < 0.45:
        counted, noun = things, rng.choice(("objects", "shapes", "things"))
        suffix = pick(
            rng,
            " are there",
            " can you see",
            " do you see",
            " are in the video",
            " are shown",
            " are in the clip",
        )
    elif what < 0.65:
        wanted = rng.choice(SHAPES)
        counted, noun = [t for t in things if t.shape == wanted], f"{wanted}s"
        suffix = pick(rng, " are there", " can you see", " are in the video", " do you see")
    elif what < 0.8:
        hue = rng.choice(things).colour if rng.random() < 0.7 else rng.choice(list(COLOURS))
        counted = [t for t in things if t.colour == hue]
        noun = f"{hue} {rng.choice(('objects', 'shapes', 'things'))}"
        suffix = pick(rng, " are there", " can you see", " are in the video", " do you see")
    else:
        counted, noun = [t for t in things if t.direction], rng.choice(("objects", "shapes", "things"))
        suffix = pick(rng, " move", " are moving", " are in motion")
    text = pick(
        rng,
        f"How many {noun}{suffix}?",
        f"How many {noun}{suffix}?",
        f"Count how many {noun}{suffix}.",
        f"Say how many {noun}{suffix}.",
    )
    if what < 0.8:
        seen = f"There is {listing(counted) if counted else f'no {noun[:-1]}'}"
    else:
        names = " and ".join(f"the {t.name}" for t in in_order(counted)) or "nothing"
        seen = f"{names[0].upper()}{names[1:]} {'moves' if len(counted) < 2 else 'move'}"
    count = NUMBERS[len(counted)]
    return Question("how many", text, count, f"{seen}, so {count}.")


def direction(rng: Random, view: View) -> Question | None:
    """Which way does X move?"""
    movers = [t for t in view.things if t.direction]
    thing = rng.choice(movers) if movers and rng.random() < 0.85 else rng.choice(view.things)
    ref = reference(rng, thing, view)
    if ref is None:
        return None
    text = pick(
        rng,
        f"Which way does {ref} move?",
        f"In which direction does {ref} move?",
        f"Where does {ref} move?",
        f"Which direction is {ref} moving?",
        f"Which way is {ref} going?",
        f"What direction does {ref} go?",
        f"Where is {ref} going?",
        f"How does {ref} move?",
        f"In what direction is {ref} moving?",
        f"Tell me which way {ref} moves.",
        f"What is the direction of {ref}?",
        f"Which way does {ref} go?",
    )
    if thing.direction is None:
        return Question("direction", text, "still", f"The {thing.name} stays still.")
    return Question("direction", text, thing.direction, f"The {thing.name} moves {thing.direction}.")


def absent(rng: Random, view: View) -> Question | None:
    """What colour is the star, in a clip without a star?"""
    absent_shapes = [s for s in SHAPES if all(t.shape != s for t in view.things)]
    absent_shape = rng.choice(absent_shapes)
    text = pick(
        rng,
        f"What colour is the {absent_shape}?",
        f"Which way does the {absent_shape} move?",
        f"What color is the {absent_shape}?",
        f"Where is the {absent_shape}?",
        f"When does the {absent_shape} appear?",
        f"In which direction does the {absent_shape} move?",
        f"At what second does the {absent_shape} appear?",
    )
    return Question("absent", text, "none", f"There is no {absent_shape}.")
