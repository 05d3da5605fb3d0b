"""What people ask about a scene, and the true answer.

Each builder looks at a scene and returns a Question, or None when the scene does not decide the answer.
Wording is drawn from many paraphrases; the answer is always worded the same way.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from random import Random

from training import outside
from training.scenes import COLOURS, DIRECTIONS, SHAPES, Scene, Thing

NUMBERS = ("zero", "one", "two", "three")


@dataclass(frozen=True)
class Question:
    """text: as a person would type it; short, sentence: the answer in two styles; kind: for the table.

    seconds: the true time in the clip, where the answer is one
    """

    kind: str
    text: str
    short: str
    sentence: str
    seconds: float | None = None


@dataclass(frozen=True)
class View:
    """A scene as the model sees it: only what is on the sampled frames exists.

    times_s: true times of the sampled frames
    """

    scene: Scene
    times_s: tuple[float, ...]

    @property
    def things(self) -> list[Thing]:
        """The objects that can be seen, by first sight, then from left to right."""
        seen = [t for t in self.scene.things if self.first(t) is not None]
        return sorted(seen, key=lambda t: (self.first(t) or 0, t.centre(self.times_s[self.first(t) or 0])[0]))

    def first(self, thing: Thing) -> int | None:
        """Index of the first sampled frame that shows it."""
        return next((i for i, t in enumerate(self.times_s) if thing.is_visible(t)), None)

    def last(self, thing: Thing) -> int:
        """Index of the last sampled frame that shows it."""
        return max(i for i, t in enumerate(self.times_s) if thing.is_visible(t))

    def appears(self, thing: Thing) -> int | None:
        """The second at which it comes; None if it was there from the start."""
        first = self.first(thing)
        return self._second(first) if first else None

    def disappears(self, thing: Thing) -> int | None:
        """The second at which it is first missing again; None if it stays."""
        last = self.last(thing)
        return self._second(last + 1) if last + 1 < len(self.times_s) else None

    def _second(self, frame: int) -> int:
        """When the frame's tubelet begins: at two frames a second, at most half a second from the truth.

        Not the frame's own label, rounded: that is half-way between two seconds for every other frame, and
        labels of some frame rates run slow.
        """
        return round(self.times_s[frame - frame % 2])


def in_order(things: list[Thing]) -> list[Thing]:
    """In the order of the table of colours.

    A fixed order: what is told next then depends on what is there alone, not on when and where it was seen.
    """
    table = list(COLOURS)
    return sorted(things, key=lambda t: (table.index(t.colour), SHAPES.index(t.shape)))


def listing(things: list[Thing]) -> str:
    """Such as "a red circle and an orange star"."""
    return " and ".join(_article(thing.name) for thing in in_order(things))


def reference(rng: Random, thing: Thing, view: View) -> str | None:
    """Words that mean this object and no other, without giving away both of its traits."""
    things = view.things
    options = [f"the {thing.name}"] if rng.random() < 0.5 else []
    if sum(t.shape == thing.shape for t in things) == 1:
        options.append(f"the {thing.shape}")
    if sum(t.colour == thing.colour for t in things) == 1:
        options.append(f"the {thing.colour} {rng.choice(('object', 'shape', 'one', 'thing'))}")
    if len(things) == 1:
        options.append(rng.choice(("the object", "the shape", "it")))
    movers = [t for t in things if t.direction]
    if movers == [thing] and len(things) > 1:
        options.append(rng.choice(("the moving object", "the object that moves", "the one that moves")))
    return rng.choice(options) if options else None


Builder = Callable[[Random, View], Question | None]


def _pick(rng: Random, *texts: str) -> str:
    return rng.choice(texts)


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
        ref = _pick(rng, "the moving object", "the object that moves")
    if ref is None:
        return None
    word = rng.choice(("colour", "color"))
    text = _pick(
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
        ref = _pick(rng, "the moving object", "the object that moves")
    if ref is None:
        return None
    text = _pick(
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
        suffix = _pick(
            rng,
            " are there",
            " can you see",
            " do you see",
            " are in the video",
            " are shown",
            " appear in the clip",
        )
    elif what < 0.65:
        wanted = rng.choice(SHAPES)
        counted, noun = [t for t in things if t.shape == wanted], f"{wanted}s"
        suffix = _pick(rng, " are there", " can you see", " are in the video", " do you see")
    elif what < 0.8:
        hue = rng.choice(things).colour if rng.random() < 0.7 else rng.choice(list(COLOURS))
        counted = [t for t in things if t.colour == hue]
        noun = f"{hue} {rng.choice(('objects', 'shapes', 'things'))}"
        suffix = _pick(rng, " are there", " can you see", " are in the video", " do you see")
    else:
        counted, noun = [t for t in things if t.direction], rng.choice(("objects", "shapes", "things"))
        suffix = _pick(rng, " move", " are moving", " are in motion")
    text = _pick(
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
    text = _pick(
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


SIDES = {"left": (0, 1), "right": (0, -1), "top": (1, 1), "bottom": (1, -1)}
MARGIN = 0.12  # by which a thing must be further that way than the others, in frame heights


def _extreme(view: View, axis: int, sign: int) -> Thing | None:
    """The object that is furthest that way on every frame, by a clear margin."""
    things = view.things
    found: Thing | None = None
    for time_s in view.times_s:
        visible = [t for t in things if t.is_visible(time_s)]
        if len(visible) < 2:
            continue
        ranked = sorted(visible, key=lambda t: sign * t.centre(time_s)[axis])
        gap = sign * (ranked[1].centre(time_s)[axis] - ranked[0].centre(time_s)[axis])
        if gap < MARGIN or (found is not None and found != ranked[0]):
            return None
        found = ranked[0]
    together = all(
        any(a.is_visible(t) and b.is_visible(t) for t in view.times_s) for a in things for b in things
    )
    return found if together else None


def position(rng: Random, view: View) -> Question | None:
    """What is on the left? Where is X?"""
    if rng.random() < 0.35 or len(view.things) == 1:
        return _where(rng, view)
    furthest = {side: _extreme(view, *way) for side, way in SIDES.items()}
    decided = [(side, thing) for side, thing in furthest.items() if thing is not None]
    if not decided:
        return None
    side, thing = rng.choice(decided)
    where = f"at the {side}" if side in ("top", "bottom") else f"on the {side}"
    text = _pick(
        rng,
        f"What is {where}?",
        f"Which object is {where}?",
        f"What can you see {where}?",
        f"Which shape is {where}?",
        f"What object is {where} of the frame?",
        f"Name the object {where}.",
        f"What is {where} of the video?",
        f"What is {where} side?" if side in ("left", "right") else f"What is {where} of the picture?",
        f"Tell me what is {where}.",
    )
    return Question("position", text, thing.name, f"The {thing.name} is {where}.")


def _where(rng: Random, view: View) -> Question | None:
    still = [t for t in view.things if t.direction is None]
    if not still:
        return None
    thing = rng.choice(still)
    ref = reference(rng, thing, view)
    if ref is None:
        return None
    x = thing.x / view.scene.aspect
    if x < 0.28:
        where = "on the left"
    elif x > 0.72:
        where = "on the right"
    elif 0.42 < x < 0.58:
        where = "in the middle"
    else:
        return None
    text = _pick(
        rng,
        f"Where is {ref}?",
        f"Where can I find {ref}?",
        f"On which side is {ref}?",
        f"In which part of the frame is {ref}?",
        f"Where in the video is {ref}?",
        f"Is {ref} on the left, in the middle or on the right?",
    )
    return Question("position", text, where.split()[-1], f"The {thing.name} is {where}.")


def _events(view: View) -> list[tuple[float, Thing, str]]:
    """(true time, object, "appears" | "disappears"), in order."""
    out = []
    for thing in view.things:
        if view.appears(thing) is not None:
            out.append((thing.appears_s or 0.0, thing, "appears"))
        if view.disappears(thing) is not None:
            out.append((thing.disappears_s or 0.0, thing, "disappears"))
    return sorted(out, key=lambda e: e[0])


def order(rng: Random, view: View) -> Question | None:
    """What happens first? Which comes last?"""
    events = _events(view)
    if not events or any(b[0] - a[0] < 1.1 for a, b in pairwise(events)):
        return None
    if rng.random() < 0.6 or len(view.things) < 2:
        first = rng.random() < 0.6 or len(events) == 1
        _, thing, what = events[0 if first else -1]
        word = "first" if first else "last"
        text = _pick(
            rng,
            f"What happens {word}?",
            f"Which event happens {word}?",
            f"What is the {word} thing that happens?",
            f"What is the {word} event?",
            f"Which change comes {word}?",
            f"What changes {word}?",
            f"Tell me what happens {word}.",
        )
        return Question("order", text, f"{thing.name} {what}", f"The {thing.name} {what}.")
    comers = [(view.first(t), t) for t in view.things]
    comers.sort(key=lambda c: c[0] or 0)
    if any((b[0] or 0) - (a[0] or 0) < 2 for a, b in pairwise(comers)):
        return None
    first = rng.random() < 0.5
    thing = comers[0 if first else -1][1]
    word = "first" if first else "last"
    text = _pick(
        rng,
        f"Which object appears {word}?",
        f"Which object comes {word}?",
        f"Which shape do we see {word}?",
        f"What appears {word}?",
        f"Which one shows up {word}?",
        f"Which object is seen {word}?",
    )
    return Question("order", text, thing.name, f"The {thing.name} comes {word}.")


def lifecycle(rng: Random, view: View) -> Question | None:
    """What appears? What disappears? Does X appear or disappear?"""
    what = rng.choice(("appears", "disappears"))
    stem = what[:-1]
    doing = [t for _, t, w in _events(view) if w == what]
    if rng.random() < 0.55:
        if len(doing) > 1 or (not doing and rng.random() < 0.5):
            return None
        other = {"appear": "show up", "disappear": "vanish"}[stem]
        text = _pick(
            rng,
            f"What {what} during the clip?",
            f"Which object {what}?",
            f"Does anything {stem}?",
            f"Does something {other}?",
            f"What {what}?",
            f"Which object {what} in the video?",
            f"Does any object {stem} during the video?",
            f"Does anything {other}?",
            f"Which object {what} during the video?",
        )
        if not doing:
            return Question("appears/disappears", text, "nothing", f"Nothing {what}.")
        return Question("appears/disappears", text, doing[0].name, f"The {doing[0].name} {what}.")
    thing = rng.choice(doing) if doing and rng.random() < 0.6 else rng.choice(view.things)
    ref = reference(rng, thing, view)
    if ref is None:
        return None
    other = {"appear": "show up later", "disappear": "vanish"}[stem]
    text = _pick(
        rng,
        f"Does {ref} {stem}?",
        f"Does {ref} {stem} during the clip?",
        f"Does {ref} {other}?",
        f"Does {ref} {stem} at some point?",
        f"Does {ref} {stem} in the video?",
    )
    if thing in doing:
        return Question("appears/disappears", text, "yes", f"The {thing.name} {what}, so yes.")
    stays = {"appear": "is there from the start", "disappear": "stays to the end"}[stem]
    return Question("appears/disappears", text, "no", f"The {thing.name} {stays}, so no.")


def second(rng: Random, view: View) -> Question | None:
    """At what second does X appear?"""
    what = "appears" if rng.random() < 0.75 else "disappears"
    doing = [t for _, t, w in _events(view) if w == what]
    if not doing:
        return None
    thing = rng.choice(doing)
    ref = reference(rng, thing, view)
    if ref is None:
        return None
    stem = what[:-1]
    at = view.appears(thing) if what == "appears" else view.disappears(thing)
    text = _pick(
        rng,
        f"At what second does {ref} {stem}?",
        f"When does {ref} {stem}?",
        f"At which second does {ref} {stem}?",
        f"At what time does {ref} {stem}?",
        f"After how many seconds does {ref} {stem}?",
        f"In which second does {ref} {stem}?",
        f"How many seconds in does {ref} {stem}?",
        f"When exactly does {ref} {stem}?",
        f"Tell me when {ref} {what}.",
    )
    seconds = thing.appears_s if what == "appears" else thing.disappears_s
    kind = "second of appearance" if what == "appears" else "second of disappearance"
    return Question(kind, text, str(at), f"The {thing.name} {what} at second {at}.", seconds)


def on_screen(rng: Random, view: View) -> Question | None:
    """What does the text say?"""
    word = view.scene.word
    if word is None and rng.random() < 0.8:
        return None
    noun = (
        "number"
        if word and word.text.isdigit() and rng.random() < 0.5
        else rng.choice(("text", "word", "text", "writing"))
    )
    text = _pick(
        rng,
        f"What does the {noun} say?",
        f"What {noun} is on the screen?",
        f"Which {noun} is shown?",
        f"Read the {noun}.",
        "What is written in the video?",
        f"What {noun} can you see?",
        f"What is the {noun} on screen?",
        f"What {noun} is written?",
        f"Can you read the {noun}?",
        f"What {noun} is displayed?",
        f"What does the {noun} on the screen say?",
        f"Which {noun} appears on screen?",
    )
    if word is None:
        return Question("no text", text, "none", "There is no text.")
    return Question("on-screen word", text, word.text.upper(), f"The text says {word.text.upper()}")


def yes_no(rng: Random, view: View) -> Question | None:
    """Is there a red circle? Does X move? Is X blue? Is A left of B?"""
    return rng.choice((_is_there, _is_there, _is_colour, _does_move, is_beside, _is_text, _moves_to))(
        rng, view
    )


def _decide(text: str, truth: bool, seen: str) -> Question:
    """What is seen comes first: a model this small must have said it before it can decide by it."""
    return Question("yes/no", text, "yes" if truth else "no", f"{seen}, so {'yes' if truth else 'no'}.")


def _motion(thing: Thing) -> str:
    return f"moves {thing.direction}" if thing.direction else "stays still"


def _article(noun: str) -> str:
    return f"an {noun}" if noun[0] in "aeiou" else f"a {noun}"


def _is_there(rng: Random, view: View) -> Question | None:
    names = {t.name for t in view.things}
    kind = rng.random()
    if kind < 0.5:
        thing = rng.choice(view.things)
        noun = thing.name
        if rng.random() < 0.55:  # change one trait: the hard kind of "no"
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
        noun, truth = f"{hue} object", any(t.colour == hue for t in view.things)
    text = _pick(
        rng,
        f"Is there {_article(noun)}?",
        f"Can you see {_article(noun)}?",
        f"Do you see {_article(noun)}?",
        f"Does the video show {_article(noun)}?",
        f"Is {_article(noun)} in the video?",
        f"Is there {_article(noun)} in the clip?",
    )
    return _decide(text, truth, f"There is {listing(view.things)}")


def _is_colour(rng: Random, view: View) -> Question | None:
    thing = rng.choice(view.things)
    if sum(t.shape == thing.shape for t in view.things) > 1:
        return None
    hue = thing.colour if rng.random() < 0.5 else rng.choice(list(COLOURS))
    text = _pick(
        rng,
        f"Is the {thing.shape} {hue}?",
        f"Is the colour of the {thing.shape} {hue}?",
        f"Is the {thing.shape} {hue} in color?",
    )
    return _decide(text, hue == thing.colour, f"The {thing.shape} is {thing.colour}")


def _does_move(rng: Random, view: View) -> Question | None:
    thing = rng.choice(view.things)
    ref = reference(rng, thing, view)
    if ref is None or "mov" in ref:
        return None
    if rng.random() < 0.4:
        text = _pick(
            rng,
            f"Does {ref} stay still?",
            f"Is {ref} standing still?",
            f"Is {ref} still?",
            f"Does {ref} stay in place?",
        )
        truth = thing.direction is None
    else:
        text = _pick(
            rng,
            f"Does {ref} move?",
            f"Is {ref} moving?",
            f"Does {ref} change its place?",
            f"Is {ref} in motion?",
        )
        truth = thing.direction is not None
    return _decide(text, truth, f"The {thing.name} {_motion(thing)}")


def _moves_to(rng: Random, view: View) -> Question | None:
    movers = [t for t in view.things if t.direction]
    if not movers:
        return None
    thing = rng.choice(movers)
    ref = reference(rng, thing, view)
    if ref is None:
        return None
    way = thing.direction if rng.random() < 0.5 else rng.choice(list(DIRECTIONS))
    text = _pick(
        rng,
        f"Does {ref} move {way}?",
        f"Is {ref} moving {way}?",
        f"Does {ref} go {way}?",
        f"Is {ref} going {way}?",
    )
    return _decide(text, way == thing.direction, f"The {thing.name} {_motion(thing)}")


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
    text = _pick(rng, f"Is {ref_a} {word} {ref_b}?", f"Is {ref_a} {word} {ref_b} in the video?")
    return _decide(text, truth, f"The {a.name} is {real} the {b.name}")


def _is_text(rng: Random, view: View) -> Question | None:
    text = _pick(
        rng,
        "Is there any text?",
        "Is there text on the screen?",
        "Is something written in the video?",
        "Can you see a word?",
        "Is there a word on screen?",
        "Does the video show any text?",
    )
    word = view.scene.word
    return _decide(
        text, word is not None, f"The text says {word.text.upper()}" if word else "There is no text"
    )


def absent(rng: Random, view: View) -> Question | None:
    """A question about an object that is not there."""
    missing = [s for s in SHAPES if all(t.shape != s for t in view.things)]
    ghost = rng.choice(missing)
    text = _pick(
        rng,
        f"What colour is the {ghost}?",
        f"Which way does the {ghost} move?",
        f"What color is the {ghost}?",
        f"Where is the {ghost}?",
        f"When does the {ghost} appear?",
        f"In which direction does the {ghost} move?",
        f"At what second does the {ghost} appear?",
    )
    return Question("absent", text, "none", f"There is no {ghost}.")


def describe(rng: Random, view: View) -> Question | None:
    """Describe the video."""
    text = _pick(
        rng,
        "Describe the video.",
        "What happens in the video?",
        "What do you see?",
        "Describe what you see.",
        "Describe the clip.",
        "What is in this video?",
        "Tell me what happens.",
        "Summarise the video.",
        "Summarize the clip.",
        "What is going on?",
        "What can you see in the video?",
        "Give me a description of the video.",
        "What is shown?",
        "Explain what happens in this clip.",
        "Describe this scene.",
        "Please describe the video.",
    )
    return Question("describe", text, caption(view), caption(view))


def caption(view: View, *, places: bool = False) -> str:
    """Every object, then the text.

    places: also where each object is first seen
    """
    parts = []
    for thing in in_order(view.things):
        line = f"{_article(thing.name)}{_place(view, thing) if places else ''} {_motion(thing)}"
        if (at := view.appears(thing)) is not None:
            line += f", appears at second {at}"
        if (gone := view.disappears(thing)) is not None:
            line += f", disappears at second {gone}"
        parts.append(f"{line[0].upper()}{line[1:]}.")
    if view.scene.word:
        parts.append(f"The text says {view.scene.word.text.upper()}")
    return " ".join(parts)


def _place(view: View, thing: Thing) -> str:
    """The ninth of the frame in which it is first seen: " at the top left", " on the right", " in the middle"."""
    x, y = thing.centre(view.times_s[view.first(thing) or 0])
    column = ("left", "", "right")[min(2, int(3 * x / view.scene.aspect))]
    row = ("top", "", "bottom")[min(2, int(3 * y))]
    if row:
        return f" at the {row} {column}".rstrip()
    return f" on the {column}" if column else " in the middle"


def beyond(rng: Random, view: View) -> Question | None:
    """A question that the scenes world cannot answer."""
    del view
    return Question("outside my world", outside.question(rng), "unknown", outside.ANSWER)


# How often each is drawn. What a model this small learns last, and what few scenes decide, is asked most.
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
    """A random question that this view decides."""
    pool = list(builders or shares)
    while True:
        builder = rng.choices(pool, [shares[b] for b in pool])[0]
        question = builder(rng, view)
        if question is not None:
            return question


def casual(rng: Random, text: str) -> str:
    """The same question as people type it: lower case, no question mark, polite, with a preamble."""
    roll = rng.random()
    if roll < 0.12:
        text = rng.choice(
            (
                "In this video, ",
                "In the clip, ",
                "Watch the video. ",
                "Please tell me: ",
                "Question: ",
                "Hi! ",
                "Look closely: ",
            )
        ) + (text if rng.random() < 0.5 else text[0].lower() + text[1:])
    if rng.random() < 0.06:
        text += rng.choice((" Thanks!", " Thank you.", " Please answer."))
    if rng.random() < 0.15:
        text = text.lower()
    if rng.random() < 0.12:
        text = text.rstrip("?.")
    return text[0].upper() + text[1:] if roll > 0.3 else text
