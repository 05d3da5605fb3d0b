"""Pictures that are drawn: pages of text, screens, textures, and shapes that simple scenes do not have."""

from __future__ import annotations

import inspect
import math
from random import Random

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from training import outside
from training.paint import text_font
from training.scenes import WORDS

RGB = tuple[int, int, int]
# Name → corners on the unit circle, as (angle in turns, radius).
POLYGONS: dict[str, tuple[tuple[float, float], ...]] = {
    "hexagon": tuple((i / 6, 1.0) for i in range(6)),
    "cross": tuple(c for i in range(4) for c in ((i / 4 - 0.05, 1.0), (i / 4 + 0.05, 1.0), (i / 4 + 0.125, 0.42))),
    "arrow": ((0.0, 1.0), (0.27, 0.75), (0.2, 0.35), (0.42, 0.9), (0.58, 0.9), (0.8, 0.35), (0.73, 0.75)),
    "bar": ((0.21, 1.0), (0.29, 1.0), (0.71, 1.0), (0.79, 1.0)),
    "four-pointed star": tuple(c for i in range(4) for c in ((i / 4, 1.0), (i / 4 + 0.125, 0.3))),
    "trapezium": ((0.1, 0.75), (0.9, 0.75), (0.66, 1.0), (0.34, 1.0)),
    "bolt": ((0.95, 1.0), (0.1, 0.2), (0.2, 0.8), (0.45, 1.0), (0.6, 0.2), (0.7, 0.8)),
}  # fmt: skip
HELD_OUT_POLYGONS: dict[str, tuple[tuple[float, float], ...]] = {
    "pentagon": tuple((i / 5, 1.0) for i in range(5)),
    "octagon": tuple((i / 8 + 1 / 16, 1.0) for i in range(8)),
    "chevron": ((0.0, 1.0), (0.3, 1.0), (0.36, 0.6), (0.0, 0.3), (0.64, 0.6), (0.7, 1.0)),
    "six-pointed star": tuple(c for i in range(6) for c in ((i / 6, 1.0), (i / 6 + 1 / 12, 0.5))),
    "kite": ((0.0, 1.0), (0.22, 0.6), (0.5, 1.0), (0.78, 0.6)),
}  # fmt: skip
ROUND = ("ring", "ellipse", "crescent", "half circle")
HELD_OUT_ROUND = ("heart", "drop", "three-quarter circle")
SIMPLE: dict[str, tuple[tuple[float, float], ...]] = {
    "square": tuple((i / 4 + 1 / 8, 1.0) for i in range(4)),
    "triangle": tuple((i / 3, 1.0) for i in range(3)),
    "star": tuple(c for i in range(5) for c in ((i / 5, 1.0), (i / 5 + 0.1, 0.4))),
    "circle": tuple((i / 40, 1.0) for i in range(40)),
}
SIDE = 256  # pixels of a drawn shape before it is resized


def other_shape(rng: Random, rgb: RGB, *, held_out: bool) -> Image.Image:
    """A filled shape that is none of the four, RGBA."""
    names = (*HELD_OUT_POLYGONS, *HELD_OUT_ROUND) if held_out else (*POLYGONS, *ROUND)
    name = rng.choice(names)
    canvas = Image.new("RGBA", (SIDE, SIDE))
    corners = (POLYGONS | HELD_OUT_POLYGONS).get(name)
    if corners:
        ImageDraw.Draw(canvas).polygon(_points(corners, 0.49 * SIDE), fill=rgb)
    else:
        _round_shape(canvas, name, rgb)
    return canvas.rotate(rng.uniform(-12, 12), Image.Resampling.BICUBIC)


def varied_shape(rng: Random, rgb: RGB) -> Image.Image:
    """A filled shape of random corners, waves, stars or overlapping parts, or one of those of `other_shape`, RGBA."""
    kind = rng.choice(
        (
            "named",
            "corners",
            "corners",
            "four corners",
            "regular",
            "waves",
            "star",
            "parts",
            "holed",
            "cut",
            "round",
        )
    )
    if kind == "named":
        return other_shape(rng, rgb, held_out=False)
    canvas = Image.new("RGBA", (SIDE, SIDE))
    draw, turn = ImageDraw.Draw(canvas), rng.random()
    if kind in ("cut", "round"):
        _random_round(rng, canvas, rgb, is_cut=kind == "cut")
        return canvas
    if kind == "regular":
        count = rng.choice((6, 7, 7, 9))
        corners = [(turn + i / count, 1.0) for i in range(count)]
    elif kind == "four corners":
        gaps = [rng.uniform(0.12, 0.38) for _ in range(4)]
        radii = [1.0, rng.uniform(0.35, 0.7), rng.uniform(0.7, 1.0), rng.uniform(0.35, 1.0)]
        corners = [(turn + sum(gaps[:i]) / sum(gaps), radii[i]) for i in range(4)]
    elif kind == "corners":
        count = rng.choice((5, 6, 7))
        radii = [rng.uniform(0.55, 1.0) for _ in range(count)]
        radii[rng.randrange(count)], radii[rng.randrange(count)] = 1.0, 0.5
        corners = [(turn + (i + rng.uniform(-0.25, 0.25)) / count, r) for i, r in enumerate(radii)]
    elif kind == "waves":
        waves = [(rng.randint(2, 6), rng.uniform(0.1, 0.3), rng.random()) for _ in range(2)]
        corners = [
            (i / 90, 0.7 + sum(a * math.sin(2 * math.pi * (n * i / 90 + p)) for n, a, p in waves) / 2)
            for i in range(90)
        ]
    elif kind == "star":
        count, inner = rng.choice((3, 4, 4, 7, 7, 8, 9)), rng.uniform(0.3, 0.6)
        corners = [(turn + i / count / 2, inner if i % 2 else 1.0) for i in range(2 * count)]
    elif kind == "parts":
        for _ in range(rng.randint(2, 4)):
            _random_part(rng, draw, rgb)
        return canvas
    else:
        corners = list(SIMPLE[rng.choice(list(SIMPLE))])
        draw.polygon(_points(tuple(corners), 0.49 * SIDE), fill=rgb)
        radius = SIDE * rng.uniform(0.13, 0.25)
        draw.ellipse(
            (SIDE / 2 - radius, SIDE * 0.55 - radius, SIDE / 2 + radius, SIDE * 0.55 + radius),
            fill=(0, 0, 0, 0),
        )
        return canvas
    draw.polygon(_points(tuple(corners), 0.49 * SIDE), fill=rgb)
    return canvas


def _random_round(rng: Random, canvas: Image.Image, rgb: RGB, *, is_cut: bool) -> None:
    """A circle without a random part, or an ellipse or a rectangle with round corners, that is clearly not a circle."""
    draw, clear, end = ImageDraw.Draw(canvas), (0, 0, 0, 0), SIDE - 4
    if not is_cut:
        inset = SIDE * rng.uniform(0.12, 0.3)
        box = rng.choice(((inset, 4, SIDE - inset, end), (4, inset, end, SIDE - inset)))
        if rng.random() < 0.5:
            draw.ellipse(box, fill=rgb)
        else:
            draw.rounded_rectangle(box, SIDE * rng.uniform(0.1, 0.3), fill=rgb)
        return
    turn = rng.uniform(0, 360)
    kind = rng.choice(("wedge", "wedge", "bite", "side"))
    if kind == "wedge":
        # 270 degrees are held out.
        draw.pieslice(
            (4, 4, end, end),
            turn,
            turn + rng.choice((rng.uniform(100, 235), rng.uniform(295, 330))),
            fill=rgb,
        )
        return
    draw.ellipse((4, 4, end, end), fill=rgb)
    away = SIDE * rng.uniform(0.35, 0.5)
    x, y = SIDE / 2 + away * math.cos(turn), SIDE / 2 + away * math.sin(turn)
    if kind == "bite":
        radius = SIDE * rng.uniform(0.2, 0.4)
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=clear)
    else:
        across = (-math.sin(turn) * SIDE, math.cos(turn) * SIDE)
        inward = (SIDE * 0.12 * math.cos(turn), SIDE * 0.12 * math.sin(turn))
        beyond = (math.cos(turn) * SIDE, math.sin(turn) * SIDE)
        near = (x - inward[0], y - inward[1])
        corners = [
            (near[0] + across[0], near[1] + across[1]), (near[0] - across[0], near[1] - across[1]),
            (near[0] - across[0] + beyond[0], near[1] - across[1] + beyond[1]),
            (near[0] + across[0] + beyond[0], near[1] + across[1] + beyond[1]),
        ]  # fmt: skip
        draw.polygon(corners, fill=clear)


def icon(rng: Random) -> Image.Image:
    """A random picture of two to six parts in several colours, RGBA."""
    canvas = Image.new("RGBA", (SIDE, SIDE))
    draw = ImageDraw.Draw(canvas)
    hues = [tuple(rng.randint(0, 255) for _ in range(3)) for _ in range(3)]
    if rng.random() < 0.5:
        inset = rng.uniform(0, 0.2) * SIDE
        draw.rounded_rectangle(
            (inset, 4, SIDE - inset, SIDE - 4),
            rng.uniform(0, 0.3) * SIDE,
            fill=hues[0],
            outline=hues[1],
            width=8,
        )
    else:
        corners = _points(SIMPLE[rng.choice(list(SIMPLE))], 0.49 * SIDE)
        draw.polygon(corners, fill=hues[0])
    for _ in range(rng.randint(1, 5)):
        _random_part(rng, draw, rng.choice(hues[1:]))
    if rng.random() < 0.5:
        shade = np.asarray(canvas).astype(np.float32)
        shade[..., :3] *= np.linspace(rng.uniform(0.4, 1.0), rng.uniform(0.4, 1.0), SIDE)[:, None, None]
        canvas = Image.fromarray(np.uint8(shade))
    return canvas


def _random_part(rng: Random, draw: ImageDraw.ImageDraw, rgb: RGB | tuple[int, ...]) -> None:
    wide, tall = (SIDE * rng.uniform(0.25, 0.75) for _ in range(2))
    left, top = rng.uniform(0, SIDE - wide), rng.uniform(0, SIDE - tall)
    box = (left, top, left + wide, top + tall)
    kind = rng.choice(("ellipse", "rectangle", "line", "polygon"))
    if kind == "ellipse":
        draw.ellipse(box, fill=rgb)
    elif kind == "rectangle":
        draw.rectangle(box, fill=rgb)
    elif kind == "line":
        draw.line(box, fill=rgb, width=rng.randint(8, 40))
    else:
        draw.polygon(
            [(rng.uniform(left, left + wide), rng.uniform(top, top + tall)) for _ in range(4)], fill=rgb
        )


def outline(rng: Random, shape: str, rgb: RGB, *, held_out: bool) -> Image.Image:
    """The outline of one of the four shapes, RGBA; thin ones are held out."""
    canvas = Image.new("RGBA", (SIDE, SIDE))
    corners = _points(SIMPLE[shape], 0.44 * SIDE)
    width = round(SIDE * (rng.uniform(0.035, 0.06) if held_out else rng.uniform(0.06, 0.15)))
    ImageDraw.Draw(canvas).line([*corners, corners[0], corners[1]], fill=rgb, width=width, joint="curve")
    return canvas


def _points(corners: tuple[tuple[float, float], ...], radius: float) -> list[tuple[float, float]]:
    half = SIDE / 2
    return [
        (half + radius * r * math.sin(2 * math.pi * a), half - radius * r * math.cos(2 * math.pi * a))
        for a, r in corners
    ]


def _round_shape(canvas: Image.Image, name: str, rgb: RGB) -> None:
    draw, end = ImageDraw.Draw(canvas), SIDE - 4
    clear = (0, 0, 0, 0)
    if name == "ring":
        draw.ellipse((4, 4, end, end), fill=rgb)
        draw.ellipse((SIDE * 0.27, SIDE * 0.27, SIDE * 0.73, SIDE * 0.73), fill=clear)
    elif name == "ellipse":
        draw.ellipse((4, SIDE * 0.28, end, SIDE * 0.72), fill=rgb)
    elif name == "crescent":
        draw.ellipse((4, 4, end, end), fill=rgb)
        draw.ellipse((SIDE * 0.35, SIDE * 0.05, SIDE * 1.15, SIDE * 0.85), fill=clear)
    elif name == "half circle":
        draw.pieslice((4, 4, end, end), 0, 180, fill=rgb)
    elif name == "three-quarter circle":
        draw.pieslice((4, 4, end, end), 30, 300, fill=rgb)
    elif name == "heart":
        draw.ellipse((SIDE * 0.05, SIDE * 0.08, SIDE * 0.53, SIDE * 0.56), fill=rgb)
        draw.ellipse((SIDE * 0.47, SIDE * 0.08, SIDE * 0.95, SIDE * 0.56), fill=rgb)
        draw.polygon(
            [(SIDE * 0.08, SIDE * 0.42), (SIDE * 0.92, SIDE * 0.42), (SIDE * 0.5, SIDE * 0.97)], fill=rgb
        )
    elif name == "drop":
        draw.ellipse((SIDE * 0.2, SIDE * 0.38, SIDE * 0.8, SIDE * 0.98), fill=rgb)
        draw.polygon(
            [(SIDE * 0.24, SIDE * 0.56), (SIDE * 0.76, SIDE * 0.56), (SIDE * 0.5, SIDE * 0.02)], fill=rgb
        )


def page(rng: Random, size: tuple[int, int]) -> Image.Image:
    """A page of running text, often with a heading."""
    light = rng.random() < 0.75
    paper = tuple(rng.randint(225, 255) if light else rng.randint(0, 45) for _ in range(3))
    ink = tuple(rng.randint(0, 70) if light else rng.randint(185, 255) for _ in range(3))
    canvas = Image.new("RGB", size, paper)
    draw, height = ImageDraw.Draw(canvas), max(9, round(size[1] * rng.uniform(0.025, 0.07)))
    font, margin = text_font(rng.randrange(9), height), round(size[0] * rng.uniform(0.03, 0.12))
    y = margin
    if rng.random() < 0.5:
        heading = text_font(rng.randrange(9), height * 2)
        draw.text((margin, y), _sentence(rng, 3), fill=ink, font=heading)
        y += height * 3
    while y < size[1] - height:
        if rng.random() < 0.85:
            draw.text((margin, y), _fitting(rng, font, size[0] - 2 * margin), fill=ink, font=font)
        y += round(height * 1.4)
    return canvas


def screen(rng: Random, size: tuple[int, int]) -> Image.Image:
    """A screen with a window of program text and a few panels; for evaluation only."""
    canvas = Image.new("RGB", size, tuple(rng.randint(20, 90) for _ in range(3)))
    draw = ImageDraw.Draw(canvas)
    for _ in range(rng.randint(1, 3)):
        left, top = rng.randint(0, size[0] // 2), rng.randint(0, size[1] // 2)
        right, bottom = left + rng.randint(size[0] // 3, size[0]), top + rng.randint(size[1] // 3, size[1])
        draw.rectangle((left, top, right, bottom), fill=tuple(rng.randint(200, 250) for _ in range(3)))
        draw.rectangle(
            (left, top, right, top + size[1] // 18), fill=tuple(rng.randint(60, 140) for _ in range(3))
        )
    lines = inspect.getsource(outside).splitlines()
    start, height = rng.randrange(len(lines) - 40), max(9, round(size[1] * rng.uniform(0.03, 0.05)))
    font = ImageFont.load_default(height)
    left, top = rng.randint(0, size[0] // 4), rng.randint(0, size[1] // 6)
    draw.rectangle((left, top, left + size[0] * 3 // 4, top + size[1] * 3 // 4), fill=(18, 20, 28))
    hues = [tuple(rng.randint(120, 255) for _ in range(3)) for _ in range(4)]
    for number, line in enumerate(lines[start : start + int(size[1] * 0.7 / height / 1.3)]):
        draw.text(
            (left + height, top + height + number * height * 1.3), line[:90], fill=rng.choice(hues), font=font
        )
    return canvas


def texture(rng: Random, size: tuple[int, int]) -> Image.Image:
    """Stripes, checks, dots or blurred noise with clear contrast."""
    width, height = size
    noise = np.random.default_rng(rng.randrange(1 << 30))
    a, b = (np.array([rng.randint(0, 255) for _ in range(3)]) for _ in range(2))
    kind, step = (
        rng.choice(("stripes", "checks", "dots", "noise", "colours")),
        rng.uniform(0.03, 0.15) * height,
    )
    y, x = np.mgrid[:height, :width]
    turn = rng.uniform(0, math.pi)
    u, v = x * math.cos(turn) + y * math.sin(turn), y * math.cos(turn) - x * math.sin(turn)
    if kind == "colours":
        grain = Image.fromarray(noise.integers(0, 256, (9, 12, 3), dtype=np.uint8))
        return grain.resize(size, Image.Resampling.BICUBIC)
    if kind == "noise":
        grain = Image.fromarray(noise.integers(0, 256, (height // 2, width // 2), dtype=np.uint8))
        share = np.asarray(grain.filter(ImageFilter.GaussianBlur(step / 4)).resize(size), np.float32)
        share = (share - share.min()) / max(1.0, float(np.ptp(share)))
    elif kind == "dots":
        share = ((u % step - step / 2) ** 2 + (v % step - step / 2) ** 2 < (step * 0.3) ** 2).astype(
            np.float32
        )
    else:
        share = (u // step % 2 != (v // step % 2 if kind == "checks" else 0)).astype(np.float32)
    return Image.fromarray(np.uint8(a + (b - a) * share[..., None]))


def _sentence(rng: Random, count: int) -> str:
    return " ".join(word.lower() for word in rng.sample(WORDS, count)).capitalize()


def _fitting(rng: Random, font: ImageFont.FreeTypeFont, width: int) -> str:
    line = _sentence(rng, 2)
    while font.getlength(line) < width * 0.9:
        line += f" {rng.choice(WORDS).lower()}{rng.choice(('', '', '', ',', '.'))}"
    return line
