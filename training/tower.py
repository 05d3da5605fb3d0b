"""Dense training of the vision tower: every patch says what it holds.

Question answering alone does not teach a small tower to see motion and shape in reasonable time. Here each
patch of a two-frame tubelet predicts the object centred on it (shape, colour, motion, appearing, vanishing),
the characters centred on it, and where it is. The heads are thrown away.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from omnireel.model.vision import VisionTower
from omnireel.video.tubelets import PixelRule, frame_pixels, target_grid
from training.paint import paint, through_jpeg, through_video, word_layout
from training.recipe import ASPECTS, SEED, demo_config, fresh_model, pixel_rule
from training.scenes import COLOURS, DIRECTIONS, SHAPES, Scene, make_scene

CHARACTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
NOTHING = -100  # cross entropy ignores it
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
        tall = rng.choice((144, 180, 240, 288))
        frames = paint(scene, times_s, round(tall * scene.aspect / 2) * 2, tall)
    if kind > 0.82:
        codec, knob, (low, high) = rng.choice(CODECS)
        options = {knob: str(rng.randint(low, high))} | (
            {"preset": "ultrafast"} if codec == "libx264" else {}
        )
        frames = through_video(frames, codec, options)
    elif 0.35 < kind < 0.55:
        frames = through_jpeg(frames, rng.randint(25, 90))
    pixels = torch.stack([frame_pixels(frame, grid[0], grid[1], rule) for frame in frames])
    if rng.random() < 0.3:
        sigma = rng.uniform(0.01, 0.07)
        noise = np.random.default_rng(rng.randrange(1 << 30)).normal(0, sigma, pixels.shape)
        pixels += torch.from_numpy(noise.astype(np.float32))
    return pixels


def clean_pixels(
    scene: Scene, times_s: Sequence[float], grid: tuple[int, int], rule: PixelRule, _rng: Random
) -> Tensor:
    """Pixels of a scene as painted. [F, 3, H, W] normalised."""
    frames = paint(scene, times_s, grid[1] * rule.patch_size, grid[0] * rule.patch_size)
    return torch.stack([frame_pixels(frame, grid[0], grid[1], rule) for frame in frames])


def easy_scene(rng: Random, aspect: float) -> Scene:
    """Bright objects on a dark plain background, in quick motion: what motion and shape are learnt from first.

    Where background and object may have any colour at once, a small tower sees neither for a long time.
    """
    while True:
        scene = make_scene(rng, rng.uniform(2, 8), aspect)
        if scene.background.kind == "plain" and sum(scene.background.rgb) < 200:
            return scene


def choose_aspect(rng: Random) -> float:
    """An aspect ratio, in the recipe's proportions."""
    return rng.choices(list(ASPECTS), list(ASPECTS.values()))[0]


@dataclass
class DenseBatch:
    """pixels [n, 6, H, W]; targets per name, [n, R, K] or [n, R, K, 2]; NOTHING where not asked."""

    pixels: Tensor
    targets: dict[str, Tensor]


def cover(scene: Scene, times_s: tuple[float, float], grid: tuple[int, int]) -> Tensor:
    """How much of each 64th of each patch the objects cover, in both frames. [R, K, 128], 0 to 1"""
    rows, cols = grid
    white = tuple(replace(thing, rgb=(255, 255, 255)) for thing in scene.things)
    black = replace(scene.background, kind="plain", rgb=(0, 0, 0))
    bare = replace(scene, things=white, background=black, word=None)
    mask = torch.from_numpy(paint(bare, times_s, cols * 8, rows * 8)[..., 0]) / 255  # [2, 8R, 8K]
    return mask.view(2, rows, 8, cols, 8).permute(1, 3, 0, 2, 4).reshape(rows, cols, 128)


def tubelet_targets(
    scene: Scene, first_s: float, second_s: float, grid: tuple[int, int]
) -> dict[str, Tensor]:
    """What each patch should say of two frames at these times."""
    rows, cols = grid
    out = {name: torch.full(grid, NOTHING) for name in ("shape", "colour", "motion", "life")}
    out["character"] = torch.full((*grid, 2), NOTHING)
    for thing in scene.things:
        seen = thing.is_visible(first_s), thing.is_visible(second_s)
        if not any(seen):
            continue
        x, y = thing.centre(second_s if seen[1] else first_s)
        cell = min(rows - 1, max(0, int(y * rows))), min(cols - 1, max(0, int(x / scene.aspect * cols)))
        out["shape"][cell] = SHAPES.index(thing.shape)
        out["colour"][cell] = list(COLOURS).index(thing.colour)
        out["life"][cell] = {(True, True): 0, (False, True): 1, (True, False): 2}[seen]
        if all(seen) and second_s > first_s:
            out["motion"][cell] = 1 + list(DIRECTIONS).index(thing.direction) if thing.direction else 0
    if scene.word:
        width, centres = word_layout(scene.word)
        for centre, character in zip(centres, scene.word.text.upper(), strict=True):
            x = (scene.word.x + (centre - width / 2) * scene.word.height) / scene.aspect * cols
            if 0 <= x < cols:
                cell = min(rows - 1, int(scene.word.y * rows)), int(x)
                out["character"][cell][int(x % 1 * 2)] = CHARACTERS.index(character)
    out["cover"] = cover(scene, (first_s, second_s), grid)
    out["object"] = (out["shape"] >= 0).long()
    out["writing"] = (out["character"] >= 0).long()
    return out


class DenseHeads(nn.Module):
    """Linear read-outs of each patch."""

    # name → classes, and how many such targets a patch has
    SIZES = {
        "shape": (4, 1), "colour": (8, 1), "motion": (5, 1), "life": (3, 1), "character": (36, 2), "object": (2, 1), "writing": (2, 2),
    }  # fmt: skip
    # Of the yes-or-no read-outs most answers are no.
    YES_WEIGHT = 15.0

    def __init__(self, width: int) -> None:
        super().__init__()
        sizes = {name: classes * slots for name, (classes, slots) in self.SIZES.items()} | {
            "place": 2,
            "cover": 128,
        }
        self.heads = nn.ModuleDict({name: nn.Linear(width, size) for name, size in sizes.items()})

    def forward(self, grid: Tensor, targets: dict[str, Tensor]) -> tuple[Tensor, dict[str, float]]:
        """grid: [n, R, K, W] tower output → (loss, accuracies where there is something to see)."""
        features = F.layer_norm(grid.float(), grid.shape[-1:])
        out = {name: head(features) for name, head in self.heads.items()}
        losses, figures = [], {}
        covered = targets["cover"]
        losses.append(
            4 * F.binary_cross_entropy_with_logits(out["cover"], covered, pos_weight=torch.tensor(6.0))
        )
        figures["cover"] = ((out["cover"] > 0) == (covered > 0.5))[covered > 0.5].float().mean().item()
        for name, target in targets.items():
            if name not in self.SIZES:
                continue
            classes = self.SIZES[name][0]
            flat = target.flatten()
            scores = out[name].reshape(-1, classes)
            weight = torch.tensor([1.0, self.YES_WEIGHT]) if classes == 2 else None
            if (flat >= 0).any():
                losses.append(F.cross_entropy(scores, flat, weight=weight, ignore_index=NOTHING))
            asked = flat > 0 if classes == 2 else flat >= 0
            right = (scores.argmax(-1) == flat)[asked].float()
            figures[name] = right.mean().item() if len(right) else float("nan")
        rows, cols = grid.shape[1:3]
        y, x = torch.meshgrid(torch.arange(rows) / rows, torch.arange(cols) / cols, indexing="ij")
        losses.append(5 * (out["place"] - torch.stack([y, x], -1)).square().mean())
        return cast(Tensor, sum(losses)), figures


class TowerStage(nn.Module):
    """The tower with its heads, as a training stage."""

    name = "tower"

    def __init__(self, tubelets: int = 48, small_steps: int = 480) -> None:
        super().__init__()
        config = demo_config()
        self.rule = pixel_rule(config)
        self.tubelets, self.small_steps = tubelets, small_steps
        self.tower: VisionTower = fresh_model(config, SEED).vision_model
        self.tower.radio_model.model.patch_generator.embedder.requires_grad_(False)
        self.dense = DenseHeads(config.vision.width)

    def batch(self, rng: Random, step: int) -> DenseBatch:
        """Four tubelets of each of many scenes, many of them around a change; small pictures first."""
        is_small = step < self.small_steps
        aspect = choose_aspect(rng)
        patches = self.rule.target_patches // (2 if is_small else 1)
        grid = target_grid(round(1000 * aspect), 1000, patches)
        pixels, targets = [], []
        for _ in range(self.tubelets // (3 if is_small else 4)):
            is_easy = rng.random() < max(0.15, 1 - step / 300)
            scene = easy_scene(rng, aspect) if is_easy else make_scene(rng, rng.uniform(2, 20), aspect)
            changes = [t for thing in scene.things for t in (thing.appears_s, thing.disappears_s) if t]
            times: list[float] = []
            for _ in range(4):
                gap = rng.uniform(0.45, 0.56)
                around = rng.choice(changes) - rng.uniform(0, gap) if changes and rng.random() < 0.4 else None
                start = around if around is not None else rng.uniform(0, scene.duration_s - gap)
                start = min(max(start, 0.0), scene.duration_s - gap)
                times += [start, start + gap]
                targets.append(tubelet_targets(scene, start, start + gap, grid))
            picture = clean_pixels if is_easy else degraded_pixels
            frames = picture(scene, times, grid, self.rule, rng)  # [8, 3, H, W]
            pixels.append(frames.reshape(4, 6, *frames.shape[2:]))
        return DenseBatch(torch.cat(pixels), {k: torch.stack([t[k] for t in targets]) for k in targets[0]})

    def loss(self, batch: DenseBatch, step: int) -> tuple[Tensor, dict[str, float]]:
        """Dense cross entropies, summed."""
        del step
        with torch.autocast("cpu", torch.bfloat16):
            grid = self.tower(batch.pixels)
        return self.dense(grid, batch.targets)  # type: ignore[no-any-return]

    def trained(self) -> nn.Module:
        """Tower and heads."""
        return self
