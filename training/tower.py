"""Dense training of the vision tower: every patch says what it holds.

Question answering alone does not teach a small tower to see motion and shape in reasonable time. Here each
patch of a two-frame tubelet predicts the object centred on it (shape, colour, motion, appearing, vanishing),
the characters centred on it and which of their word's they are, and where it is. The heads are thrown away.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any, ClassVar, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from omnireel.model.checkpoint import load_checkpoint
from omnireel.model.vision import VisionTower
from omnireel.video.tubelets import PixelRule, frame_pixels, target_grid
from training.paint import Frame, letter_spans, paint, through_jpeg, through_video
from training.recipe import ASPECTS, SEED, demo_config, fresh_model, pixel_rule
from training.scenes import (
    COLOURS,
    DIRECTIONS,
    SHAPES,
    SIZES,
    Background,
    Scene,
    Thing,
    make_crowd,
    make_scene,
)

CHARACTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
MAX_LETTERS = 7
NOTHING = -100  # cross entropy ignores it
MOSTLY = 0.2  # share of a patch that an object covers for the patch to speak of it
# Elsewhere torch emulates products in bf16, at a tenth of the rate.
HAS_FAST_BF16 = torch.backends.cpu.get_cpu_capability().startswith("AVX512")
EARLY = 2  # the block after which outlines are read
BLACK = Background("plain", (0, 0, 0), (0, 0, 0), 0)
CODECS = (("libx264", "crf", (18, 36)), ("libx264", "crf", (18, 36)), ("mpeg4", "qscale", (2, 14)))


def degraded_pixels(
    scene: Scene, times_s: Sequence[float], grid: tuple[int, int], rule: PixelRule, rng: Random
) -> Tensor:
    """Pixels of a scene as an encoder and a camera would leave them. [F, 3, H, W] normalised."""
    height, width = grid[0] * rule.patch_size, grid[1] * rule.patch_size
    kind = rng.random()
    if kind < 0.72:
        frames = paint(scene, times_s, width, height)
    else:
        tall = rng.choice((90, 120, 144, 180, 240, 288, 360))
        frames = paint(scene, times_s, round(tall * scene.aspect / 2) * 2, tall)
    if kind > 0.82:
        codec, knob, (low, high) = rng.choice(CODECS)
        options = {knob: str(rng.randint(low, high))} | (
            {"preset": "ultrafast"} if codec == "libx264" else {}
        )
        frames = through_video(frames, codec, options)
    elif 0.35 < kind < 0.55:
        frames = through_jpeg(frames, rng.randint(25, 90))
    pixels = _all_pixels(frames, grid, rule)
    if rng.random() < 0.25:
        generator = torch.Generator().manual_seed(rng.randrange(1 << 30))
        pixels += torch.randn(pixels.shape, generator=generator) * rng.uniform(0.01, 0.07)
    return pixels


def _all_pixels(frames: Frame, grid: tuple[int, int], rule: PixelRule) -> Tensor:
    """`frame_pixels` of every frame; those that need no resizing at once, which is much faster."""
    if frames.shape[1:3] != (grid[0] * rule.patch_size, grid[1] * rule.patch_size):
        return torch.stack([frame_pixels(frame, grid[0], grid[1], rule) for frame in frames])
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (rule.mean, rule.std))
    planes = torch.from_numpy(frames.transpose(0, 3, 1, 2).copy())
    return planes.float().mul_(1 / (255 * std)).sub_(mean / std)


def clean_pixels(
    scene: Scene, times_s: Sequence[float], grid: tuple[int, int], rule: PixelRule, _rng: Random
) -> Tensor:
    """Pixels of a scene as painted. [F, 3, H, W] normalised."""
    frames = paint(scene, times_s, grid[1] * rule.patch_size, grid[0] * rule.patch_size)
    return _all_pixels(frames, grid, rule)


def _some_scene(rng: Random, aspect: float, smallest: float, written: float, *, easy: bool) -> Scene:
    """A scene of the world or a crowd, the share `written` of crowds being words above all.

    easy: on a dark plain background, in quick motion. Where background and object may have any colour at once,
    a small tower sees neither for a long time.
    """
    while True:
        duration_s = rng.uniform(2, 8 if easy else 20)
        if rng.random() < 0.3:
            scene = make_scene(rng, duration_s, aspect, smallest=smallest)
        else:
            scene = make_crowd(rng, duration_s, aspect, smallest=smallest, written=written)
        if not easy or (scene.background.kind == "plain" and sum(scene.background.rgb) < 200):
            return scene


def _some_times(rng: Random, scene: Scene, count: int) -> list[tuple[float, float]]:
    """Two times each for a few tubelets, as serving spaces them; many around a change."""
    changes = [t for thing in scene.things for t in (thing.appears_s, thing.disappears_s) if t]
    times = []
    for _ in range(count):
        gap = rng.uniform(0.45, 0.56)
        start = rng.uniform(0, scene.duration_s - gap)
        if changes and rng.random() < 0.4:
            start = min(max(rng.choice(changes) - rng.uniform(0, gap), 0.0), scene.duration_s - gap)
        times.append((start, start + gap))
    return times


def choose_aspect(rng: Random) -> float:
    """An aspect ratio, in the recipe's proportions."""
    return rng.choices(list(ASPECTS), list(ASPECTS.values()))[0]


@dataclass
class DenseBatch:
    """pixels [n, 6, H, W]; targets per name, [n, R, K] or [n, R, K, 2]; NOTHING where not asked."""

    pixels: Tensor
    targets: dict[str, Tensor]


def cover(thing: Thing, times_s: tuple[float, float], aspect: float, grid: tuple[int, int]) -> Tensor:
    """How much of each 64th of each patch an object covers, in both frames. [R, K, 128], 0 to 1"""
    rows, cols = grid
    alone = Scene(1.0, aspect, (replace(thing, rgb=(255, 255, 255)),), (), BLACK)
    mask = torch.from_numpy(paint(alone, times_s, cols * 8, rows * 8)[..., 0]) / 255  # [2, 8R, 8K]
    return mask.view(2, rows, 8, cols, 8).permute(1, 3, 0, 2, 4).reshape(rows, cols, 128)


def tubelet_targets(
    scene: Scene, first_s: float, second_s: float, grid: tuple[int, int]
) -> dict[str, Tensor]:
    """What each patch should say of two frames at these times: of the object on it, and of its writing."""
    rows, cols = grid
    out = {name: torch.full(grid, NOTHING) for name in ("shape", "colour", "motion", "life")}
    out["object"] = torch.zeros(grid, dtype=torch.int64)
    covers = torch.zeros(*grid, 128)
    for thing in scene.things:
        seen = thing.is_visible(first_s), thing.is_visible(second_s)
        if not any(seen):
            continue
        covered = cover(thing, (first_s, second_s), scene.aspect, grid)
        covers += covered
        x, y = thing.centre(second_s if seen[1] else first_s)
        cell = min(rows - 1, max(0, int(y * rows))), min(cols - 1, max(0, int(x / scene.aspect * cols)))
        out["object"][cell] = 1
        on_it = covered.view(rows, cols, 2, 64).mean(-1).amax(-1) > MOSTLY
        on_it[cell] = True
        out["shape"][on_it] = SHAPES.index(thing.shape)
        out["colour"][on_it] = list(COLOURS).index(thing.colour)
        out["life"][on_it] = {(True, True): 0, (False, True): 1, (True, False): 2}[seen]
        if all(seen) and second_s > first_s:
            out["motion"][on_it] = 1 + list(DIRECTIONS).index(thing.direction) if thing.direction else 0
    out["cover"] = covers.clamp(max=1)
    return out | _writing_targets(scene, grid)


def _writing_targets(scene: Scene, grid: tuple[int, int]) -> dict[str, Tensor]:
    """character, and its index in the word: where its centre is; glyph: wherever it reaches.

    Each half of a patch holds one at most.
    """
    rows, cols = grid
    character, index, glyph = torch.full((3, *grid, 2), NOTHING)
    for word in scene.words:
        top, bottom = ((word.y + side * 0.3 * word.height) * rows for side in (-1, 1))
        spans = letter_spans(word, scene.aspect)
        for place, (span, letter) in enumerate(zip(spans, word.text.upper(), strict=True)):
            ends = [share * 2 * cols for share in span]
            kind = CHARACTERS.index(letter)
            halves = range(max(0, math.ceil(ends[0] - 0.25)), min(2 * cols, math.floor(ends[1] + 0.25)))
            for half in halves:
                glyph[max(0, round(top)) : min(rows, round(bottom)), half // 2, half % 2] = kind
            centre = int(sum(ends) / 2)
            if 0 <= centre < 2 * cols:
                spot = min(rows - 1, int(word.y * rows)), centre // 2, centre % 2
                character[spot], index[spot] = kind, place
    return {"character": character, "index": index, "glyph": glyph, "writing": (character >= 0).long()}


# What a patch is asked → how many classes, and how many such answers it has.
READ_OUTS = {
    "shape": (4, 1), "colour": (8, 1), "motion": (5, 1), "life": (3, 1),
    "character": (36, 2), "index": (MAX_LETTERS, 2), "glyph": (36, 2), "object": (2, 1), "writing": (2, 2),
}  # fmt: skip


class DenseHeads(nn.Module):
    """Linear read-outs of each patch."""

    # The slowest to come weigh more.
    WEIGHTS: ClassVar[dict[str, float]] = {"shape": 3.0, "character": 2.0, "index": 2.0}
    # Of the yes-or-no read-outs most answers are no.
    YES_WEIGHT = 15.0

    def __init__(self, width: int) -> None:
        super().__init__()
        sizes = {name: classes * slots for name, (classes, slots) in READ_OUTS.items()} | {"place": 2}
        self.heads = nn.ModuleDict({name: nn.Linear(width, size) for name, size in sizes.items()})

    def forward(self, grid: Tensor, targets: dict[str, Tensor]) -> tuple[Tensor, dict[str, float]]:
        """grid: [n, R, K, W] tower output → (loss, accuracies where there is something to see)."""
        features = F.layer_norm(grid.float(), grid.shape[-1:])
        out = {name: head(features) for name, head in self.heads.items()}
        losses, figures = [], {}
        for name, target in targets.items():
            if name not in READ_OUTS:
                continue
            classes = READ_OUTS[name][0]
            flat = target.flatten()
            scores = out[name].reshape(-1, classes)
            weight = torch.tensor([1.0, self.YES_WEIGHT]) if classes == 2 else None
            if (flat >= 0).any():
                loss = F.cross_entropy(scores, flat, weight=weight, ignore_index=NOTHING)
                losses.append(loss * self.WEIGHTS.get(name, 1.0))
            asked = flat > 0 if classes == 2 else flat >= 0
            right = (scores.argmax(-1) == flat)[asked].float()
            figures[name] = right.mean().item() if len(right) else float("nan")
        rows, cols = grid.shape[1:3]
        y, x = torch.meshgrid(torch.arange(rows) / rows, torch.arange(cols) / cols, indexing="ij")
        losses.append(5 * (out["place"] - torch.stack([y, x], -1)).square().mean())
        return cast(Tensor, sum(losses)), figures


class Outlines(nn.Module):
    """Reads what each patch holds of any object, early in the tower, so that later layers can tell shapes."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.read = nn.Linear(width, 128)

    def forward(self, grid: Tensor, covered: Tensor) -> tuple[Tensor, float]:
        """grid: [n, R, K, W]; covered: [n, R, K, 128] → (loss, share right of what is covered)."""
        out = self.read(F.layer_norm(grid.float(), grid.shape[-1:]))
        right = ((out > 0) == (covered > 0.5))[covered > 0.5].float().mean().item()
        return F.binary_cross_entropy_with_logits(out, covered, pos_weight=torch.tensor(6.0)), right


class PlainAttention(TorchFunctionMode):
    """Attention as three operations: in bf16 the fused one's backward takes three times as long on a CPU."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: object,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401 - whatever the function returns
        """Replace `scaled_dot_product_attention` without a mask; let the rest pass."""
        kwargs = kwargs or {}
        if func is not F.scaled_dot_product_attention or kwargs:
            return func(*args, **kwargs)
        query, key, value = args
        scores = (query * query.shape[-1] ** -0.5) @ key.transpose(-1, -2)
        with torch.autocast("cpu", enabled=False):  # it would take the exponentials to fp32 and back
            weights = scores.softmax(-1)
        return weights @ value


def stacked(rows: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Each of the tensors of many rows as one, [len(rows), ...]."""
    return {name: torch.stack([row[name] for row in rows]) for name in rows[0]}


def tower_weights(start: Path) -> dict[str, Tensor]:
    """The tower's weights in a tower stage's `last.pt` or a finished checkpoint's directory."""
    if start.is_dir():
        return load_checkpoint(start, torch.float32).vision_model.state_dict()
    saved = torch.load(start, weights_only=True)["module"]
    return {k.removeprefix("tower."): v for k, v in saved.items() if k.startswith("tower.")}


class TowerStage(nn.Module):
    """The tower with its heads, as a training stage.

    name:  also decides the clips: a stage that goes on must not see the same ones again
    steps: taken before, of a stage that goes on: what is shown gets harder with them
    """

    def __init__(
        self, start: Path | None = None, *, name: str = "tower", steps: int = 0, tubelets: int = 48
    ) -> None:
        super().__init__()
        self.name, self.steps = name, steps
        config = demo_config()
        self.rule = pixel_rule(config)
        self.tubelets = tubelets
        self.tower: VisionTower = fresh_model(config, SEED).vision_model
        if start is not None:
            self.tower.load_state_dict(tower_weights(start))
        self.tower.radio_model.model.patch_generator.embedder.requires_grad_(False)
        self.dense = DenseHeads(config.vision.width)
        self.outlines = Outlines(config.vision.width)
        self.early: list[Tensor] = []
        self.tower.radio_model.model.blocks[EARLY].register_forward_hook(self._keep)

    def batch(self, rng: Random, step: int) -> DenseBatch:
        """A few tubelets of each of many scenes, many of them around a change; large and bright things first."""
        step += self.steps
        aspect = choose_aspect(rng)
        grid = target_grid(round(1000 * aspect), 1000, self.rule.target_patches)
        pixels: list[Tensor] = []
        targets: list[dict[str, Tensor]] = []
        while len(targets) < self.tubelets:
            is_easy = rng.random() < max(0.1, 1 - step / 300)
            smallest = max(SIZES[0], 0.22 - 0.14 * step / 900)
            # Characters come last and are what limits the reading of words.
            written = 0.25 + 0.5 * min(1.0, step / 1900)
            scene = _some_scene(rng, aspect, smallest, written, easy=is_easy)
            times = _some_times(rng, scene, 1 if len(scene.words) > 2 else 2)
            picture = clean_pixels if is_easy else degraded_pixels
            frames = picture(scene, [t for pair in times for t in pair], grid, self.rule, rng)
            pixels.append(frames.reshape(len(times), 6, *frames.shape[2:]))
            targets += [tubelet_targets(scene, *pair, grid) for pair in times]
        return DenseBatch(torch.cat(pixels), stacked(targets))

    def loss(self, batch: DenseBatch, step: int) -> tuple[Tensor, dict[str, float]]:
        """Dense cross entropies, summed."""
        del step
        with torch.autocast("cpu", torch.bfloat16, enabled=HAS_FAST_BF16), PlainAttention():
            grid = self.tower(batch.pixels)
        loss, figures = self.dense(grid, batch.targets)
        early = self.early.pop()[:, -grid.shape[1] * grid.shape[2] :].unflatten(1, grid.shape[1:3])
        outline_loss, figures["outline"] = self.outlines(early, batch.targets["cover"])
        return loss + 4 * outline_loss, figures

    def _keep(self, _block: nn.Module, _input: object, output: Tensor) -> None:
        self.early.append(output)

    def trained(self) -> nn.Module:
        """Tower and heads."""
        return self
