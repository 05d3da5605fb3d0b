"""The scenes that the demo model is trained on: what a clip contains, without pixels.

Lengths are in frame heights: y runs from 0 (top) to 1, x from 0 to the aspect ratio. Times are seconds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from random import Random

SHAPES = ("circle", "square", "triangle", "star")
DIRECTIONS = {"left": (-1.0, 0.0), "right": (1.0, 0.0), "up": (0.0, -1.0), "down": (0.0, 1.0)}
COLOURS = {
    "red": ((225, 40, 40), (255, 0, 0)),
    "green": ((40, 165, 60), (0, 200, 0)),
    "blue": ((45, 85, 220), (0, 0, 255)),
    "yellow": ((240, 215, 40), (255, 255, 0)),
    "orange": ((245, 135, 25), (255, 150, 0)),
    "purple": ((140, 50, 180), (128, 0, 128)),
    "white": ((245, 245, 245), (255, 255, 255)),
    "black": ((18, 18, 18), (0, 0, 0)),
}
_HERE = Path(__file__).parent
WORDS = (_HERE / "words.txt").read_text().split()
# Used only in evaluation, together with the others.
HELD_OUT_WORDS = (_HERE / "held_out_words.txt").read_text().split()
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@dataclass(frozen=True)
class Thing:
    """One solid object on a straight path. x, y: its centre when it is first visible"""

    shape: str
    colour: str
    rgb: tuple[int, int, int]
    size: float
    angle: float
    x: float
    y: float
    direction: str | None
    speed: float  # frame heights per second
    appears_s: float | None
    disappears_s: float | None

    @property
    def name(self) -> str:
        """Such as "red circle"."""
        return f"{self.colour} {self.shape}"

    def is_visible(self, time_s: float) -> bool:
        """Whether the thing is on screen at that time."""
        return (self.appears_s is None or time_s >= self.appears_s) and (
            self.disappears_s is None or time_s < self.disappears_s
        )

    def centre(self, time_s: float) -> tuple[float, float]:
        """The thing's centre at that time."""
        dx, dy = DIRECTIONS[self.direction] if self.direction else (0.0, 0.0)
        moved = self.speed * (time_s - (self.appears_s or 0.0))
        return self.x + dx * moved, self.y + dy * moved


@dataclass(frozen=True)
class Word:
    """A text on screen for the whole clip: one word or number, or two short ones; up to five where it cannot be read.

    x, y: its centre; height: the font size
    """

    text: str
    x: float
    y: float
    height: float
    font: int  # index into paint.FONTS
    rgb: tuple[int, int, int]

    @property
    def is_readable(self) -> bool:
        """Whether it is large enough to be read. No text is made between `SMALLEST_READ` and `LARGEST_UNREAD`."""
        return self.height >= SMALLEST_READ


@dataclass(frozen=True)
class Background:
    """A plain colour, a gradient between two colours, or a texture."""

    kind: str
    rgb: tuple[int, int, int]
    rgb2: tuple[int, int, int]
    seed: int


@dataclass(frozen=True)
class Scene:
    """Everything that a clip shows. Usually at most three things and one word; a crowded scene has more."""

    duration_s: float
    aspect: float
    things: tuple[Thing, ...]
    words: tuple[Word, ...]
    background: Background

    @property
    def word(self) -> Word | None:
        """The text on screen, or None."""
        return self.words[0] if self.words else None


SIZES = (0.08, 0.30)
# Heights of text. The model sees 128 to 176 rows of pixels: below, a character is smaller than half a patch.
SMALLEST_READ, LARGEST_READ = 0.13, 0.28
SMALLEST_UNREAD, LARGEST_UNREAD = 0.04, 0.085
UNREAD = 0.1  # share of texts that are too small
MOST_CHARACTERS = 7  # of a text that can be read, spaces included


def make_scene(
    rng: Random,
    duration_s: float,
    aspect: float,
    *,
    smallest: float = SIZES[0],
    held_out: bool = False,
    alike: float = 0.25,
    twins: float = 0.0,
    count: int | None = None,
    still: bool = False,
) -> Scene:
    """A random scene in which objects never touch each other or the word.

    smallest: size of the smallest object, in frame heights
    held_out: the text is a word or a number, never random characters; some words are not used in training
    alike: probability that an object is kept that shares its colour or its shape with an earlier one
    twins: probability that later objects have both the colour and the shape of an earlier one, two times in three
    count: number of objects; by default one to three
    still: nothing moves, appears or disappears
    """
    while True:
        names = _names(rng, count or rng.choices((1, 2, 3), (3, 4, 3))[0], alike, twins)
        background = _background(rng, [colour for colour, _ in names])
        if background is None:
            continue
        words = _words(rng, aspect, background, 1, held_out=held_out) if rng.random() < 0.4 else ()
        things: list[Thing] = []
        for colour, shape in names:
            for _ in range(30):
                size = rng.uniform(smallest, SIZES[1])
                thing = _thing(rng, colour, shape, size=size, duration_s=duration_s, aspect=aspect)
                if still and thing is not None:
                    thing = replace(thing, direction=None, appears_s=None, disappears_s=None)
                if thing is not None and _keeps_apart(thing, things, words, duration_s):
                    things.append(thing)
                    break
        if len(things) == len(names):
            return Scene(duration_s, aspect, tuple(things), words, background)


# Shares of training. Objects that share a trait are hard to distinguish, and rare at the default of `make_scene`.
ALIKE, TWINS = 1.0, 0.35


def training_scene(
    rng: Random, duration_s: float, aspect: float, *, count: int | None = None, still: bool = False
) -> Scene:
    """A random scene, or the richest of three. A batch has few clips, and simple ones lack the hard questions.

    Clips that are no simple scene are made from such scenes too. Were theirs poorer, the model would learn to refuse poor
    scenes.
    """
    made = [
        make_scene(rng, duration_s, aspect, alike=ALIKE, twins=TWINS, count=count, still=still)
        for _ in range(rng.choices((1, 3), (2, 3))[0])
    ]
    return max(made, key=_richness)


def _richness(scene: Scene) -> int:
    """The number of events and of pairs of things that share a trait, plus two if there is text."""
    events = sum((t.appears_s is not None) + (t.disappears_s is not None) for t in scene.things)
    alike = sum(a.shape == b.shape or a.colour == b.colour for a, b in combinations(scene.things, 2))
    return events + alike + 2 * (scene.word is not None)


def make_crowded_scene(
    rng: Random, duration_s: float, aspect: float, *, smallest: float = SIZES[0], written: float = 0.25
) -> Scene:
    """A scene with as many things and words as fit: it gives a training step more targets than a usual scene.

    written: share of these scenes that are mostly words
    """
    while True:
        background = _background(rng, [])
        fitting = [colour for colour in COLOURS if background and _stands_out(colour, background)]
        if background is not None and len(fitting) > 2:
            break
    if rng.random() < written:
        num_words, num_things = 40, 2
    else:
        num_words, num_things = rng.choice(((4, 10), (1, 24), (0, 24)))
    words = _words(rng, aspect, background, num_words)
    things: list[Thing] = []
    for _ in range(num_things):
        size = rng.uniform(smallest, SIZES[1])
        colour, shape = rng.choice(fitting), rng.choice(SHAPES)
        thing = _thing(rng, colour, shape, size=size, duration_s=duration_s, aspect=aspect)
        if thing is not None and _keeps_apart(thing, things, words, duration_s):
            things.append(thing)
    return Scene(duration_s, aspect, tuple(things), words, background)


def _names(rng: Random, count: int, alike: float, twins: float) -> list[tuple[str, str]]:
    """Colour and shape of each object. Names are distinct but for twins."""
    names: list[tuple[str, str]] = []
    has_twins = twins > 0 and rng.random() < twins
    while len(names) < count:
        if has_twins and names and rng.random() < 2 / 3:
            names.append(rng.choice(names))
            continue
        name = (rng.choice(list(COLOURS)), rng.choice(SHAPES))
        # If few things share a trait, "the red one" and "the star" mostly mean one thing.
        shares = any(name[0] == n[0] or name[1] == n[1] for n in names)
        if name not in names and (not shares or rng.random() < alike):
            names.append(name)
    return names


def distance(a: tuple[int, int, int], b: tuple[int, int, int]) -> float:
    """The approximate perceived distance of two colours."""
    return math.sqrt(sum(w * (p - q) ** 2 for w, p, q in zip((2, 4, 3), a, b, strict=True)) / 3)


def shade(rng: Random, colour: str) -> tuple[int, int, int]:
    """A random shade of a named colour."""
    (a, b), t = COLOURS[colour], rng.random()
    mixed = (p + (q - p) * t + rng.uniform(-10, 10) for p, q in zip(a, b, strict=True))
    red, green, blue = (min(255, max(0, round(v))) for v in mixed)
    return red, green, blue


def _background(rng: Random, used: list[str]) -> Background | None:
    kind = rng.choice(("plain", "plain", "gradient", "texture"))
    for _ in range(20):
        base = _background_colour(rng)
        other = base
        if kind == "gradient":
            red, green, blue = (min(255, max(0, v + rng.randint(-70, 70))) for v in base)
            other = (red, green, blue)
        background = Background(kind, base, other, rng.randrange(1 << 30))
        if all(_stands_out(colour, background) for colour in used):
            return background
    return None


def _stands_out(colour: str, background: Background) -> bool:
    ends = background.rgb, background.rgb2
    return all(distance(end, shade) > 105 for end in ends for shade in COLOURS[colour])


def _background_colour(rng: Random) -> tuple[int, int, int]:
    grey = rng.randint(0, 255)
    spread = rng.choice((0, 12, 30, 60))
    red, green, blue = (min(255, max(0, grey + rng.randint(-spread, spread))) for _ in range(3))
    return red, green, blue


def _words(
    rng: Random, aspect: float, background: Background, tries: int, *, held_out: bool = False
) -> tuple[Word, ...]:
    """One word near the top or the bottom, or, with several tries, all that fit anywhere."""
    words: list[Word] = []
    for _ in range(tries):
        y = rng.uniform(0.1, 0.9) if tries > 1 else rng.choice((rng.uniform(0.1, 0.3), rng.uniform(0.7, 0.9)))
        word = _word(rng, y, aspect, background, held_out=held_out)
        if word and not any(_overlap(word, other) for other in words):
            words.append(word)
    return tuple(words)


def _overlap(a: Word, b: Word) -> bool:
    widths = 0.36 * (a.height * len(a.text) + b.height * len(b.text))
    return abs(a.x - b.x) < widths and abs(a.y - b.y) < 0.55 * (a.height + b.height)


def _some_text(rng: Random, *, held_out: bool) -> str:
    """A word, a number, or two short ones; in training also random characters, so that the model cannot guess words."""
    kind = rng.random()
    if kind < 0.25:
        return _number(rng, 4)
    if kind < 0.4:
        return rng.choice(HELD_OUT_WORDS) if held_out else _characters(rng, 2, 6)
    if kind < 0.55:
        other = _number(rng, 3) if rng.random() < 0.4 else rng.choice(_SHORT)
        pair = [rng.choice(_SHORT) if held_out or rng.random() < 0.6 else _characters(rng, 2, 3), other]
        rng.shuffle(pair)
        return " ".join(pair)
    return rng.choice(WORDS)


_SHORT = [word for word in WORDS if len(word) <= MOST_CHARACTERS // 2]


def _number(rng: Random, digits: int) -> str:
    return str(rng.randint(0, 10 ** rng.randint(1, digits) - 1))


def _characters(rng: Random, fewest: int, most: int) -> str:
    return "".join(rng.choice(ALPHABET) for _ in range(rng.randint(fewest, most)))


def _word(rng: Random, y: float, aspect: float, background: Background, *, held_out: bool) -> Word | None:
    is_small = rng.random() < UNREAD
    text = _some_text(rng, held_out=held_out)
    if is_small:
        text = " ".join([text, *rng.choices(WORDS, k=rng.randint(0, 3))])
    case = rng.random()
    if case < 0.35:
        text = text.lower()
    elif case < 0.55:
        text = text.title() if rng.random() < 0.6 else text.capitalize()
    height = (
        rng.uniform(SMALLEST_UNREAD, LARGEST_UNREAD)
        if is_small
        else rng.uniform(SMALLEST_READ + 0.01, LARGEST_READ)
    )
    fitting = 0.85 * aspect / (0.68 * len(text))
    if fitting < (SMALLEST_UNREAD if is_small else SMALLEST_READ):
        return None
    height = min(height, fitting)
    half = 0.36 * height * len(text)
    light = rng.randint(215, 255), rng.randint(215, 255), rng.randint(215, 255)
    dark = rng.randint(0, 50), rng.randint(0, 50), rng.randint(0, 50)
    ends = (background.rgb, background.rgb2)
    rgb = max((light, dark), key=lambda c: min(distance(c, e) for e in ends))
    x = rng.uniform(half, aspect - half) if aspect > 2 * half else aspect / 2
    return Word(text, x, y, height, rng.randrange(9), rgb)


def _thing(
    rng: Random, colour: str, shape: str, *, size: float, duration_s: float, aspect: float
) -> Thing | None:
    appears, disappears = _life(rng, duration_s)
    visible_s = (disappears or duration_s) - (appears or 0.0)
    direction = rng.choice((*DIRECTIONS, *DIRECTIONS, None, None, None))
    speed = 0.0
    half = size / 2
    if aspect < size or visible_s <= 0:
        return None
    x, y = rng.uniform(half, aspect - half), rng.uniform(half, 1 - half)
    if direction:
        room = (aspect if direction in ("left", "right") else 1.0) - size
        travel = room * rng.uniform(0.35, 0.95)
        speed = travel / visible_s
        if speed > 0.45:
            speed = rng.uniform(0.1, 0.45)
            travel = speed * visible_s
        if speed < 0.03 or travel > room:
            return None
        start = half + rng.uniform(0, room - travel)
        far = half + room - (start - half)
        x = {"right": start, "left": far}.get(direction, x)
        y = {"down": start, "up": far}.get(direction, y)
    angle = rng.uniform(-0.2, 0.2)
    return Thing(shape, colour, shade(rng, colour), size, angle, x, y, direction, speed, appears, disappears)


def _life(rng: Random, duration_s: float) -> tuple[float | None, float | None]:
    kind = rng.random()
    if duration_s < 3 or kind < 0.6:
        return None, None
    if kind < 0.84:
        return rng.uniform(1.0, duration_s - 1.5), None
    if kind < 0.95:
        return None, rng.uniform(1.5, duration_s - 1.0)
    if duration_s < 5:
        return None, None
    appears = rng.uniform(1.0, duration_s / 2 - 0.5)
    return appears, rng.uniform(appears + 1.5, duration_s - 0.8)


def _keeps_apart(thing: Thing, others: list[Thing], words: tuple[Word, ...], duration_s: float) -> bool:
    for step in range(25):
        time_s = duration_s * step / 24
        if not thing.is_visible(time_s):
            continue
        x, y = thing.centre(time_s)
        if any(_in_word(x, y, thing.size, word) for word in words):
            return False
        for other in others:
            ox, oy = other.centre(time_s)
            near = 0.6 * (thing.size + other.size) + 0.03
            if other.is_visible(time_s) and math.hypot(x - ox, y - oy) < near:
                return False
    return True


def _in_word(x: float, y: float, size: float, word: Word) -> bool:
    half_width = 0.36 * word.height * len(word.text) + size * 0.6
    return abs(x - word.x) < half_width and abs(y - word.y) < word.height * 0.55 + size * 0.6
