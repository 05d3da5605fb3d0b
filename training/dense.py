"""Dense targets of the patches of a tubelet, and the linear heads that predict them. Heads are used in training only."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import ClassVar, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.paint import character_spans, paint
from training.scenes import ALPHABET, COLOURS, DIRECTIONS, SHAPES, Background, Scene, Thing

CHARACTERS = ALPHABET + "0123456789"
MAX_CHARACTERS = 7
NO_LOSS = -100  # cross entropy ignores it
MIN_COVERED = 0.2  # a patch has the targets of an object that covers more than this share of it
BLACK = Background("plain", (0, 0, 0), (0, 0, 0), 0)


def cover(thing: Thing, times_s: tuple[float, float], aspect: float, grid: tuple[int, int]) -> Tensor:
    """The share that an object covers of each 64th of each patch, in both frames. [R, K, 128], 0 to 1"""
    rows, cols = grid
    alone = Scene(1.0, aspect, (replace(thing, rgb=(255, 255, 255)),), (), BLACK)
    mask = torch.from_numpy(paint(alone, times_s, cols * 8, rows * 8)[..., 0]) / 255  # [2, 8R, 8K]
    return mask.view(2, rows, 8, cols, 8).permute(1, 3, 0, 2, 4).reshape(rows, cols, 128)


def tubelet_targets(
    scene: Scene, first_s: float, second_s: float, grid: tuple[int, int]
) -> dict[str, Tensor]:
    """Targets of each patch for two frames at these times: about the object on it, and about its characters.

    thing is the number of the object in the scene, from 1; 0 where there is none
    """
    rows, cols = grid
    out = {name: torch.full(grid, NO_LOSS) for name in ("shape", "colour", "motion", "life")}
    out["object"], out["thing"] = torch.zeros(2, *grid, dtype=torch.int64)
    covers = torch.zeros(*grid, 128)
    for number, thing in enumerate(scene.things, 1):
        seen = thing.is_visible(first_s), thing.is_visible(second_s)
        if not any(seen):
            continue
        covered = cover(thing, (first_s, second_s), scene.aspect, grid)
        covers += covered
        x, y = thing.centre(second_s if seen[1] else first_s)
        cell = min(rows - 1, max(0, int(y * rows))), min(cols - 1, max(0, int(x / scene.aspect * cols)))
        out["object"][cell] = 1
        on_it = covered.view(rows, cols, 2, 64).mean(-1).amax(-1) > MIN_COVERED
        on_it[cell] = True
        out["thing"][on_it] = number
        out["shape"][on_it] = SHAPES.index(thing.shape)
        out["colour"][on_it] = list(COLOURS).index(thing.colour)
        out["life"][on_it] = {(True, True): 0, (False, True): 1, (True, False): 2}[seen]
        if all(seen) and second_s > first_s:
            out["motion"][on_it] = 1 + list(DIRECTIONS).index(thing.direction) if thing.direction else 0
    out["cover"] = covers.clamp(max=1)
    return out | _writing_targets(scene, grid)


def _writing_targets(scene: Scene, grid: tuple[int, int]) -> dict[str, Tensor]:
    """Targets about characters, for each half of a patch; a half has at most one character.

    character, index, following: the character whose centre is here, its index in the word, and how many follow it
    glyph: a character of which any part is here; writing: whether the centre of a character is here
    """
    rows, cols = grid
    character, index, following, glyph = torch.full((4, *grid, 2), NO_LOSS)
    for word in scene.words:
        top, bottom = ((word.y + side * 0.3 * word.height) * rows for side in (-1, 1))
        spans = character_spans(word, scene.aspect)
        for place, (span, char) in enumerate(zip(spans, word.text.upper(), strict=True)):
            ends = [share * 2 * cols for share in span]
            kind = CHARACTERS.index(char)
            halves = range(max(0, math.ceil(ends[0] - 0.25)), min(2 * cols, math.floor(ends[1] + 0.25)))
            for half in halves:
                glyph[max(0, round(top)) : min(rows, round(bottom)), half // 2, half % 2] = kind
            centre = int(sum(ends) / 2)
            if 0 <= centre < 2 * cols:
                spot = min(rows - 1, int(word.y * rows)), centre // 2, centre % 2
                character[spot], index[spot], following[spot] = kind, place, len(spans) - 1 - place
    return {
        "character": character, "index": index, "following": following, "glyph": glyph,
        "writing": (character >= 0).long(),
    }  # fmt: skip


# Target → number of classes, and number of answers per patch.
READ_OUTS = {
    "shape": (4, 1), "colour": (8, 1), "motion": (5, 1), "life": (3, 1),
    "character": (36, 2), "index": (MAX_CHARACTERS, 2), "following": (MAX_CHARACTERS, 2), "glyph": (36, 2),
    "object": (2, 1), "writing": (2, 2),
}  # fmt: skip


class DenseHeads(nn.Module):
    """Linear heads that predict the targets of each patch."""

    # The targets that are learned last have a higher weight.
    WEIGHTS: ClassVar[dict[str, float]] = {"shape": 3.0, "character": 2.0, "index": 2.0, "following": 2.0}
    # In targets of two classes, most answers are no.
    YES_WEIGHT = 15.0

    def __init__(self, width: int) -> None:
        super().__init__()
        sizes = {name: classes * slots for name, (classes, slots) in READ_OUTS.items()} | {"place": 2}
        self.heads = nn.ModuleDict({name: nn.Linear(width, size) for name, size in sizes.items()})

    def forward(self, grid: Tensor, targets: dict[str, Tensor]) -> tuple[Tensor, dict[str, float]]:
        """grid: [n, R, K, W] tower output → (loss, accuracy of each target where it is not empty)."""
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
                loss = F.cross_entropy(scores, flat, weight=weight, ignore_index=NO_LOSS)
                losses.append(loss * self.WEIGHTS.get(name, 1.0))
            asked = flat > 0 if classes == 2 else flat >= 0
            right = (scores.argmax(-1) == flat)[asked].float()
            figures[name] = right.mean().item() if len(right) else float("nan")
        rows, cols = grid.shape[1:3]
        y, x = torch.meshgrid(torch.arange(rows) / rows, torch.arange(cols) / cols, indexing="ij")
        losses.append(5 * (out["place"] - torch.stack([y, x], -1)).square().mean())
        return cast(Tensor, sum(losses)), figures


class Outlines(nn.Module):
    """Predicts early in the tower which part of each patch objects cover. Later layers need it to recognise shapes."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.read = nn.Linear(width, 128)

    def forward(self, grid: Tensor, covered: Tensor) -> tuple[Tensor, float]:
        """grid: [n, R, K, W]; covered: [n, R, K, 128] → (loss, recall of the covered parts)."""
        out = self.read(F.layer_norm(grid.float(), grid.shape[-1:]))
        right = ((out > 0) == (covered > 0.5))[covered > 0.5].float().mean().item()
        return F.binary_cross_entropy_with_logits(out, covered, pos_weight=torch.tensor(6.0)), right


def stacked(rows: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Stack the tensors of the rows by name. Each becomes [len(rows), ...]."""
    return {name: torch.stack([row[name] for row in rows]) for name in rows[0]}
