"""Renders scenes at any size with antialiasing, and passes frames through encoders."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from fractions import Fraction
from functools import cache
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from training.scenes import Background, Scene, Thing, Word

Frame = NDArray[np.uint8]
Plane = NDArray[np.floating[Any]]

FONTS = (
    (None, ""),
    ("font_source_sans_pro", "SourceSansPro-Regular.otf"),
    ("font_source_sans_pro", "SourceSansPro-Semibold.otf"),
    ("font_source_sans_pro", "SourceSansPro-Bold.otf"),
    ("font_source_serif_pro", "SourceSerifPro-Regular.otf"),
    ("font_source_serif_pro", "SourceSerifPro-Bold.otf"),
    ("font_hanken_grotesk", "HankenGrotesk-Medium.otf"),
    ("font_hanken_grotesk", "HankenGrotesk-SemiBold.otf"),
    ("font_hanken_grotesk", "HankenGrotesk-Bold.otf"),
)


@cache
def text_font(index: int, size_px: int) -> ImageFont.FreeTypeFont:
    package, name = FONTS[index]
    if package is None:
        font = ImageFont.load_default(size_px)
        assert isinstance(font, ImageFont.FreeTypeFont)
        return font
    return ImageFont.truetype(str(Path(str(files(package))) / "files" / name), size_px)


def paint(scene: Scene, times_s: Sequence[float], width: int, height: int) -> Frame:
    """Render frames of a scene: uint8 [F, height, width, 3]. The width may differ from the scene's aspect ratio."""
    still = _paint_background(scene.background, width, height)
    for word in scene.words:
        still = _paint_word(still, word, scene.aspect)
    base = np.rint(still.clip(0, 255)).astype(np.uint8)
    out = np.repeat(base[None], len(times_s), 0)
    for frame, time_s in zip(out, times_s, strict=True):
        for thing in scene.things:
            if thing.is_visible(time_s):
                paint_thing(frame, thing, time_s, width / scene.aspect)
    return out


def _paint_background(background: Background, width: int, height: int) -> Plane:
    base = np.asarray(background.rgb, np.float32)
    if background.kind == "gradient":
        across = np.random.default_rng(background.seed).random() < 0.5
        ramp = np.linspace(0, 1, width if across else height, dtype=np.float32)
        ramp = ramp[None, :, None] if across else ramp[:, None, None]
        step = (np.asarray(background.rgb2, np.float32) - base) * ramp
        return np.broadcast_to(base + step, (height, width, 3)).copy()
    plane = np.broadcast_to(base, (height, width, 3)).copy()
    if background.kind == "texture":
        rng = np.random.default_rng(background.seed)
        grain = rng.normal(0, 1, (24, 32)).astype(np.float32) * rng.uniform(3, 9)
        image = Image.fromarray(grain).resize((width, height), Image.Resampling.BICUBIC)
        plane += np.asarray(image, np.float32)[..., None]
    return plane


def character_spans(word: Word, aspect: float) -> list[tuple[float, float]]:
    """Start and end of each character, as shares of the frame's width."""
    font = text_font(word.font, 100)
    ends = [font.getlength(word.text[:i]) / 100 for i in range(len(word.text) + 1)]
    return list(pairwise((word.x + (end - ends[-1] / 2) * word.height) / aspect for end in ends))


def _paint_word(plane: Plane, word: Word, aspect: float) -> Plane:
    height, width = plane.shape[:2]
    scale = max(1, math.ceil(256 / height))
    size_px = max(8, round(word.height * height * scale))
    canvas = Image.new("L", (round(aspect * height * scale), height * scale))
    spot = (word.x * height * scale, word.y * height * scale)
    ImageDraw.Draw(canvas).text(spot, word.text, fill=255, font=text_font(word.font, size_px), anchor="mm")
    mask = np.asarray(canvas.resize((width, height), Image.Resampling.BOX), np.float32)[..., None] / 255
    blend: Plane = plane + (np.asarray(word.rgb, np.float32) - plane) * mask
    return blend


def paint_thing(frame: Frame, thing: Thing, time_s: float, x_scale: float) -> None:
    """Blend one object into `frame`. x_scale: horizontal pixels per frame height; vertically it is the height"""
    height, width = frame.shape[:2]
    cx, cy = thing.centre(time_s)
    reach = thing.size * 0.75
    left, right = max(0, int((cx - reach) * x_scale)), min(width, math.ceil((cx + reach) * x_scale))
    top, bottom = max(0, int((cy - reach) * height)), min(height, math.ceil((cy + reach) * height))
    if left >= right or top >= bottom:
        return
    x = (np.arange(left, right, dtype=np.float32) + 0.5) / x_scale - cx
    y = (np.arange(top, bottom, dtype=np.float32) + 0.5) / height - cy
    cos, sin = math.cos(thing.angle), math.sin(thing.angle)
    u = (cos * x[None, :] + sin * y[:, None]) / thing.size
    v = (cos * y[:, None] - sin * x[None, :]) / thing.size
    inside = -OUTLINES[thing.shape](u, v) * thing.size * (height + x_scale) / 2
    cover = np.clip(inside + 0.5, 0, 1)[..., None]
    region = frame[top:bottom, left:right]
    blend = region + (np.asarray(thing.rgb, np.float32) - region) * cover
    region[:] = np.rint(blend)


def _circle(u: Plane, v: Plane) -> Plane:
    return cast(Plane, np.hypot(u, v) - np.float32(0.5))


def _square(u: Plane, v: Plane) -> Plane:
    return cast(Plane, np.maximum(np.abs(u), np.abs(v)) - np.float32(0.45))


def _triangle(u: Plane, v: Plane) -> Plane:
    slope = np.abs(u) * np.float32(0.894) - (v + np.float32(0.5)) * np.float32(0.447)
    return cast(Plane, np.maximum(slope, v - np.float32(0.45)))


def _star(u: Plane, v: Plane) -> Plane:
    """A star with five points. Each pixel is compared with the edge of its nearest point."""
    radius, angle = np.hypot(u, v), np.arctan2(u, -v)
    wedge = np.abs((angle + math.pi / 5) % (2 * math.pi / 5) - math.pi / 5)
    px, py = radius * np.cos(wedge), radius * np.sin(wedge)
    # The edge runs from the tip (0.53, 0) to the notch (0.21·cos 36°, 0.21·sin 36°).
    nx, ny = 0.21 * math.sin(math.pi / 5), 0.53 - 0.21 * math.cos(math.pi / 5)
    norm = math.hypot(nx, ny)
    return ((px - np.float32(0.53)) * np.float32(nx) + py * np.float32(ny)) / np.float32(norm)


OUTLINES = {"circle": _circle, "square": _square, "triangle": _triangle, "star": _star}


def through_jpeg(frames: Frame, quality: int) -> Frame:
    """The frames after encoding and decoding as JPEG."""
    out = np.empty_like(frames)
    for i, frame in enumerate(frames):
        buffer = io.BytesIO()
        Image.fromarray(frame).save(buffer, "JPEG", quality=quality)
        out[i] = np.asarray(Image.open(buffer))
    return out


def write_video(
    target: str | io.BytesIO,
    frames: Frame,
    fps: float,
    *,
    codec: str,
    options: dict[str, str],
    container: str = "mp4",
) -> None:
    """Encode frames [F, H, W, 3] (even sides) as yuv420p video."""
    with av.open(target, "w", format=container) as box:
        rate = Fraction(fps).limit_denominator(1001)
        stream = cast(av.VideoStream, box.add_stream(codec, rate=rate, options=options))
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        for frame in frames:
            box.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        box.mux(stream.encode())


def through_video(frames: Frame, codec: str, options: dict[str, str]) -> Frame:
    """The frames after encoding and decoding as video."""
    buffer = io.BytesIO()
    write_video(buffer, frames, 10, codec=codec, options=options)
    buffer.seek(0)
    with av.open(buffer, "r") as box:
        return np.stack([cast(Frame, f.to_ndarray(format="rgb24")) for f in box.decode(video=0)])
