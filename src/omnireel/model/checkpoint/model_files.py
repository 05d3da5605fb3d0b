"""Where the parts of a model lie: the language part as a GGUF or in safetensors, and everything else."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from omnireel.errors import CheckpointError
from omnireel.model.checkpoint.packed import LANGUAGE, MANIFEST, read_manifest

_CONFIG = "config.json"
_PROJECTOR = "mmproj"  # llama.cpp's own files for pictures and sound begin with this


@dataclass(frozen=True)
class ModelFiles:
    """The files of one model.

    directory: holds config.json, tokenizer, chat template, and the safetensors of the encoders
    language:  the GGUF of the language part, or the first of its files; None where it is in the safetensors
    name:      what people call the model
    """

    directory: Path
    language: Path | None
    name: str


def files_in(directory: Path) -> ModelFiles | Path:
    """The model in a directory: a checkpoint, a packed one, or a GGUF beside the other files.

    Returns the path of the GGUF alone where there is no config.json beside it.
    Raises CheckpointError where a packed directory is incomplete, or several GGUFs leave the choice open.
    """
    if (directory / MANIFEST).exists():
        read_manifest(directory)
        return ModelFiles(directory, directory / LANGUAGE, directory.name)
    if (directory / f"{LANGUAGE}.journal").exists():
        raise CheckpointError(
            f"{directory} is not packed to its end.", hint="Run the same `omnireel pack` again; it continues."
        )
    language = _only_gguf(directory)
    if language is None or (directory / _CONFIG).exists():
        return ModelFiles(directory, language, directory.name)
    return language


def files_of_gguf(path: Path) -> ModelFiles | Path:
    """The model of a GGUF with the other files beside it; the path itself where they are not there."""
    if (path.parent / _CONFIG).exists():
        return ModelFiles(path.parent, path, path.stem)
    return path


def _only_gguf(directory: Path) -> Path | None:
    found = [path for path in sorted(directory.glob("*.gguf")) if not path.name.startswith(_PROJECTOR)]
    firsts = [path for path in found if "-of-" not in path.stem or "-00001-of-" in path.stem]
    if len(firsts) > 1:
        names = ", ".join(path.name for path in firsts)
        raise CheckpointError(
            f"{directory} has several GGUFs: {names}.",
            hint=f"Name one of them after what --model says, such as …/{firsts[0].name}.",
        )
    if found and not firsts:
        raise CheckpointError(f"{directory} lacks the first file of its GGUF; it has {found[0].name}.")
    return firsts[0] if firsts else None
