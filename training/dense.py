"""Dense targets of the patches of a tubelet, and the linear heads that predict them. Heads are used in training only."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar, cast

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from training.paint import character_spans, paint
from training.pictures.footage import Footage
from training.scenes import ALPHABET, COLOURS, DIRECTIONS, MOST_CHARACTERS, SHAPES, Background, Scene, Thing

CHARACTERS = ALPHABET + "0123456789"
MAX_CHARACTERS = MOST_CHARACTERS
OTHER = len(SHAPES)  # the class of a shape that is none of the four
NO_LOSS = -100  # cross entropy ignores it
MIN_COVERED = 0.2  # a patch has the targets of an object that covers more than this share of it
BLACK = Background("plain", (0, 0, 0), (0, 0, 0), 0)


def cover(
    thing: Thing,
    times_s: tuple[float, float],
    aspect: float,
    grid: tuple[int, int],
    sprite: Image.Image | None = None,
) -> Tensor:
    """The share that an object covers of each 64th of each patch, in both frames. [R, K, 128], 0 to 1

    sprite: the picture that is shown in place of the thing
    """
    rows, cols = grid
    alone = Scene(1.0, aspect, (replace(thing, rgb=(255, 255, 255)),), (), BLACK)
    if sprite is None:
        shown = paint(alone, times_s, cols * 8, rows * 8)
    else:
        white = Image.new("RGBA", sprite.size, (255, 255, 255, 0))
        white.putalpha(sprite.getchannel("A"))
        shown = Footage("", alone, sprites=(white,)).paint(times_s, cols * 8, rows * 8)
    mask = torch.from_numpy(shown[..., 0]) / 255  # [2, 8R, 8K]
    return mask.view(2, rows, 8, cols, 8).permute(1, 3, 0, 2, 4).reshape(rows, cols, 128)


def tubelet_targets(
    scene: Scene,
    first_s: float,
    second_s: float,
    grid: tuple[int, int],
    sprites: Sequence[Image.Image] = (),
) -> dict[str, Tensor]:
    """Targets of each patch for two frames at these times: about the object on it, and about its characters.

    sprites: pictures in place of the first things of the scene; their shape is OTHER, and they have no colour
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
        sprite = sprites[number - 1] if number <= len(sprites) else None
        covered = cover(thing, (first_s, second_s), scene.aspect, grid, sprite)
        covers += covered
        x, y = thing.centre(second_s if seen[1] else first_s)
        cell = min(rows - 1, max(0, int(y * rows))), min(cols - 1, max(0, int(x / scene.aspect * cols)))
        out["object"][cell] = 1
        on_it = covered.view(rows, cols, 2, 64).mean(-1).amax(-1) > MIN_COVERED
        on_it[cell] = True
        out["thing"][on_it] = number
        out["shape"][on_it] = OTHER if sprite else SHAPES.index(thing.shape)
        out["colour"][on_it] = NO_LOSS if sprite else list(COLOURS).index(thing.colour)
        out["life"][on_it] = {(True, True): 0, (False, True): 1, (True, False): 2}[seen]
        if all(seen) and second_s > first_s:
            out["motion"][on_it] = 1 + list(DIRECTIONS).index(thing.direction) if thing.direction else 0
    out["cover"] = covers.clamp(max=1)
    return out | _writing_targets(scene, grid)


def _writing_targets(scene: Scene, grid: tuple[int, int]) -> dict[str, Tensor]:
    """Targets about characters, for each half of a patch; a half has at most one character.

    character, index, following: the character whose centre is here, its index in the text, and how many follow it
    case: whether it is a capital; glyph: a character of which any part is here; writing: whether the centre of one is here
    small: whether text is here that is too small to be read; about its characters nothing is asked
    """
    rows, cols = grid
    character, index, following, case, glyph = torch.full((5, *grid, 2), NO_LOSS)
    small = torch.zeros(grid, dtype=torch.int64)
    for word in scene.words:
        top, bottom = ((word.y + side * 0.3 * word.height) * rows for side in (-1, 1))
        spans = character_spans(word, scene.aspect)
        if not word.is_readable:
            left, right = spans[0][0] * cols, spans[-1][1] * cols
            small[max(0, int(top)) : math.ceil(bottom), max(0, int(left)) : math.ceil(right)] = 1
            continue
        for place, (span, char) in enumerate(zip(spans, word.text, strict=True)):
            if char == " ":
                continue
            ends = [share * 2 * cols for share in span]
            kind = CHARACTERS.index(char.upper())
            halves = range(max(0, math.ceil(ends[0] - 0.25)), min(2 * cols, math.floor(ends[1] + 0.25)))
            for half in halves:
                glyph[max(0, round(top)) : min(rows, round(bottom)), half // 2, half % 2] = kind
            centre = int(sum(ends) / 2)
            if 0 <= centre < 2 * cols:
                spot = min(rows - 1, int(word.y * rows)), centre // 2, centre % 2
                character[spot], index[spot], following[spot] = kind, place, len(spans) - 1 - place
                case[spot] = char.isupper() if char.isalpha() else NO_LOSS
    writing = (character >= 0).long().masked_fill(small[..., None] > 0, NO_LOSS)
    return {
        "character": character, "index": index, "following": following, "case": case, "glyph": glyph, "writing": writing,
        "small": small,
    }  # fmt: skip


# Target → number of classes, and number of answers per patch.
READ_OUTS = {
    "shape": (5, 1), "colour": (8, 1), "motion": (5, 1), "life": (3, 1),
    "character": (36, 2), "index": (MAX_CHARACTERS, 2), "following": (MAX_CHARACTERS, 2), "glyph": (36, 2),
    "case": (2, 2), "object": (2, 1), "writing": (2, 2), "small": (2, 1),
}  # fmt: skip


class DenseHeads(nn.Module):
    """Linear heads that predict the targets of each patch."""

    # The targets that are learned last have a higher weight.
    WEIGHTS: ClassVar[dict[str, float]] = {
        "shape": 3.0,
        "character": 2.0,
        "index": 2.0,
        "following": 2.0,
        "case": 2.0,
    }
    # In these targets most answers are no.
    YES_WEIGHTS: ClassVar[dict[str, float]] = {"object": 15.0, "writing": 15.0, "small": 5.0}

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
            yes_weight = self.YES_WEIGHTS.get(name)
            weight = torch.tensor([1.0, yes_weight]) if yes_weight else None
            if (flat >= 0).any():
                loss = F.cross_entropy(scores, flat, weight=weight, ignore_index=NO_LOSS)
                losses.append(loss * self.WEIGHTS.get(name, 1.0))
            asked = flat > 0 if yes_weight else flat >= 0
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
