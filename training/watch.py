"""What the question stage asks of the model beside questions; thrown away after training."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.questions import View
from training.scenes import COLOURS, DIRECTIONS, LETTERS, SHAPES, Thing
from training.tower import DenseHeads

NO_LOSS = -100
NUM_KINDS = len(COLOURS) * len(SHAPES)
NUM_MOTIONS = 2 + len(DIRECTIONS)
NUM_SECONDS = 21
NUM_PLACES = 6  # along each side of the frame
MAX_LETTERS = 7
NUM_WAVES = 4
LETTERS_AND_NONE = "-" + LETTERS + "0123456789"


class WatchHead(nn.Module):
    """Reads from the end of each tubelet what has been seen so far; thrown away after training.

    For each of the 32 kinds of object: absent, still, or moving left, right, up, down; the seconds at which it
    came and went; where it is; which second it is; and the text, letter by letter. It makes the language model bind these and remember them,
    long before questions alone would.
    """

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.read_kind = nn.Linear(hidden_size, NUM_KINDS * NUM_MOTIONS)
        self.read_seconds = nn.Linear(hidden_size, NUM_KINDS * 2 * NUM_SECONDS)
        self.read_places = nn.Linear(hidden_size, NUM_KINDS * 2 * NUM_PLACES)
        self.read_now = nn.Linear(hidden_size, NUM_SECONDS)
        self.read_text = nn.Linear(hidden_size, MAX_LETTERS * len(LETTERS_AND_NONE))

    def forward(self, hidden: Tensor, targets: dict[str, Tensor]) -> tuple[Tensor, dict[str, float]]:
        """hidden: [B, T, D]; targets: of `watch_targets`, each with B in front → (loss, shares right)."""
        kinds, seen = _classify(self.read_kind(hidden), targets["kinds"], weight_of_first=0.1)
        seconds, when = _classify(self.read_seconds(hidden), targets["seconds"], weight_of_first=0.2)
        places, place = _classify(self.read_places(hidden), targets["places"], weight_of_first=1.0)
        now, clock = _classify(self.read_now(hidden), targets["now"], weight_of_first=1.0)
        text, letter = _classify(self.read_text(hidden), targets["text"], weight_of_first=0.3)
        figures = {"seen": seen, "place": place, "clock": clock, "when": when, "letter": letter}
        return kinds + 0.1 * (places + now) + 0.15 * seconds + 0.2 * text, figures


def _classify(scores: Tensor, target: Tensor, *, weight_of_first: float) -> tuple[Tensor, float]:
    """Loss, and the share right where the target is not the first class, which is the usual one."""
    flat = target.flatten()
    scores = scores.float().view(len(flat), -1)
    weight = torch.ones(scores.shape[1])
    weight[0] = weight_of_first
    asked = flat > 0
    right = (scores.argmax(-1) == flat)[asked].float().mean().item()
    if not (flat != NO_LOSS).any():
        return scores.sum() * 0, right
    return F.cross_entropy(scores, flat, weight=weight, ignore_index=NO_LOSS), right


def frame_pairs(times_s: tuple[float, ...]) -> list[tuple[float, float]]:
    """Times of each tubelet's two frames; an odd last frame stands twice."""
    return list(zip(times_s[::2], [*times_s[1::2], *times_s[-1:]][: len(times_s[::2])], strict=True))


def watch_targets(view: View) -> dict[str, Tensor]:
    """What `WatchHead` should say after each tubelet: kinds [T, 32], seconds [T, 32, 2], places [T, 32, 2],
    now [T], text [T, 7].

    A second counts from the tubelet on in which the object has come or gone; 0 is "from the start" or "not gone".
    """
    pairs = frame_pairs(view.times_s)
    kinds = torch.zeros(len(pairs), NUM_KINDS, dtype=torch.int64)
    seconds, places = torch.full((2, len(pairs), NUM_KINDS, 2), NO_LOSS)
    for thing in view.things:
        kind = list(COLOURS).index(thing.colour) * len(SHAPES) + SHAPES.index(thing.shape)
        motion = 2 + list(DIRECTIONS).index(thing.direction) if thing.direction else 1
        seen = moved = False
        for i, (first, second) in enumerate(pairs):
            visible = thing.is_visible(first), thing.is_visible(second)
            seen, moved = seen or any(visible), moved or (all(visible) and second > first)
            kinds[i, kind] = motion if moved else (NO_LOSS if seen else 0)
        come, gone = (view.first(thing) or 0) // 2, (view.last(thing) + 1) // 2
        seconds[come:, kind, 0] = view.appears(thing) or 0
        seconds[come:gone, kind, 1] = 0
        seconds[gone:, kind, 1] = view.disappears(thing) or 0
        _place(places[:, kind], thing, view.scene.aspect, pairs)
    text = torch.zeros(len(pairs), MAX_LETTERS, dtype=torch.int64)
    for place, letter in enumerate(view.scene.word.text.upper() if view.scene.word else ""):
        text[:, place] = LETTERS_AND_NONE.index(letter)
    now = torch.tensor([round(first) for first, _ in pairs])
    return {"kinds": kinds, "seconds": seconds, "places": places, "now": now, "text": text}


def _place(places: Tensor, thing: Thing, aspect: float, pairs: list[tuple[float, float]]) -> None:
    """Fill in where along the width and the height a thing stands at the end of each tubelet that shows it."""
    for i, (_, time_s) in enumerate(pairs):
        if thing.is_visible(time_s):
            x, y = thing.centre(time_s)
            for axis, share in enumerate((x / aspect, y)):
                places[i, axis] = min(NUM_PLACES - 1, int(share * NUM_PLACES))


class TokenHead(nn.Module):
    """The tower's dense questions, and each token's own place, asked of the projected tokens; thrown away later.

    A token holds four patches. It keeps the projector from losing what the tower sees. The language model has
    no other source of places, and after pruning not even the order of the tokens tells them: without this the
    projector drops them, and neither left and right nor the order of letters can be learned.
    """

    def __init__(self, hidden_size: int, width: int = 80) -> None:
        super().__init__()
        self.spread = nn.Linear(hidden_size, 4 * width)
        self.dense = DenseHeads(width)
        self.read_place = nn.Linear(hidden_size, 4 * NUM_WAVES)

    def forward(self, tokens: Tensor, targets: dict[str, Tensor]) -> tuple[Tensor, dict[str, float]]:
        """tokens: [n, R/2, K/2, D] → (loss, accuracies; spot: share of the places' variance that is found)."""
        n, rows, cols, _ = tokens.shape
        quads = self.spread(tokens).view(n, rows, cols, 2, 2, -1).transpose(2, 3)
        loss, figures = self.dense(quads.reshape(n, 2 * rows, 2 * cols, -1), targets)
        waves = place_waves(rows, cols)
        missed = (self.read_place(tokens) - waves).square().mean()
        spot = 1 - (missed / waves.var(unbiased=False)).item()
        return loss + 4 * missed, figures | {"spot": spot}


def place_waves(rows: int, cols: int) -> Tensor:
    """Where each token of a grid lies, as sines and cosines from half a wave along the longer side down to
    half a wave along two tokens of a long grid. [rows, cols, 4 · NUM_WAVES]
    """
    steps = torch.pi * 2.0 ** torch.arange(NUM_WAVES) / max(rows, cols)
    y, x = (torch.arange(side)[:, None] * steps for side in (rows, cols))
    along = [torch.cat([axis.sin(), axis.cos()], 1) for axis in (y, x)]
    return torch.cat([along[0][:, None].expand(-1, cols, -1), along[1][None].expand(rows, -1, -1)], -1)
