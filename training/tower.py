"""Dense training of the vision tower: every patch predicts what it shows.

From questions alone, a small tower would take too long to learn motion and shape. Here each patch of a two-frame tubelet
predicts the object on it (shape, colour, motion, appearing, disappearing), the characters whose centres are on it with
their positions from both ends of the word, and its own place. The heads are used in training only.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from random import Random

import torch
from torch import Tensor, nn

from omnireel.model.vision.tower import VisionTower
from omnireel.video.patch_grid import target_grid
from training.degrade import clean_pixels, degraded_pixels
from training.dense import DenseHeads, Outlines, stacked, tubelet_targets
from training.loop import HEADS_ONLY_STEPS
from training.pictures.footage import Footage, Pictures
from training.precision import HAS_FAST_BF16, PlainAttention
from training.recipe import SEED, choose_aspect, demo_config, fresh_model, pixel_spec
from training.scenes import SIZES, Scene, make_crowded_scene, make_scene
from training.weights import read_tower

OUTLINE_BLOCK = 2  # the block after which outlines are read
FOREIGN = 0.4  # share of scenes in which other shapes, outlines and icons are in place of half of the things


def _some_scene(rng: Random, aspect: float, smallest: float, written: float, *, easy: bool) -> Scene:
    """A usual or a crowded scene. written: as in `make_crowded_scene`

    easy: a short clip, so that things move fast, on a dark plain background. If background and objects have any colour
    from the start, a small tower takes long to learn either.
    """
    while True:
        duration_s = rng.uniform(2, 8 if easy else 20)
        if rng.random() < 0.3:
            scene = make_scene(rng, duration_s, aspect, smallest=smallest)
        else:
            scene = make_crowded_scene(rng, duration_s, aspect, smallest=smallest, written=written)
        if not easy or (scene.background.kind == "plain" and sum(scene.background.rgb) < 200):
            return scene


def _some_times(rng: Random, scene: Scene, count: int) -> list[tuple[float, float]]:
    """The times of both frames of a few tubelets, spaced as in serving. Many are around an event."""
    changes = [t for thing in scene.things for t in (thing.appears_s, thing.disappears_s) if t]
    times = []
    for _ in range(count):
        gap = rng.uniform(0.45, 0.56)
        start = rng.uniform(0, scene.duration_s - gap)
        if changes and rng.random() < 0.4:
            start = min(max(rng.choice(changes) - rng.uniform(0, gap), 0.0), scene.duration_s - gap)
        times.append((start, start + gap))
    return times


@dataclass
class DenseBatch:
    """pixels [n, 6, H, W], and targets by name, [n, R, K] or [n, R, K, 2]; NO_LOSS where there is no target"""

    pixels: Tensor
    targets: dict[str, Tensor]


class TowerStage(nn.Module):
    """The tower with its heads, as a training stage.

    name:  part of the random seed; a run that continues another one needs a different name, to see other clips
    steps: number of steps of earlier runs; scenes get harder with the step
    pictures: directory of the pictures that are no simple scenes
    """

    def __init__(
        self,
        start: Path | None = None,
        *,
        name: str = "tower",
        steps: int = 0,
        tubelets: int = 48,
        pictures: Path | None = None,
    ) -> None:
        super().__init__()
        self.name, self.steps, self.pictures = name, steps, Pictures(pictures)
        config = demo_config()
        self.spec = pixel_spec(config)
        self.tubelets = tubelets
        self.tower: VisionTower = fresh_model(config, SEED).vision_model
        if start is not None:
            self.tower.load_state_dict(read_tower(start))
        self.tower.radio_model.model.patch_generator.embedder.requires_grad_(False)
        self.dense = DenseHeads(config.vision.width)
        self.outlines = Outlines(config.vision.width)
        self.early: list[Tensor] = []
        self.tower.radio_model.model.blocks[OUTLINE_BLOCK].register_forward_hook(self._keep)

    def batch(self, rng: Random, step: int) -> DenseBatch:
        """Make a batch: one or two tubelets of each of many scenes. The scenes of early steps are simple."""
        step += self.steps
        aspect = choose_aspect(rng)
        grid = target_grid(round(1000 * aspect), 1000, self.spec.target_patches)
        pixels: list[Tensor] = []
        targets: list[dict[str, Tensor]] = []
        while len(targets) < self.tubelets:
            is_easy = rng.random() < max(0.1, 1 - step / 300)
            smallest = max(SIZES[0], 0.22 - 0.14 * step / 900)
            # Characters are learned last, and reading words depends on them.
            written = 0.25 + 0.5 * min(1.0, step / 1900)
            scene = _some_scene(rng, aspect, smallest, written, easy=is_easy)
            times = _some_times(rng, scene, 1 if len(scene.words) > 2 else 2)
            shown = Footage("", scene)
            if not is_easy and rng.random() < FOREIGN:
                shown = self.pictures.with_foreign(rng, scene)
            picture = clean_pixels if is_easy else degraded_pixels
            frames = picture(shown.paint, [t for pair in times for t in pair], grid, self.spec, rng)
            pixels.append(frames.reshape(len(times), 6, *frames.shape[2:]))
            targets += [tubelet_targets(shown.scene, *pair, grid, shown.sprites) for pair in times]
        return DenseBatch(torch.cat(pixels), stacked(targets))

    def loss(self, batch: DenseBatch, step: int) -> tuple[Tensor, dict[str, float]]:
        """The sum of the dense losses."""
        with torch.autocast("cpu", torch.bfloat16, enabled=HAS_FAST_BF16), PlainAttention():
            grid = self.tower(batch.pixels)
        early = self.early.pop()[:, -grid.shape[1] * grid.shape[2] :].unflatten(1, grid.shape[1:3])
        if self.steps and step < HEADS_ONLY_STEPS:
            grid, early = grid.detach(), early.detach()
        loss, figures = self.dense(grid, batch.targets)
        outline_loss, figures["outline"] = self.outlines(early, batch.targets["cover"])
        return loss + 4 * outline_loss, figures

    def _keep(self, _block: nn.Module, _input: object, output: Tensor) -> None:
        self.early.append(output)

    def trained(self) -> nn.Module:
        """The tower and its heads."""
        return self
