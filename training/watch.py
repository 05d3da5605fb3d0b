"""Auxiliary heads of question training and their targets. The heads are used in training only."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.dense import CHARACTERS, MAX_CHARACTERS, NO_LOSS, OTHER, DenseHeads
from training.paint import character_spans
from training.questions.view import View
from training.scenes import ALPHABET, COLOURS, DIRECTIONS, SHAPES, Scene, Thing

NUM_KINDS = len(COLOURS) * len(SHAPES)
NUM_MOTIONS = 2 + len(DIRECTIONS)
NUM_SECONDS = 21
NUM_PLACES = 12  # along each side of the frame
NUM_FREQUENCIES = 4
CHARACTERS_OR_NONE = "-" + CHARACTERS + ALPHABET.lower()


class WatchHead(nn.Module):
    """Predicts at the end of each tubelet what has been visible so far. Used in training only.

    For each of the 32 kinds of object: absent, still, or moving left, right, up, down; and the current second. With it
    the language model learns to remember objects much earlier than from questions alone.
    """

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.read_kind = nn.Linear(hidden_size, NUM_KINDS * NUM_MOTIONS)
        self.read_now = nn.Linear(hidden_size, NUM_SECONDS)

    def forward(self, hidden: Tensor, targets: dict[str, Tensor]) -> tuple[Tensor, dict[str, float]]:
        """hidden: [B, T, D]; targets: of `watch_targets`, each with B in front → (loss, shares right)."""
        kinds, seen = _classify(self.read_kind(hidden), targets["kinds"], weight_of_first=0.1)
        now, clock = _classify(self.read_now(hidden), targets["now"], weight_of_first=1.0)
        return kinds + 0.1 * now, {"seen": seen, "clock": clock}


# Target of each vision token → number of classes, number of answers, weight of the first class, which is the most
# frequent. The names are in the parameter names of saved runs.
BINDINGS = {
    "kind": (1 + NUM_KINDS, 1, 0.1), "motion": (NUM_MOTIONS, 1, 1.0), "came": (NUM_SECONDS, 1, 0.3),
    "place": (NUM_PLACES, 2, 1.0), "gone": (1 + NUM_KINDS, 1, 0.01), "now": (NUM_SECONDS, 1, 1.0),
    "letters": (len(CHARACTERS_OR_NONE), MAX_CHARACTERS, 0.01), "rank": (4, 1, 0.05), "odd": (2, 1, 0.1),
}  # fmt: skip


class StreamHead(nn.Module):
    """Predicts facts from positions of the residual stream. Used in training only.

    By attention a question finds the token of a thing, and gets only what that token holds. So the token of a red circle
    has to hold when the circle appeared and where it is. A token at its last place has to hold that it has gone. A token
    of a character has to hold its index in the word.

    table: a table like `BINDINGS`
    """

    def __init__(self, hidden_size: int, table: dict[str, tuple[int, int, float]]) -> None:
        super().__init__()
        self.table = table
        self.heads = nn.ModuleDict(
            {name: nn.Linear(hidden_size, classes * slots) for name, (classes, slots, _) in table.items()}
        )

    def forward(self, stream: Tensor, targets: dict[str, Tensor]) -> tuple[Tensor, dict[str, float]]:
        """stream: [N, D]; targets: by name of the table, at the same positions → (loss, shares right)."""
        stream = F.layer_norm(stream, stream.shape[-1:])
        loss, figures = torch.zeros(()), {}
        for name, (_, slots, weight) in self.table.items():
            scores = self.heads[name](stream).unflatten(-1, (slots, -1))
            each, figures[name] = _classify(scores, targets[name], weight_of_first=weight)
            loss = loss + each
        return loss, figures


def _classify(scores: Tensor, target: Tensor, *, weight_of_first: float) -> tuple[Tensor, float]:
    """The loss, and the share right where the target is not the first class, which is the most frequent."""
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
    """The times of the two frames of each tubelet. An odd last frame is repeated."""
    return list(zip(times_s[::2], [*times_s[1::2], *times_s[-1:]][: len(times_s[::2])], strict=True))


def watch_targets(view: View) -> dict[str, Tensor]:
    """Targets of `WatchHead` after each tubelet: kinds [T, 32], now [T]."""
    pairs = frame_pairs(view.times_s)
    kinds = torch.zeros(len(pairs), NUM_KINDS, dtype=torch.int64)
    for thing in view.things:
        kind = _kind(thing)
        for i, found in enumerate(_motions_so_far(thing, pairs)):
            is_twin = kinds[i, kind] != 0 and found not in (0, kinds[i, kind])
            kinds[i, kind] = NO_LOSS if is_twin else found or kinds[i, kind]
    now = torch.tensor([round(first) for first, _ in pairs])
    return {"kinds": kinds, "now": now}


def _motions_so_far(thing: Thing, pairs: list[tuple[float, float]]) -> list[int]:
    """After each tubelet: 0 while it has not been seen, NO_LOSS while its motion cannot be told, then its motion."""
    motion = 2 + list(DIRECTIONS).index(thing.direction) if thing.direction else 1
    seen = moved = False
    found = []
    for first, second in pairs:
        visible = thing.is_visible(first), thing.is_visible(second)
        seen, moved = seen or any(visible), moved or (all(visible) and second > first)
        found.append(motion if moved else (NO_LOSS if seen else 0))
    return found


def _kind(thing: Thing) -> int:
    """The index of a thing's kind among the 32 kinds."""
    return list(COLOURS).index(thing.colour) * len(SHAPES) + SHAPES.index(thing.shape)


def number_of(thing: Thing) -> int:
    """The number of a thing's kind, counted from 1; 0 means no thing."""
    return 1 + _kind(thing)


def bind_targets(view: View, watched: dict[str, Tensor], patches: dict[str, Tensor]) -> dict[str, Tensor]:
    """Targets of `BINDINGS` for each token: kind, motion, came, gone, now, rank [T, h, w], place [T, h, w, 2] and
    letters [T, h, w, 7]. odd is 1 at a shape that is none of the four.

    watched, patches: the clip's `watch_targets`, and its `tubelet_targets` stacked

    kind and gone are numbers of kinds. gone is set where a thing was last, in the tubelet in which it is first missing.
    came is the second at which the token's thing appeared, or 0 if it was there from the start. rank counts things of one
    kind from 1, in the order in which descriptions name them: without it they could not be told one after the other.
    """
    pairs, things = frame_pairs(view.times_s), view.scene.things
    thing_at = F.max_pool2d(patches["thing"].float(), 2).long()  # [T, h, w]; 0 where there is none
    kinds, ranks = torch.zeros(2, 1 + len(things), dtype=torch.int64)
    came = torch.full((1 + len(things),), NO_LOSS)
    motions = torch.full((len(pairs), 1 + len(things)), NO_LOSS)
    places = torch.full((len(pairs), 1 + len(things), 2), NO_LOSS)
    gone = torch.zeros_like(thing_at)
    for thing in view.things:
        index = 1 + things.index(thing)
        kinds[index] = number_of(thing)
        ranks[index] = 1 + _rank(thing, view)
        came[index] = view.appears(thing) or 0
        motions[:, index] = torch.tensor(_motions_so_far(thing, pairs))
        _place(places[:, index], thing, view.scene.aspect, pairs)
        missing = (view.last(thing) + 1) // 2
        if view.disappears(thing) is not None and missing > 0:
            was_here = (thing_at[missing - 1] == index) | (thing_at[missing] == index)
            gone[missing][was_here] = number_of(thing)
    tubelets = torch.arange(len(pairs))[:, None, None]
    characters = character_targets(view.scene, (thing_at.shape[1], thing_at.shape[2]))
    return {
        "kind": kinds[thing_at],
        "motion": motions[tubelets, thing_at],
        "came": came[thing_at],
        "place": places[tubelets, thing_at],
        "gone": gone,
        "now": watched["now"][:, None, None].expand_as(thing_at),
        "letters": characters.expand(len(pairs), -1, -1, -1),
        "rank": ranks[thing_at],
        "odd": F.max_pool2d((patches["shape"] == OTHER).float(), 2).long(),
    }


def _rank(thing: Thing, view: View) -> int:
    """How many things of its kind come before it, in the order of `View.things`."""
    alike = [other for other in view.things if number_of(other) == number_of(thing)]
    return next(i for i, other in enumerate(alike) if other is thing)


def character_targets(scene: Scene, grid: tuple[int, int]) -> Tensor:
    """The characters whose centres are in each token, by their index in the word. [h, w, 7]"""
    rows, cols = grid
    characters = torch.zeros(rows, cols, MAX_CHARACTERS, dtype=torch.int64)
    if scene.word is None or not scene.word.is_readable:
        return characters
    word = scene.word
    row = min(rows - 1, int(word.y * rows))
    spans = character_spans(word, scene.aspect)
    for index, (span, char) in enumerate(zip(spans, word.text, strict=True)):
        if char == " ":
            continue
        column = int(sum(span) / 2 * cols)
        characters[row, min(cols - 1, max(0, column)), index] = CHARACTERS_OR_NONE.index(char)
    return characters


def _place(places: Tensor, thing: Thing, aspect: float, pairs: list[tuple[float, float]]) -> None:
    """Fill in the place of a thing along width and height, at the end of each tubelet that shows it."""
    for i, (first_s, second_s) in enumerate(pairs):
        shown = [t for t in (first_s, second_s) if thing.is_visible(t)]
        if shown:
            x, y = thing.centre(shown[-1])
            for axis, share in enumerate((x / aspect, y)):
                places[i, axis] = min(NUM_PLACES - 1, int(share * NUM_PLACES))


class TokenHead(nn.Module):
    """Predicts the tower's dense targets and each token's place from the projected tokens. Used in training only.

    Each token stands for four patches. This head makes the projector keep what the tower has found. Places matter most:
    the language model gets them from nothing else, since after pruning the order of tokens does not give them. Without
    this head the projector loses them, and neither left and right nor the order of characters can be learned.
    """

    def __init__(self, hidden_size: int, width: int = 80) -> None:
        super().__init__()
        self.spread = nn.Linear(hidden_size, 4 * width)
        self.dense = DenseHeads(width)
        self.read_place = nn.Linear(hidden_size, 4 * NUM_FREQUENCIES)

    def forward(self, tokens: Tensor, targets: dict[str, Tensor]) -> tuple[Tensor, dict[str, float]]:
        """tokens: [n, R/2, K/2, D] → (loss, accuracies; spot: explained share of the variance of places)."""
        n, rows, cols, _ = tokens.shape
        quads = self.spread(tokens).view(n, rows, cols, 2, 2, -1).transpose(2, 3)
        loss, figures = self.dense(quads.reshape(n, 2 * rows, 2 * cols, -1), targets)
        places = position_sinusoids(rows, cols)
        missed = (self.read_place(tokens) - places).square().mean()
        spot = 1 - (missed / places.var(unbiased=False)).item()
        return loss + 4 * missed, figures | {"spot": spot}


def position_sinusoids(rows: int, cols: int) -> Tensor:
    """The place of each token of a grid, as sines and cosines. [rows, cols, 4 · NUM_FREQUENCIES]

    The lowest frequency has half a wave along the longer side, the others two, four and eight times as many.
    """
    steps = torch.pi * 2.0 ** torch.arange(NUM_FREQUENCIES) / max(rows, cols)
    y, x = (torch.arange(side)[:, None] * steps for side in (rows, cols))
    along = [torch.cat([axis.sin(), axis.cos()], 1) for axis in (y, x)]
    return torch.cat([along[0][:, None].expand(-1, cols, -1), along[1][None].expand(rows, -1, -1)], -1)
