"""Dense training of the vision tower: every patch says what it holds.

Question answering alone does not teach a small tower to see motion and shape in reasonable time. Here each
patch of a two-frame tubelet predicts the object centred on it (shape, colour, motion, appearing, vanishing),
the characters centred on it, and where it is. The heads are thrown away.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from omnireel.model.vision import VisionTower
from omnireel.video.tubelets import PixelRule, frame_pixels, target_grid
from training.paint import Frame, paint, through_jpeg, through_video, word_layout
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
        options = {knob: str(rng.randint(low, high))} | ({"preset": "ultrafast"} if codec == "libx264" else {})
        frames = through_video(frames, codec, options)
    elif 0.35 < kind < 0.55:
        frames = through_jpeg(frames, rng.randint(25, 90))
    pixels = torch.stack([frame_pixels(frame, grid[0], grid[1], rule) for frame in frames])
    if rng.random() < 0.3:
        sigma = rng.uniform(0.01, 0.07)
        noise = np.random.default_rng(rng.randrange(1 << 30)).normal(0, sigma, pixels.shape)
        pixels += torch.from_numpy(noise.astype(np.float32))
    return pixels


def choose_aspect(rng: Random) -> float:
    """An aspect ratio, in the recipe's proportions."""
    return rng.choices(list(ASPECTS), list(ASPECTS.values()))[0]


@dataclass
class DenseBatch:
    """pixels [n, 6, H, W]; targets per name, [n, R, K] or [n, R, K, 2]; NOTHING where not asked."""

    pixels: Tensor
    targets: dict[str, Tensor]


def tubelet_targets(scene: Scene, first_s: float, second_s: float, grid: tuple[int, int]) -> dict[str, Tensor]:
    """What each patch should say of two frames at these times."""
    rows, cols = grid
    out = {name: torch.full(grid, NOTHING) for name in ("colour", "motion", "life")}
    out["shape"] = torch.zeros(grid, dtype=torch.int64)
    out["characters"] = torch.zeros((*grid, 2), dtype=torch.int64)
    for thing in scene.things:
        seen = thing.is_visible(first_s), thing.is_visible(second_s)
        if not any(seen):
            continue
        x, y = thing.centre(second_s if seen[1] else first_s)
        cell = min(rows - 1, max(0, int(y * rows))), min(cols - 1, max(0, int(x / scene.aspect * cols)))
        out["shape"][cell] = 1 + SHAPES.index(thing.shape)
        out["colour"][cell] = list(COLOURS).index(thing.colour)
        out["life"][cell] = {(True, True): 0, (False, True): 1, (True, False): 2}[seen]
        if all(seen):
            out["motion"][cell] = 1 + list(DIRECTIONS).index(thing.direction) if thing.direction else 0
    if scene.word:
        width, centres = word_layout(scene.word)
        for centre, character in zip(centres, scene.word.text.upper(), strict=True):
            x = (scene.word.x + (centre - width / 2) * scene.word.height) / scene.aspect * cols
            if 0 <= x < cols:
                cell = min(rows - 1, int(scene.word.y * rows)), int(x)
                out["characters"][cell][int(x % 1 * 2)] = 1 + CHARACTERS.index(character)
    return out


class DenseHeads(nn.Module):
    """Linear read-outs of each patch."""

    SIZES = {"shape": 5, "colour": 8, "motion": 5, "life": 3, "characters": 74, "place": 2}

    def __init__(self, width: int) -> None:
        super().__init__()
        self.heads = nn.ModuleDict({name: nn.Linear(width, size) for name, size in self.SIZES.items()})

    def forward(self, grid: Tensor, targets: dict[str, Tensor]) -> tuple[Tensor, dict[str, float]]:
        """grid: [n, R, K, W] tower output → (loss, accuracies where there is something to see)."""
        features = F.layer_norm(grid.float(), grid.shape[-1:])
        out = {name: head(features) for name, head in self.heads.items()}
        out["characters"] = out["characters"].unflatten(-1, (2, 37))
        weights = {"shape": torch.tensor([0.15, 1, 1, 1, 1]), "characters": torch.tensor([0.1] + [1.0] * 36)}
        losses, figures = [], {}
        for name, target in targets.items():
            scores = out[name].flatten(0, -2)
            flat = target.flatten()
            losses.append(F.cross_entropy(scores, flat, weight=weights.get(name)) if (flat >= 0).any() else 0.0)
            asked = flat > 0 if name in weights else flat >= 0
            right = (scores.argmax(-1) == flat)[asked].float()
            figures[name] = float(right.mean()) if len(right) else float("nan")
        rows, cols = grid.shape[1:3]
        y, x = torch.meshgrid(torch.arange(rows) / rows, torch.arange(cols) / cols, indexing="ij")
        losses.append(5 * (out["place"] - torch.stack([y, x], -1)).square().mean())
        return cast(Tensor, sum(losses)), figures


class TowerStage(nn.Module):
    """The tower with its heads, as a training stage."""

    name = "tower"

    def __init__(self, tubelets: int = 48) -> None:
        super().__init__()
        config = demo_config()
        self.rule = pixel_rule(config)
        self.tubelets = tubelets
        self.tower: VisionTower = fresh_model(config, SEED).vision_model
        self.tower.radio_model.model.patch_generator.embedder.requires_grad_(False)
        self.dense = DenseHeads(config.vision.width)

    def batch(self, rng: Random) -> DenseBatch:
        """Four tubelets of each of many scenes, half of them around a change."""
        aspect = choose_aspect(rng)
        grid = target_grid(round(1000 * aspect), 1000, self.rule.target_patches)
        pixels, targets = [], []
        for _ in range(self.tubelets // 4):
            scene = make_scene(rng, rng.uniform(2, 20), aspect)
            changes = [t for thing in scene.things for t in (thing.appears_s, thing.disappears_s) if t]
            times: list[float] = []
            for _ in range(4):
                gap = rng.uniform(0.45, 0.56)
                around = rng.choice(changes) - rng.uniform(0, gap) if changes and rng.random() < 0.4 else None
                start = around if around is not None else rng.uniform(0, scene.duration_s - gap)
                start = min(max(start, 0.0), scene.duration_s - gap)
                times += [start, start + gap]
                targets.append(tubelet_targets(scene, start, start + gap, grid))
            pixels.append(degraded_pixels(scene, times, grid, self.rule, rng).unflatten(0, (4, 2)).flatten(1, 2))
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
