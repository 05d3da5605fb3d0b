"""The frames of clips that show something else than a simple scene."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from random import Random
from typing import cast

import av
import numpy as np
from PIL import Image

from training.paint import Frame, paint, paint_thing
from training.pictures import drawn
from training.pictures.sources import SOURCES, Source
from training.scenes import Background, Scene, Thing, make_scene, training_scene

# Kind of clip → share in training.
KINDS = {
    "photo": 1.6, "sprite": 2.2, "page": 0.4, "texture": 0.5, "other shapes": 3.4, "outlines": 1.7, "many things": 4.2, "pan": 3.4, "drawn icons": 1.2,
}  # fmt: skip
SMALLEST = 0.15  # smaller shapes look alike in the few pixels that the model sees
PASTED = 0.35  # share of photographs, pages and textures with simple shapes pasted on


@dataclass(frozen=True)
class Camera:
    """A part of a picture that moves at constant speed: centre and width, in shares of the largest part, at both ends."""

    start: tuple[float, float, float]
    end: tuple[float, float, float]

    def box(self, size: tuple[int, int], aspect: float, share: float) -> tuple[float, float, float, float]:
        """The part of a picture of this size, in pixels, after this share of the clip."""
        x, y, width_share = (a + (b - a) * share for a, b in zip(self.start, self.end, strict=True))
        width = min(size[0], size[1] * aspect) * width_share
        height = width / aspect
        left, top = x * (size[0] - width), y * (size[1] - height)
        return left, top, left + width, top + height


@dataclass(frozen=True)
class Footage:
    """A clip that is no simple scene.

    source:  the name of the kind or package, for the table of an evaluation
    scene:   what else is there; its things are painted where is_pasted, or as sprites
    picture: what fills the frame, seen by the camera; None for the background of the scene
    sprites: pictures in place of the first things of the scene
    """

    source: str
    scene: Scene
    picture: Image.Image | None = None
    camera: Camera | None = None
    sprites: tuple[Image.Image, ...] = ()
    is_pasted: bool = True

    def paint(self, times_s: Sequence[float], width: int, height: int) -> Frame:
        """Frames at these times: uint8 [F, height, width, 3]."""
        if self.picture is None and self.camera is not None:
            return self._panned_scene(times_s, width, height)
        if self.picture is None and not self.sprites:
            return paint(self.scene, times_s, width, height)
        frames = np.stack([self._behind(time_s, width, height) for time_s in times_s])
        for frame, time_s in zip(frames, times_s, strict=True):
            for number, thing in enumerate(self.scene.things if self.is_pasted else ()):
                if not thing.is_visible(time_s):
                    continue
                if number < len(self.sprites):
                    _paste(
                        frame,
                        self.sprites[number],
                        thing.centre(time_s),
                        thing.size,
                        width / self.scene.aspect,
                    )
                else:
                    paint_thing(frame, thing, time_s, width / self.scene.aspect)
        return frames

    def _behind(self, time_s: float, width: int, height: int) -> Frame:
        if self.picture is None:
            empty = replace(self.scene, things=())
            return cast(Frame, paint(empty, [time_s], width, height)[0])
        assert self.camera is not None
        box = self.camera.box(self.picture.size, self.scene.aspect, time_s / self.scene.duration_s)
        part = self.picture.resize((width, height), Image.Resampling.BILINEAR, box=box, reducing_gap=2)
        return np.asarray(part)

    def _panned_scene(self, times_s: Sequence[float], width: int, height: int) -> Frame:
        """A camera moves along a scene that is twice as wide as the frame."""
        assert self.camera is not None
        wide = paint(self.scene, times_s, 2 * width, height)
        lefts = [
            self.camera.start[0] + (self.camera.end[0] - self.camera.start[0]) * t / self.scene.duration_s
            for t in times_s
        ]
        cuts = [round(left * width) for left in lefts]
        return np.stack([frame[:, cut : cut + width] for frame, cut in zip(wide, cuts, strict=True)])


def _paste(
    frame: Frame, sprite: Image.Image, centre: tuple[float, float], size: float, x_scale: float
) -> None:
    """Blend a sprite whose longer side is `size` frame heights into the frame."""
    height = frame.shape[0]
    longer = max(sprite.size)
    wide, tall = (
        max(2, round(size * scale * side / longer))
        for scale, side in zip((x_scale, height), sprite.size, strict=True)
    )
    pixels = np.asarray(sprite.resize((wide, tall), Image.Resampling.BILINEAR, reducing_gap=2), np.float32)
    left, top = round(centre[0] * x_scale - wide / 2), round(centre[1] * height - tall / 2)
    x0, y0, x1, y1 = max(0, left), max(0, top), min(frame.shape[1], left + wide), min(height, top + tall)
    if x0 >= x1 or y0 >= y1:
        return
    part = pixels[y0 - top : y1 - top, x0 - left : x1 - left]
    share = part[..., 3:] / 255
    frame[y0:y1, x0:x1] = np.rint(frame[y0:y1, x0:x1] * (1 - share) + part[..., :3] * share)


class Pictures:
    """The pictures of a directory that `fetch` has filled.

    directory: None for pictures that are drawn, without those of packages
    held_out: the sources, shapes and drawings of evaluation instead of those of training
    Raises FileNotFoundError if a source is missing.
    """

    def __init__(self, directory: Path | None, *, held_out: bool = False) -> None:
        self.held_out = held_out
        self.photos: dict[str, list[Path]] = {}
        self.sprites: dict[str, list[Path]] = {}
        self.videos: list[Path] = []
        if directory is None:
            return
        sources = [s for s in SOURCES if s.is_held_out == held_out]
        for source in sources:
            if not (directory / source.package).is_dir():
                raise FileNotFoundError(
                    f"{directory / source.package} is missing. Run `python -m training pictures`."
                )
        self.photos = {s.package: _files(directory, s) for s in sources if s.content == "photo"}
        self.sprites = {s.package: _files(directory, s) for s in sources if s.content == "sprite"}
        self.videos = [f for s in sources if s.content == "video" for f in _files(directory, s)]

    def sources(self) -> list[str]:
        """The names that `footage` takes: packages, and kinds that need none."""
        drawn_kinds = [kind for kind in KINDS if kind not in ("photo", "sprite", "drawn icons")]
        return [*self.photos, *self.sprites, *drawn_kinds]

    def footage(self, rng: Random, duration_s: float, aspect: float, source: str | None = None) -> Footage:
        """A clip from this source, or from a random one."""
        kinds = [k for k in KINDS if self.photos or k not in ("photo", "sprite")]
        kind = rng.choices(kinds, [KINDS[k] for k in kinds])[0]
        if source is not None:
            kind = "photo" if source in self.photos else "sprite" if source in self.sprites else source
        if kind == "photo":
            package = source or rng.choice(list(self.photos))
            return self._filled(rng, package, self._photo(rng, package), duration_s, aspect)
        if kind == "sprite":
            package = source or rng.choice(list(self.sprites))
            made = [_open(rng.choice(self.sprites[package]), "RGBA") for _ in range(rng.choice((1, 1, 2, 3)))]
            return self._with_sprites(rng, package, made, duration_s, aspect)
        if kind == "drawn icons":
            made = [drawn.icon(rng) for _ in range(rng.choice((1, 1, 2, 3)))]
            return self._with_sprites(rng, kind, made, duration_s, aspect)
        if kind in ("page", "texture"):
            size = (round(400 * max(1.0, aspect)), round(400 / min(1.0, aspect)))
            if kind == "page":
                picture = (drawn.screen if self.held_out else drawn.page)(rng, size)
            else:
                picture = drawn.texture(rng, size)
            return self._filled(rng, kind, picture, duration_s, aspect)
        return self._shapes(rng, kind, duration_s, aspect)

    def _shapes(self, rng: Random, kind: str, duration_s: float, aspect: float) -> Footage:
        """Other shapes, outlines, too many things, or a camera that moves along a scene."""
        if kind == "many things":
            count = rng.randint(4, 6 if aspect >= 1 else 5)
            return Footage(kind, self._scene(rng, duration_s, aspect, count=count))
        if kind == "pan":
            scene = self._scene(rng, duration_s, 2 * aspect, count=rng.choice((2, 3)), still=True)
            grain = Background("texture", scene.background.rgb, scene.background.rgb, scene.background.seed)
            ends = rng.choice(((0.0, 1.0), (1.0, 0.0)))
            scene = Scene(duration_s, 2 * aspect, scene.things, (), grain)
            return Footage(kind, scene, None, Camera((ends[0], 0, 1), (ends[1], 0, 1)))
        scene, most = self._scene_with_large(rng, duration_s, aspect)
        replaced = scene.things[: rng.randint(1, most)]
        if kind == "outlines":
            made = [drawn.outline(rng, t.shape, t.rgb, held_out=self.held_out) for t in replaced]
        elif self.held_out:
            made = [drawn.other_shape(rng, t.rgb, held_out=True) for t in replaced]
        else:
            made = [drawn.varied_shape(rng, t.rgb) for t in replaced]
        return Footage(kind, scene, sprites=tuple(made))

    def _with_sprites(
        self, rng: Random, source: str, sprites: list[Image.Image], duration_s: float, aspect: float
    ) -> Footage:
        scene, most = self._scene_with_large(rng, duration_s, aspect)
        return Footage(source, scene, sprites=tuple(sprites[:most]))

    def with_foreign(self, rng: Random, scene: Scene) -> Footage:
        """The scene with other shapes, outlines and icons in place of a random half of its larger things.

        These come first in the scene that is returned.
        """
        large = [t for t in scene.things if t.size >= SMALLEST]
        chosen = rng.sample(large, (len(large) + 1) // 2)
        rest = [t for t in scene.things if all(t is not other for other in chosen)]
        made = tuple(self._foreign(rng, thing) for thing in chosen)
        return Footage("foreign", replace(scene, things=(*chosen, *rest)), sprites=made)

    def _foreign(self, rng: Random, thing: Thing) -> Image.Image:
        kinds = ("shape", "outline", "icon", "sprite") if self.sprites else ("shape", "outline", "icon")
        kind = rng.choices(kinds, (5, 2, 1.5, 1.5)[: len(kinds)])[0]
        if kind == "shape":
            return drawn.varied_shape(rng, thing.rgb)
        if kind == "outline":
            return drawn.outline(rng, thing.shape, thing.rgb, held_out=False)
        if kind == "icon":
            return drawn.icon(rng)
        return _open(rng.choice(self.sprites[rng.choice(list(self.sprites))]), "RGBA")

    def _scene(
        self, rng: Random, duration_s: float, aspect: float, *, count: int | None = None, still: bool = False
    ) -> Scene:
        if self.held_out:
            return make_scene(rng, duration_s, aspect, alike=1.0, count=count, still=still)
        return training_scene(rng, duration_s, aspect, count=count, still=still)

    def _scene_with_large(self, rng: Random, duration_s: float, aspect: float) -> tuple[Scene, int]:
        """A scene whose first things are not smaller than `SMALLEST`, and their number, which is at least one.

        In training the others may be smaller. Otherwise the model would refuse simple scenes without small things.
        """
        if self.held_out:
            scene = make_scene(rng, duration_s, aspect, alike=1.0, smallest=SMALLEST)
            return scene, len(scene.things)
        while True:
            scene = training_scene(rng, duration_s, aspect)
            large = [t for t in scene.things if t.size >= SMALLEST]
            if large:
                small = [t for t in scene.things if t.size < SMALLEST]
                return replace(scene, things=(*large, *small)), len(large)

    def _photo(self, rng: Random, package: str) -> Image.Image:
        return _open(rng.choice(self.photos[package]), "RGB")

    def _filled(
        self, rng: Random, source: str, picture: Image.Image, duration_s: float, aspect: float
    ) -> Footage:
        """A picture that fills the frame. A part without detail would be an empty scene, so it is drawn again."""
        scene = self._scene(rng, duration_s, aspect)
        for _ in range(12):
            camera = _camera(rng)
            parts = [
                picture.resize((48, 48), box=camera.box(picture.size, aspect, share)) for share in (0, 1)
            ]
            if all(_has_detail(part) for part in parts):
                break
        else:
            return self.footage(rng, duration_s, aspect, "texture")
        return Footage(source, scene, picture, camera, is_pasted=rng.random() < PASTED)


def _camera(rng: Random) -> Camera:
    start = (rng.random(), rng.random(), rng.uniform(0.35, 1.0))
    if rng.random() < 0.35:
        return Camera(start, start)
    return Camera(start, (rng.random(), rng.random(), min(1.0, max(0.3, start[2] * rng.uniform(0.6, 1.6)))))


def _has_detail(picture: Image.Image) -> bool:
    """Whether neighbouring pixels differ clearly in a good part of the picture."""
    plane = np.asarray(picture, np.float32).mean(-1)
    steps = np.abs(np.diff(plane, axis=1))
    return bool((steps > 12).mean() > 0.06)


def _files(directory: Path, source: Source) -> list[Path]:
    return sorted((directory / source.package).iterdir())


@cache
def _open(file: Path, mode: str) -> Image.Image:
    with Image.open(file) as picture:
        return picture.convert(mode)


def video_frames(file: Path) -> tuple[list[Frame], float]:
    """All frames of a video file and their rate."""
    with av.open(str(file)) as box:
        rate = box.streams.video[0].average_rate
        assert rate is not None
        return [cast(Frame, f.to_ndarray(format="rgb24")) for f in box.decode(video=0)], float(rate)
