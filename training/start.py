"""What question training goes on from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from training.talker import Talker
from training.weights import MODEL, read_tower, read_weights


@dataclass(frozen=True)
class Start:
    """What the stage goes on from, each a stage's `last.pt` or a finished checkpoint's directory.

    model: all weights; tower: the tower's, in place of the model's
    """

    model: Path | None
    tower: Path | None


def take_over(talker: Talker, start: Start) -> None:
    """Load what there is to go on from, its rows moved to where the talker's vocabulary has their words."""
    if start.model is not None:
        weights, words = read_weights(start.model)
        carried = carry_words(weights, talker.state_dict(), words, talker.words)
        missing = talker.load_state_dict(carried, strict=False).missing_keys
        if any(name.startswith(MODEL) for name in missing):
            raise ValueError(f"{start.model} lacks {missing}")
    if start.tower is not None:
        talker.model.vision_model.load_state_dict(read_tower(start.tower))


def carry_words(
    weights: dict[str, Tensor], fresh: dict[str, Tensor], old: dict[str, int], new: dict[str, int]
) -> dict[str, Tensor]:
    """The weights, the rows of their words moved to where a new vocabulary has them; new words get fresh rows.

    `python -m training vocabulary` draws another one. Tables are those with a row for each of its words.
    """
    kept = [(new[token], row) for token, row in old.items() if token in new]
    to, of = (torch.tensor(ids) for ids in zip(*kept, strict=True))
    carried = dict(weights)
    for name, table in weights.items():
        if "embeddings" in name or "lm_head" in name:
            carried[name] = fresh[name].clone()
            carried[name][to] = table[of].to(fresh[name].dtype)
    return carried
