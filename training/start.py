"""What question training goes on from."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from omnireel.model.checkpoint import load_checkpoint
from training.export import READ_OUT
from training.recipe import SHARPNESS
from training.talker import Talker
from training.tower import tower_weights


@dataclass(frozen=True)
class Start:
    """What the stage goes on from, each a stage's `last.pt` or a finished checkpoint's directory.

    model: all weights; tower: the tower's, in place of the model's
    """

    model: Path | None
    tower: Path | None


def take_over(talker: Talker, start: Start, text: Path) -> None:
    """Load what there is to go on from.

    text: the directory with the vocabulary to be trained; a finished model's rows move to where it has their words
    """
    if start.model is not None and start.model.is_dir():
        finished = load_checkpoint(start.model, torch.float32).state_dict()
        finished[READ_OUT] = finished[READ_OUT] / SHARPNESS
        words = (_words(start.model), _words(text))
        talker.model.load_state_dict(carry_words(finished, talker.model.state_dict(), *words))
    elif start.model is not None:
        talker.load_state_dict(torch.load(start.model, weights_only=True)["module"], strict=False)
    if start.tower is not None:
        talker.model.vision_model.load_state_dict(tower_weights(start.tower))


def _words(directory: Path) -> dict[str, int]:
    """The vocabulary of a tokenizer.json: token → id."""
    described = json.loads((directory / "tokenizer.json").read_text("utf-8"))
    return described["model"]["vocab"]  # type: ignore[no-any-return]


def carry_words(
    weights: dict[str, Tensor], fresh: dict[str, Tensor], old: dict[str, int], new: dict[str, int]
) -> dict[str, Tensor]:
    """The weights, the rows of their words moved to where a new vocabulary has them; new words get fresh rows.

    Another question grammar makes another vocabulary. Tables are those with a row for each of its words.
    """
    kept = [(new[token], row) for token, row in old.items() if token in new]
    to, of = (torch.tensor(ids) for ids in zip(*kept, strict=True))
    carried = dict(weights)
    for name, table in weights.items():
        if "embeddings" in name or "lm_head" in name:
            carried[name] = fresh[name].clone()
            carried[name][to] = table[of].to(fresh[name].dtype)
    return carried
