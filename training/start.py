"""The weights that question training starts from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from training.model_with_heads import ModelWithHeads
from training.weights import MODEL, read_tower, read_weights


@dataclass(frozen=True)
class Start:
    """The sources of initial weights. Each is the `last.pt` of a stage or the directory of a finished checkpoint.

    model: all weights; tower: weights of the tower, used instead of the model's
    """

    model: Path | None
    tower: Path | None


def load_start(model_with_heads: ModelWithHeads, start: Start) -> None:
    """Load the initial weights. Rows of word tables are moved to the ids of the model's own vocabulary."""
    if start.model is not None:
        weights, words = read_weights(start.model)
        moved = move_word_rows(weights, model_with_heads.state_dict(), words, model_with_heads.words)
        missing = model_with_heads.load_state_dict(moved, strict=False).missing_keys
        if any(name.startswith(MODEL) for name in missing):
            raise ValueError(f"{start.model} lacks these weights: {', '.join(missing)}.")
    if start.tower is not None:
        model_with_heads.model.vision_model.load_state_dict(read_tower(start.tower))


def move_word_rows(
    weights: dict[str, Tensor], fresh: dict[str, Tensor], old: dict[str, int], new: dict[str, int]
) -> dict[str, Tensor]:
    """The weights with the rows of word tables moved to the ids of a new vocabulary.

    fresh: weights that give the rows of new words; old, new: word → id
    Word tables are the tensors with a row for each word. `python -m training vocabulary` makes a new vocabulary.
    """
    kept = [(new[token], row) for token, row in old.items() if token in new]
    to, of = (torch.tensor(ids) for ids in zip(*kept, strict=True))
    moved = dict(weights)
    for name, table in weights.items():
        if "embeddings" in name or "lm_head" in name:
            moved[name] = fresh[name].clone()
            moved[name][to] = table[of].to(fresh[name].dtype)
    return moved
