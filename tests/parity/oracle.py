"""transformers 5.23 as the reference, corrected so that it computes the model of the checkpoint.

Its faults as shipped, and the corrections made here:
- the model class refuses the released model_types, its own and the audio encoder's: they are removed;
- its Mamba prefill clamps time steps at 0.001; the config says (0, inf), and so does its decode step: no clamp;
- its forward pass concatenates a tensor where a tuple of tensors is expected: it gets a tuple;
- its pruning uses the root of the hidden size as the side of the grid: it is off, and the function is tested alone.
"""

import functools
import json
import math
from importlib import import_module

import torch
from transformers import NemotronH_Omni_Reasoning_V3, NemotronH_Omni_Reasoning_V3_Config

# Both sides use fp32 but add in another order. Differences are near 1e-6 and grow with depth.
TOLERANCE = {"rtol": 0, "atol": 1e-4}


def _from_file(kind, name):
    """Import from the module file: the package hides these names without torchvision, although they do not need it."""
    return getattr(import_module(f"transformers.models.nemotron_h_omni.{kind}_nemotron_h_omni"), name)


VideoProcessor = _from_file("video_processing", "NemotronH_Omni_Reasoning_V3VideoProcessor")
Processor = _from_file("processing", "NemotronH_Omni_Reasoning_V3Processor")
compute_retention_mask = _from_file("modeling", "compute_retention_mask")


def read_oracle_config(directory):
    raw = json.loads((directory / "config.json").read_text())
    del raw["model_type"]
    if raw["sound_config"]:
        del raw["sound_config"]["model_type"]
    return NemotronH_Omni_Reasoning_V3_Config(**raw)


def load_oracle(directory, dtype=torch.float32):
    """Load a checkpoint into the corrected model. Fails if a tensor is missing or left over."""
    model, report = NemotronH_Omni_Reasoning_V3.from_pretrained(
        directory, config=read_oracle_config(directory), dtype=dtype, output_loading_info=True
    )
    missing = {name for name in report["missing_keys"] if not name.endswith("summary_idxs")}
    unread = ("input_conditioner", "feature_extractor")
    unexpected = {name for name in report["unexpected_keys"] if not any(part in name for part in unread)}
    assert not missing | unexpected, (missing, unexpected)
    model.eval().requires_grad_(False)
    model.video_pruning_rate = 0.0
    for module in model.modules():
        if hasattr(module, "time_step_limit"):
            module.time_step_limit = (0.0, math.inf)
    _return_rows(model)
    return model


def _return_rows(model):
    shipped = model.get_video_features

    @functools.wraps(shipped)  # generate() reads the signature
    def get_video_features(*args, **kwargs):
        output = shipped(*args, **kwargs)
        output.pooler_output = tuple(output.pooler_output)
        return output

    model.get_video_features = get_video_features


def oracle_vision_tokens(oracle, pixels):
    """pixels: [frames, 3, H, W] → [tubelets, tokens, D]."""
    return torch.stack(oracle.get_video_features(pixels).pooler_output)
