"""The directories of pulled checkpoints."""

import re
from pathlib import Path

from omnireel.errors import SettingsError

RECORD = "pulled.json"  # written last: a directory that has it is complete
_NAME = r"[A-Za-z0-9](?:[\w.-]{0,94}[A-Za-z0-9_])?"
MODEL_ID = re.compile(f"{_NAME}/{_NAME}", re.ASCII)


def pulled_directory(models_dir: Path, model_id: str) -> Path:
    """The directory of `model_id` once it is complete. Raises SettingsError if this is not a model's id."""
    return models_dir.joinpath(*_parts(model_id))


def encoders_directory(models_dir: Path, model_id: str) -> Path:
    """The directory of the encoders of `model_id` alone. `.encoders` cannot be the name of an owner."""
    return models_dir.joinpath(".encoders", *_parts(model_id))


def partial_directory(complete: Path) -> Path:
    """The directory of what is downloaded, until it becomes `complete`. `.partial` cannot be the name of an owner."""
    return complete.parent.parent / ".partial" / complete.parent.name / complete.name


def _parts(model_id: str) -> list[str]:
    if not MODEL_ID.fullmatch(model_id):
        raise SettingsError(
            f"{model_id!r} is not the id of a model.",
            hint="Ids look like nvidia/Nemotron-3-Nano-Omni-30B-A3B-Reasoning-BF16.",
        )
    return model_id.split("/")
