"""A scene as its sampled frames show it, and true statements about it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from random import Random
from typing import Literal, NamedTuple

from training.scenes import COLOURS, SHAPES, Scene, Thing, Word


@dataclass(frozen=True)
class View:
    """A scene as its sampled frames show it. What no sampled frame shows does not count.

    times_s: true times of the sampled frames
    """

    scene: Scene
    times_s: tuple[float, ...]

    @property
    def things(self) -> list[Thing]:
        """The visible objects, in the order of their first frames, then from left to right."""
        seen = [t for t in self.scene.things if self.first(t) is not None]
        return sorted(seen, key=lambda t: (self.first(t) or 0, t.centre(self.times_s[self.first(t) or 0])[0]))

    def first(self, thing: Thing) -> int | None:
        """Index of the first sampled frame that shows the thing, or None."""
        return next((i for i, t in enumerate(self.times_s) if thing.is_visible(t)), None)

    def last(self, thing: Thing) -> int:
        """Index of the last sampled frame that shows the thing."""
        return max(i for i, t in enumerate(self.times_s) if thing.is_visible(t))

    def appears(self, thing: Thing) -> int | None:
        """The second at which the thing appears; None if it is there from the start."""
        first = self.first(thing)
        return self._second(first) if first else None

    def disappears(self, thing: Thing) -> int | None:
        """The second at which the thing is first missing again; None if it stays."""
        last = self.last(thing)
        return self._second(last + 1) if last + 1 < len(self.times_s) else None

    def _second(self, frame: int) -> int:
        """The start of the frame's tubelet, rounded: at two frames a second, within about half a second of the truth.

        The rounded time of the frame itself would be worse. For every other frame it is half-way between two seconds, and
        at some frame rates the labels run slow.
        """
        return round(self.times_s[frame - frame % 2])


class Event(NamedTuple):
    """An object that appears or disappears.

    time_s: the true time; frame: index of the first sampled frame that shows it; second: the second in answers
    """

    time_s: float
    thing: Thing
    what: Literal["appears", "disappears"]
    frame: int
    second: int

    @property
    def is_dated(self) -> bool:
        """Whether the second in answers is within one of the truth. The frames of short clips can be too far apart."""
        return abs(self.second - self.time_s) <= 1


def events_of(view: View) -> list[Event]:
    """All events of the view, in the order of their times."""
    out = []
    for thing in view.things:
        if (second := view.appears(thing)) is not None:
            out.append(Event(thing.appears_s or 0.0, thing, "appears", view.first(thing) or 0, second))
        if (second := view.disappears(thing)) is not None:
            out.append(Event(thing.disappears_s or 0.0, thing, "disappears", view.last(thing) + 1, second))
    return sorted(out, key=lambda e: e.time_s)


def in_order(things: list[Thing]) -> list[Thing]:
    """The things sorted by colour, then by shape.

    The order is fixed, so that the next thing in a description does not depend on when and where things were seen.
    """
    table = list(COLOURS)
    return sorted(things, key=lambda t: (table.index(t.colour), SHAPES.index(t.shape)))


def reference(rng: Random, thing: Thing, view: View) -> str | None:
    """A phrase that means only this object, mostly by one of its traits; or None. It may have slots of `forms`."""
    things = view.things
    is_named = rng.random() < 0.5 and sum(t.name == thing.name for t in things) == 1
    options = [f"the {thing.name}"] if is_named else []
    if sum(t.shape == thing.shape for t in things) == 1:
        options.append(f"the {thing.shape}")
    if sum(t.colour == thing.colour for t in things) == 1:
        options.append(f"the {thing.colour} {{one}}")
    if len(things) == 1:
        options.append(rng.choice(("the {object}", "it")))
    movers = [t for t in things if t.direction]
    if movers == [thing] and len(things) > 1:
        options.append(rng.choice(("the moving {object}", "the {object} that moves", "the one that moves")))
    return rng.choice(options) if options else None


def named(things: list[Thing]) -> list[tuple[str, Thing]]:
    """Each thing, in order, with a phrase such as "a red circle"; a second one is "another red circle"."""
    seen: Counter[str] = Counter()
    phrases = []
    for thing in in_order(things):
        seen[thing.name] += 1
        number = seen[thing.name]
        phrase = (
            article(thing.name) if number == 1 else f"{'another' if number == 2 else 'a third'} {thing.name}"
        )
        phrases.append((phrase, thing))
    return phrases


def listing(things: list[Thing]) -> str:
    """Such as "a red circle and another red circle and an orange star"."""
    return " and ".join(phrase for phrase, _ in named(things))


def caption(view: View, *, places: bool = False) -> str:
    """A sentence for each object, then the text on screen.

    places: also where each object is first seen
    """
    parts = []
    for phrase, thing in named(view.things):
        line = f"{phrase}{_place(view, thing) if places else ''} {motion(thing)}"
        if (at := view.appears(thing)) is not None:
            line += f", appears at second {at}"
        if (gone := view.disappears(thing)) is not None:
            line += f", disappears at second {gone}"
        parts.append(f"{line[0].upper()}{line[1:]}.")
    if view.scene.word:
        parts.append(reading(view.scene.word))
    return " ".join(parts)


UNREADABLE = "unreadable"


def reading(word: Word) -> str:
    """What the text says, in the case that is seen, or that it cannot be read."""
    return f"The text says {word.text}" if word.is_readable else f"The text is {UNREADABLE}."


def motion(thing: Thing) -> str:
    """Such as "moves left" or "stays still"."""
    return f"moves {thing.direction}" if thing.direction else "stays still"


def article(noun: str) -> str:
    """The noun with its indefinite article."""
    return f"an {noun}" if noun[0] in "aeiou" else f"a {noun}"


def _place(view: View, thing: Thing) -> str:
    """The ninth of the frame in which it is first seen: " at the top left", " on the right", " in the middle"."""
    x, y = thing.centre(view.times_s[view.first(thing) or 0])
    column = ("left", "", "right")[min(2, int(3 * x / view.scene.aspect))]
    row = ("top", "", "bottom")[min(2, int(3 * y))]
    if row:
        return f" at the {row} {column}".rstrip()
    return f" on the {column}" if column else " in the middle"
