"""From a training checkpoint to a directory in the official layout."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from training.recipe import SHARPNESS, config_json
from training.vocabulary import TOKENIZER, read_words, write_text_files
from training.weights import MODEL, READ_OUT, read_weights

CARD = f"""\
# omnireel demo checkpoint

A tiny Nemotron-3-Nano-Omni (every kind of layer of the 30B model: Mamba-2, attention, mixture of experts,
two-frame tubelets, pixel shuffle, EVS), trained from nothing on rendered scenes.

It sees one to three solid objects (circle, square, triangle, star; red, green, blue, yellow, orange, purple,
white, black) on a simple background, how they move, appear and disappear, and one short word or number.
Its logits are {SHARPNESS:g} times those that training left, so that it says what it holds most likely at the usual temperature.
It knows nothing else of the world, hears nothing, and says so when asked. Licence: Apache-2.0.
"""


def export(saved: Path, directory: Path, others: Sequence[Path] = ()) -> int:
    """Write config, weights and text files. Returns the size of the weights in bytes; nothing is written before all
    is known to fit.

    others: checkpoints or finished models to take the mean with; what is named twice counts twice. The end of a run
    and what it went on from lie in one basin, and what is between them may generalise better than either. Source:
    stochastic weight averaging, arXiv 1803.05407
    """
    models = _read_alike((saved, *others))
    model = {name: torch.stack([other[name] for other in models]).mean(0) for name in models[0]}
    model[READ_OUT] = model[READ_OUT] * SHARPNESS
    tensors = {name: _stored(name, tensor) for name, tensor in model.items()}
    write_text_files(directory)
    save_file(tensors, directory / "model.safetensors", metadata={"format": "pt"})
    (directory / "config.json").write_text(json.dumps(config_json(), indent=1) + "\n")
    (directory / "README.md").write_text(CARD)
    return sum(t.numel() * t.element_size() for t in tensors.values())


def _read_alike(paths: Sequence[Path]) -> list[dict[str, Tensor]]:
    """Each one's model. Raises ValueError where one has another vocabulary than today's, or other tensors."""
    models = []
    for path in paths:
        weights, words = read_weights(path)
        if words != read_words(TOKENIZER):
            raise ValueError(
                f"{path} was trained with another vocabulary than today's; go on from it with --start"
            )
        models.append(_model(weights))
        if odd := models[0].keys() ^ models[-1].keys():
            raise ValueError(f"{path} and {paths[0]} are not of one architecture: only one has {min(odd)}")
    return models


def _model(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The model's own weights, without the heads'."""
    return {name.removeprefix(MODEL): w for name, w in weights.items() if name.startswith(MODEL)}


def _stored(name: str, tensor: Tensor) -> Tensor:
    """The official repositories keep the router's bias in F32 and everything else in BF16."""
    wide = name.endswith("e_score_correction_bias")
    return tensor.to(torch.float32 if wide else torch.bfloat16).contiguous()
