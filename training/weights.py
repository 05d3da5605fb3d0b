"""Reads the weights of a model from a training checkpoint or from a finished checkpoint."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from omnireel.model.checkpoint.load import load_checkpoint
from training.model_with_heads import WORDS
from training.recipe import LOGIT_SCALE
from training.vocabulary import read_words

READ_OUT = "language_model.lm_head.weight"
# Prefixes of parameter names in a stage's checkpoint: of the model, and of a tower alone. Heads have other prefixes.
MODEL = "model."
TOWER = "tower."


def read_weights(path: Path) -> tuple[dict[str, Tensor], dict[str, int]]:
    """The trained weights and their vocabulary.

    path: the `last.pt` of the question stage, heads included, or the directory of a finished checkpoint
    """
    return _finished(path) if path.is_dir() else _saved(path)


def read_tower(path: Path) -> dict[str, Tensor]:
    """The weights of the tower, from the `last.pt` of either stage or the directory of a finished checkpoint."""
    if path.is_dir():
        return load_checkpoint(path, torch.float32).vision_model.state_dict()
    weights = torch.load(path, weights_only=True)["module"]
    before = TOWER if WORDS not in weights else f"{MODEL}vision_model."
    return {name.removeprefix(before): tensor for name, tensor in weights.items() if name.startswith(before)}


def _finished(directory: Path) -> tuple[dict[str, Tensor], dict[str, int]]:
    weights = load_checkpoint(directory, torch.float32).state_dict()
    weights[READ_OUT] = weights[READ_OUT] / LOGIT_SCALE
    return {MODEL + name: tensor for name, tensor in weights.items()}, read_words(
        directory / "tokenizer.json"
    )


def _saved(file: Path) -> tuple[dict[str, Tensor], dict[str, int]]:
    weights = torch.load(file, weights_only=True)["module"]
    if WORDS not in weights:
        raise ValueError(f"{file} holds a tower alone. Continue from it with `talk --tower`.")
    return weights, weights.pop(WORDS)
