"""Whether a GGUF holds the language part that a checkpoint's config.json and tokenizer.json describe."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

from omnireel.errors import CheckpointError
from omnireel.model.checkpoint.gguf.container import LISTS, Header, Value, read_header
from omnireel.model.checkpoint.gguf.layout import (
    ARCHITECTURE,
    EMBEDDINGS,
    geometry,
    parts,
    read_tokenizer,
)
from omnireel.model.config import LanguageConfig

_HINT = "Take a GGUF of the language model of Nemotron 3 Nano Omni, or make one with: omnireel pack"
# Keys that older files leave out; llama.cpp then takes the only value that this architecture has.
_OPTIONAL = frozenset({"expert_group_count", "expert_feed_forward_length", "expert_shared_count"})
_FACTORS = (".scale", ".input_scale")  # of formats with a factor for the whole tensor


def check_language(path: Path, config: LanguageConfig, directory: Path) -> Header:
    """Compare a GGUF with a checkpoint's text files in `directory`. Returns its header.

    Raises CheckpointError for a file that is damaged, truncated, incomplete, or of another architecture, size,
    vocabulary or tokenizer.
    """
    header = read_header(path)
    found = header.metadata.get("general.architecture")
    if found != ARCHITECTURE:
        raise CheckpointError(
            f"{path} has the architecture {found!r}; this model is {ARCHITECTURE!r}.", hint=_HINT
        )
    _check_geometry(path, header, config)
    _check_vocabulary(path, header, config)
    _check_tensors(path, header, config)
    _check_tokenizer(path, header, directory)
    return header


def _check_geometry(path: Path, header: Header, config: LanguageConfig) -> None:
    for key, wanted in geometry(config).items():
        found = header.metadata.get(f"{ARCHITECTURE}.{key}")
        if found is None and key in _OPTIONAL:
            continue
        if found is None or not _agree(found, wanted):
            stated = "nothing" if found is None else _short(found)
            raise CheckpointError(
                f"{path} has {stated} for {key}; config.json says {_short(wanted)}.", hint=_HINT
            )


def _agree(found: Value, wanted: Value) -> bool:
    """Whether two values are equal; one number stands for a list that has only it, and zeros."""
    if isinstance(found, LISTS) and isinstance(wanted, LISTS):
        return len(found) == len(wanted) and all(map(_equal, found, wanted))
    if isinstance(found, LISTS):
        return all(_equal(item, wanted) for item in found if item)
    if isinstance(wanted, LISTS):
        return all(_equal(found, item) for item in wanted if item)
    return _equal(found, wanted)


def _equal(found: object, wanted: object) -> bool:
    if isinstance(found, int | float) and isinstance(wanted, int | float):
        return math.isclose(found, wanted, rel_tol=1e-6)
    return found == wanted


def _check_vocabulary(path: Path, header: Header, config: LanguageConfig) -> None:
    table = header.tensors.get(EMBEDDINGS)
    if table is None:
        raise CheckpointError(f"{path} lacks the tensor {EMBEDDINGS!r}.", hint=_HINT)
    if table.shape[0] != config.vocab_size:
        raise CheckpointError(
            f"{path} has another vocabulary: {table.shape[0]:,} tokens; config.json says {config.vocab_size:,}.",
            hint=_HINT,
        )


def _check_tensors(path: Path, header: Header, config: LanguageConfig) -> None:
    wanted = {part.name: part.shape for part in parts(config)}
    for name, shape in wanted.items():
        entry = header.tensors.get(name)
        if entry is None:
            raise CheckpointError(f"{path} lacks the tensor {name!r}.", hint=_HINT)
        if _without_ones(entry.shape) != _without_ones(shape):
            raise CheckpointError(
                f"{path} has {name!r} of shape {list(entry.shape)}, expected {list(shape)}."
            )
    for name in sorted(set(header.tensors) - set(wanted)):
        if not name.endswith(_FACTORS):
            raise CheckpointError(f"{path} has a tensor that this model does not have: {name!r}.", hint=_HINT)


def _without_ones(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(size for size in shape if size != 1)


def _check_tokenizer(path: Path, header: Header, directory: Path) -> None:
    """Added tokens are not compared: llama.cpp's converter spells some of them in another way."""
    tokens = header.metadata.get("tokenizer.ggml.tokens")
    if not isinstance(tokens, LISTS):
        return  # a file without a vocabulary is only ever fed ids
    description = read_tokenizer(directory)
    added = {token["id"] for token in description["added_tokens"]}
    vocabulary: Mapping[str, int] = description["model"]["vocab"]
    for text, number in sorted(vocabulary.items(), key=lambda item: item[1]):
        if number in added:
            continue
        found = tokens[number] if number < len(tokens) else None
        if found != text:
            raise CheckpointError(
                f"{path} has another tokenizer: its token {number} is {found!r}, that of tokenizer.json is {text!r}.",
                hint=_HINT,
            )


def _short(value: Value) -> str:
    text = repr(list(value) if isinstance(value, LISTS) else value)
    return text if len(text) <= 60 else f"{text[:57]}…"
