"""What the question stage asks of the model beside questions; thrown away after training."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.dense import CHARACTERS, MAX_LETTERS, NO_LOSS, DenseHeads
from training.paint import letter_spans
from training.questions.view import View
from training.scenes import COLOURS, DIRECTIONS, SHAPES, Scene, Thing

NUM_KINDS = len(COLOURS) * len(SHAPES)
NUM_MOTIONS = 2 + len(DIRECTIONS)
NUM_SECONDS = 21
NUM_PLACES = 12  # along each side of the frame
NUM_WAVES = 4
LETTERS_AND_NONE = "-" + CHARACTERS


class WatchHead(nn.Module):
    """Reads from the end of each tubelet what has been seen so far; thrown away after training.

    For each of the 32 kinds of object: absent, still, or moving left, right, up, down; and which second it is.
    It makes the language model remember what there is, long before questions alone would.
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


# What each vision token is asked → how many classes, how many such answers, and the weight of the first class,
# which is the usual one.
BINDINGS = {
    "kind": (1 + NUM_KINDS, 1, 0.1), "motion": (NUM_MOTIONS, 1, 1.0), "came": (NUM_SECONDS, 1, 0.3),
    "place": (NUM_PLACES, 2, 1.0), "gone": (1 + NUM_KINDS, 1, 0.01), "now": (NUM_SECONDS, 1, 1.0),
    "letters": (len(LETTERS_AND_NONE), MAX_LETTERS, 0.01),
}  # fmt: skip


class StreamHead(nn.Module):
    """Reads facts from places in the residual stream; thrown away after training.

    A question finds a thing by its kind with one glance of attention and can take from there only what that
    token holds. So the token of a red circle has to hold when the circle came and where it is; one where it
    stood, that it has gone; one of a letter, which letter of the word it is.

    table: such as `BINDINGS`
    """

    def __init__(self, hidden_size: int, table: dict[str, tuple[int, int, float]]) -> None:
        super().__init__()
        self.table = table
        self.heads = nn.ModuleDict(
            {name: nn.Linear(hidden_size, classes * slots) for name, (classes, slots, _) in table.items()}
        )

    def forward(self, stream: Tensor, targets: dict[str, Tensor]) -> tuple[Tensor, dict[str, float]]:
        """stream: [N, D]; targets: of each name in the table at the same places → (loss, shares right)."""
        stream = F.layer_norm(stream, stream.shape[-1:])
        loss, figures = torch.zeros(()), {}
        for name, (_, slots, weight) in self.table.items():
            scores = self.heads[name](stream).unflatten(-1, (slots, -1))
            each, figures[name] = _classify(scores, targets[name], weight_of_first=weight)
            loss = loss + each
        return loss, figures


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
    """What `WatchHead` should say after each tubelet: kinds [T, 32], now [T]."""
    pairs = frame_pairs(view.times_s)
    kinds = torch.zeros(len(pairs), NUM_KINDS, dtype=torch.int64)
    for thing in view.things:
        kind = _kind(thing)
        motion = 2 + list(DIRECTIONS).index(thing.direction) if thing.direction else 1
        seen = moved = False
        for i, (first, second) in enumerate(pairs):
            visible = thing.is_visible(first), thing.is_visible(second)
            seen, moved = seen or any(visible), moved or (all(visible) and second > first)
            kinds[i, kind] = motion if moved else (NO_LOSS if seen else 0)
    now = torch.tensor([round(first) for first, _ in pairs])
    return {"kinds": kinds, "now": now}


def _kind(thing: Thing) -> int:
    """Its place among the 32 kinds."""
    return list(COLOURS).index(thing.colour) * len(SHAPES) + SHAPES.index(thing.shape)


def number_of(thing: Thing) -> int:
    """Its kind, counted from 1: 0 means no thing."""
    return 1 + _kind(thing)


def bind_targets(view: View, watched: dict[str, Tensor], patches: dict[str, Tensor]) -> dict[str, Tensor]:
    """What `BINDINGS` ask of each token: kind, motion, came, gone, now [T, h, w], place [T, h, w, 2],
    letters [T, h, w, 7].

    watched, patches: this clip's `watch_targets` and `tubelet_targets`, the latter stacked
    kind and gone count from 1; a thing has gone where it stood, in the tubelet in which it is first missing.
    came is the second at which the token's thing appeared, 0 if it was there from the start.
    """
    pairs = frame_pairs(view.times_s)
    on_it = patches["shape"] >= 0
    code = torch.where(on_it, 1 + patches["colour"] * len(SHAPES) + patches["shape"], 0)
    kind = F.max_pool2d(code.float(), 2).long()
    came, places = torch.full((1 + NUM_KINDS,), NO_LOSS), torch.full((len(pairs), 1 + NUM_KINDS, 2), NO_LOSS)
    gone = torch.zeros_like(kind)
    for thing in view.things:
        number = number_of(thing)
        came[number] = view.appears(thing) or 0
        _place(places[:, number], thing, view.scene.aspect, pairs)
        missing = (view.last(thing) + 1) // 2
        if view.disappears(thing) is not None and missing > 0:
            stood = (kind[missing - 1] == number) | (kind[missing] == number)
            gone[missing][stood] = number
    tubelets = torch.arange(len(pairs))[:, None, None]
    motions = F.pad(watched["kinds"], (1, 0), value=NO_LOSS)
    letters = letter_targets(view.scene, (kind.shape[1], kind.shape[2]))
    return {
        "kind": kind,
        "motion": motions[tubelets, kind],
        "came": came[kind],
        "place": places[tubelets, kind],
        "gone": gone,
        "now": watched["now"][:, None, None].expand_as(kind),
        "letters": letters.expand(len(pairs), -1, -1, -1),
    }


def letter_targets(scene: Scene, grid: tuple[int, int]) -> Tensor:
    """Which letters of the word have their centres in each token, by their index in the word. [h, w, 7]"""
    rows, cols = grid
    letters = torch.zeros(rows, cols, MAX_LETTERS, dtype=torch.int64)
    if scene.word is None:
        return letters
    word = scene.word
    row = min(rows - 1, int(word.y * rows))
    spans = letter_spans(word, scene.aspect)
    for index, (span, letter) in enumerate(zip(spans, word.text.upper(), strict=True)):
        column = int(sum(span) / 2 * cols)
        letters[row, min(cols - 1, max(0, column)), index] = LETTERS_AND_NONE.index(letter)
    return letters


def _place(places: Tensor, thing: Thing, aspect: float, pairs: list[tuple[float, float]]) -> None:
    """Fill in where along the width and the height a thing stands at the end of each tubelet that shows it."""
    for i, (first_s, second_s) in enumerate(pairs):
        shown = [t for t in (first_s, second_s) if thing.is_visible(t)]
        if shown:
            x, y = thing.centre(shown[-1])
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
