"""Which safetensors files a checkpoint has, and which tensors are in them. Loads no torch."""

import json
import re
from pathlib import Path

from omnireel.errors import CheckpointError

SHARD_NAME = re.compile(r"[\w.-]+\.safetensors")  # a file next to the index, not a path
# Tensors that are not loaded. First normalisation constants: preprocessing applies them, the tower must not.
IGNORED = re.compile(
    r"vision_model\.radio_model\.(input_conditioner\..*|model\.summary_idxs|summary_idxs)"
    # Rounded copies of the mel filters and the window, which audio/mel.py computes.
    r"|sound_encoder\.encoder\.feature_extractor\.featurizer\.(fb|window)"
)
_LANGUAGE = "language_model."


def shards(directory: Path) -> dict[Path, list[str] | None]:
    """Each file with the tensor names it must have; None for a single file without an index. Raises CheckpointError."""
    index = directory / "model.safetensors.index.json"
    single = directory / "model.safetensors"
    if not index.exists():
        if not single.exists():
            raise CheckpointError(
                f"There is no model.safetensors or model.safetensors.index.json in {directory}.",
                hint="Give --model a directory with the checkpoint's files.",
            )
        return {single: None}
    shards: dict[Path, list[str] | None] = {}
    for name, file in _weight_map(index).items():
        if not isinstance(file, str) or not SHARD_NAME.fullmatch(file):
            raise CheckpointError(f"The index has {name!r} outside the checkpoint: {file!r}.")
        names = shards.setdefault(directory / file, [])
        assert names is not None
        names.append(name)
    return shards


def _weight_map(index: Path) -> dict[str, object]:
    try:
        weight_map = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        return dict(weight_map)
    except (ValueError, KeyError, TypeError):
        raise CheckpointError(f"{index.name} is not an index: it has no object 'weight_map'.") from None


def is_encoder(name: str) -> bool:
    """Whether a tensor of a checkpoint belongs to the encoders and is loaded."""
    return not name.startswith(_LANGUAGE) and IGNORED.fullmatch(name) is None
