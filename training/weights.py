"""A model's weights in training's terms, from wherever they lie."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from omnireel.model.checkpoint.load import load_checkpoint
from training.recipe import SHARPNESS
from training.talker import WORDS
from training.vocabulary import read_words

READ_OUT = "language_model.lm_head.weight"
# Before the names of a model, or of a tower alone, in a stage's checkpoint, where heads stand beside them.
MODEL = "model."
TOWER = "tower."


def read_weights(path: Path) -> tuple[dict[str, Tensor], dict[str, int]]:
    """The weights as training left them, and their vocabulary.

    path: a stage's `last.pt`, whose heads come along, or a finished checkpoint's directory
    """
    return _finished(path) if path.is_dir() else _saved(path)


def read_tower(path: Path) -> dict[str, Tensor]:
    """The tower's weights, in either stage's `last.pt` or a finished checkpoint's directory."""
    if path.is_dir():
        return load_checkpoint(path, torch.float32).vision_model.state_dict()
    weights = torch.load(path, weights_only=True)["module"]
    before = TOWER if WORDS not in weights else f"{MODEL}vision_model."
    return {name.removeprefix(before): tensor for name, tensor in weights.items() if name.startswith(before)}


def _finished(directory: Path) -> tuple[dict[str, Tensor], dict[str, int]]:
    weights = load_checkpoint(directory, torch.float32).state_dict()
    weights[READ_OUT] = weights[READ_OUT] / SHARPNESS
    return {MODEL + name: tensor for name, tensor in weights.items()}, read_words(
        directory / "tokenizer.json"
    )


def _saved(file: Path) -> tuple[dict[str, Tensor], dict[str, int]]:
    weights = torch.load(file, weights_only=True)["module"]
    if WORDS not in weights:
        raise ValueError(f"{file} holds a tower alone; it can be gone on from with --tower")
    return weights, weights.pop(WORDS)
