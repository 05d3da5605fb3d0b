"""Where pulled checkpoints lie."""

import re
from pathlib import Path

from omnireel.errors import SettingsError

RECORD = "pulled.json"  # written last: a directory that has it is whole
_NAME = r"[A-Za-z0-9](?:[\w.-]{0,94}[A-Za-z0-9_])?"
MODEL_ID = re.compile(f"{_NAME}/{_NAME}", re.ASCII)


def pulled_directory(models_dir: Path, model_id: str) -> Path:
    """Where `model_id` lies once it is whole. Raises SettingsError for what is no id."""
    return models_dir.joinpath(*_parts(model_id))


def partial_directory(models_dir: Path, model_id: str) -> Path:
    """Where it gathers until then; no owner's name begins with a dot."""
    return models_dir.joinpath(".partial", *_parts(model_id))


def _parts(model_id: str) -> list[str]:
    if not MODEL_ID.fullmatch(model_id):
        raise SettingsError(
            f"{model_id!r} is no model's id",
            hint="ids look like nvidia/Nemotron-3-Nano-Omni-30B-A3B-Reasoning-BF16",
        )
    return model_id.split("/")
