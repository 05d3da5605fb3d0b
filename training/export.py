"""Write the model of a training checkpoint to a directory in the official layout."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from training.recipe import LOGIT_SCALE, config_json
from training.vocabulary import TOKENIZER, read_words, write_text_files
from training.weights import MODEL, READ_OUT, read_weights

CARD = f"""\
# omnireel demo checkpoint

A tiny Nemotron-3-Nano-Omni (every kind of layer of the 30B model: Mamba-2, attention, mixture of experts,
two-frame tubelets, pixel shuffle, EVS), trained from random weights on rendered scenes.

It sees one to three solid objects (circle, square, triangle, star; red, green, blue, yellow, orange, purple,
white, black) on a simple background, how they move, appear and disappear, and one short word or number.
Its logits are {LOGIT_SCALE:g} times the trained ones, so that at the default temperature it nearly always gives its likeliest answer.
It knows nothing else and has no audio encoder. Asked about anything else, it says so; shown anything else, it mostly
says so. Licence: Apache-2.0.
"""


def export(saved: Path, directory: Path, others: Sequence[Path] = ()) -> int:
    """Write config, weights and text files. Returns the size of the weights in bytes.

    others: checkpoints or finished models to average with; one that is named twice counts twice. The end of a run and
    its start are near enough for this, and their mean may generalise better than either. Source: stochastic weight
    averaging, arXiv 1803.05407.

    Raises ValueError, before anything is written, if they do not have the same vocabulary and the same tensors.
    """
    models = _read_alike((saved, *others))
    model = {name: torch.stack([other[name] for other in models]).mean(0) for name in models[0]}
    model[READ_OUT] = model[READ_OUT] * LOGIT_SCALE
    tensors = {name: _stored(name, tensor) for name, tensor in model.items()}
    write_text_files(directory)
    save_file(tensors, directory / "model.safetensors", metadata={"format": "pt"})
    (directory / "config.json").write_text(json.dumps(config_json(), indent=1) + "\n")
    (directory / "README.md").write_text(CARD)
    return sum(t.numel() * t.element_size() for t in tensors.values())


def _read_alike(paths: Sequence[Path]) -> list[dict[str, Tensor]]:
    """The weights of each model. Raises ValueError if a vocabulary is not the current one, or if tensors differ."""
    models = []
    for path in paths:
        weights, words = read_weights(path)
        if words != read_words(TOKENIZER):
            raise ValueError(
                f"{path} was trained with another vocabulary than the current one. Continue from it with `talk --start`."
            )
        models.append(_model(weights))
        if odd := models[0].keys() ^ models[-1].keys():
            raise ValueError(
                f"{path} and {paths[0]} differ in architecture: only one of them has {min(odd)}."
            )
    return models


def _model(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The weights of the model, without those of the training heads."""
    return {name.removeprefix(MODEL): w for name, w in weights.items() if name.startswith(MODEL)}


def _stored(name: str, tensor: Tensor) -> Tensor:
    """The tensor in its stored type. Official checkpoints have the router's bias in F32 and all else in BF16."""
    wide = name.endswith("e_score_correction_bias")
    return tensor.to(torch.float32 if wide else torch.bfloat16).contiguous()
