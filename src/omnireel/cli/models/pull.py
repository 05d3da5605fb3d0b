"""`omnireel pull`: downloads a checkpoint, or what belongs to a GGUF, from the Hugging Face hub."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import typer

from omnireel.cli.failures import print_message, typed
from omnireel.cli.models.hub import HubFile, HubModel, download, find_model
from omnireel.cli.models.pulled import RECORD, encoders_directory, partial_directory, pulled_directory
from omnireel.errors import CheckpointError, OmnireelError
from omnireel.model.checkpoint.shards import is_encoder, shards
from omnireel.settings import Settings
from omnireel.storage.directories import make_directory

INDEX = "model.safetensors.index.json"
_SPARE_BYTES = 256 * 1024 * 1024
_PART = re.compile(r"(.*)-\d{5}-of-\d{5}\.gguf")


@dataclass(frozen=True)
class PullOptions:
    """What is pulled of a model.

    gguf:        None: the whole checkpoint. Else what belongs to a GGUF: of a repository with GGUFs the file of this
                 name, or the only one where it is ""; of any other, the encoders and the text files
    has_weights: the whole checkpoint with its safetensors, and not only config, tokenizer and template
    """

    accepts_licence: bool
    gguf: str | None = None
    has_weights: bool = True


def pull_once(model_id: str, settings: Settings, options: PullOptions, *, as_json: bool) -> None:
    """Download what is asked for of `model_id`, or the rest of it after an interruption. Raises OmnireelError."""
    pulled = pulled_directory(settings.models_dir, model_id)
    model, gguf = find_model(model_id), options.gguf
    if gguf is None and not options.has_weights:
        target, wanted = pulled, model.without_weights()
    elif gguf is None:
        target, wanted = pulled, replace(model, files=_checkpoint(model))
    elif model.ggufs:
        target, wanted = pulled, replace(model, files=_chosen_gguf(model, gguf))
    else:
        target, wanted = encoders_directory(settings.models_dir, model_id), model
    is_new = not _has(target, wanted)
    if is_new:
        partial = partial_directory(target)
        _ask_for_licence(model, accepts_licence=options.accepts_licence)
        _fetch(wanted, partial, target, is_encoders=target != pulled)
    _report(wanted, target, is_new=is_new, is_alone=gguf is not None, as_json=as_json)


def _checkpoint(model: HubModel) -> tuple[HubFile, ...]:
    if any(file.name.endswith(".safetensors") for file in model.files):
        return model.files
    hint = "Check the id on the hub."
    if model.ggufs:
        hint = f"It has GGUFs: {typed('pull', model.model_id, '--gguf')}"
    raise OmnireelError(f"{model.model_id} has no safetensors files.", hint=hint)


def _chosen_gguf(model: HubModel, name: str) -> tuple[HubFile, ...]:
    """The files of one GGUF, which may be in parts."""
    choices: dict[str, list[HubFile]] = {}
    for file in model.ggufs:
        part = _PART.fullmatch(file.name)
        choices.setdefault(f"{part[1]}.gguf" if part else file.name, []).append(file)
    if name in choices:
        return tuple(choices[name])
    if not name and len(choices) == 1:
        return tuple(next(iter(choices.values())))
    names = ", ".join(f"{choice} ({_size(files) / 1e9:.1f} GB)" for choice, files in choices.items())
    what = f"no {name!r}" if name else "several GGUFs"
    raise OmnireelError(
        f"{model.model_id} has {what}: {names}.",
        hint=f"Name one: {typed('pull', model.model_id, '--gguf-file', 'NAME')}",
    )


def _size(files: Sequence[HubFile]) -> int:
    return sum(file.num_bytes for file in files)


def _ask_for_licence(model: HubModel, *, accepts_licence: bool) -> None:
    print_message(f"{model.model_id}: licence {model.licence}")
    if model.is_gated and not accepts_licence:
        raise OmnireelError(
            f"The licence of {model.model_id} has to be accepted first: {model.licence}.",
            hint="Read it, and pull again with --accept-licence.",
        )


def _fetch(model: HubModel, partial: Path, target: Path, *, is_encoders: bool) -> None:
    incomplete = partial / model.revision
    make_directory(_models_dir(partial))
    files = model.files
    if is_encoders:
        files = _encoder_files(model, incomplete)
    _check_free_disk(model.model_id, files, incomplete)
    incomplete.mkdir(parents=True, exist_ok=True)
    for file in files:
        download(model, file, incomplete)
    (incomplete / RECORD).write_text(json.dumps(_record(model, files)), encoding="utf-8")
    if target.exists():
        shutil.rmtree(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    incomplete.rename(target)
    shutil.rmtree(partial)


def _models_dir(partial: Path) -> Path:
    return next(path.parent for path in (partial, *partial.parents) if path.name == ".partial")


def _encoder_files(model: HubModel, incomplete: Path) -> tuple[HubFile, ...]:
    """The text files, and of the shards those that hold tensors of the encoders; the index is fetched to know."""
    index = next((file for file in model.files if file.name == INDEX), None)
    if index is None:
        return _checkpoint(model)
    incomplete.mkdir(parents=True, exist_ok=True)
    download(model, index, incomplete)
    try:
        wanted = {
            path.name for path, names in shards(incomplete).items() if any(map(is_encoder, names or ()))
        }
    except CheckpointError:
        (incomplete / INDEX).unlink()
        raise
    return tuple(f for f in model.files if not f.name.endswith(".safetensors") or f.name in wanted)


def _report(model: HubModel, target: Path, *, is_new: bool, is_alone: bool, as_json: bool) -> None:
    record = json.loads((target / RECORD).read_text("utf-8"))
    if as_json:
        typer.echo(json.dumps(record | {"directory": str(target), "downloaded": is_new}))
        return
    use = f"--model {model.model_id}"
    if is_alone and not model.ggufs:
        use = f"--model FILE.gguf --encoders {model.model_id}"
    typer.echo(f"{model.model_id} is {'now' if is_new else 'already'} in {target}; use it with {use}")


def _record(model: HubModel, files: Sequence[HubFile]) -> dict[str, object]:
    return {
        "model": model.model_id,
        "revision": model.revision,
        "licence": model.licence,
        "bytes": _size(files),
        "files": [file.name for file in files],
        "weights": any(file.name.endswith(".safetensors") for file in files),
    }


def _check_free_disk(model_id: str, files: Sequence[HubFile], incomplete: Path) -> None:
    existing = next(path for path in (incomplete, *incomplete.parents) if path.exists())
    downloaded = sum(path.stat().st_size for path in incomplete.rglob("*") if path.is_file())
    free, needed = shutil.disk_usage(existing).free, _size(files) - downloaded + _SPARE_BYTES
    if free < needed:
        raise OmnireelError(
            f"{model_id} needs {needed / 1e9:.1f} GB of disk, {existing} has {free / 1e9:.1f} GB free.",
            hint="Free some disk space, or choose another --data-dir.",
        )


def _has(directory: Path, model: HubModel) -> bool:
    """Whether this revision is there, with the weights, or the GGUF, that are asked for."""
    path = directory / RECORD
    record = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    if record.get("revision") != model.revision:
        return False
    ggufs = {file.name for file in model.files if file.name.endswith(".gguf")}
    if ggufs:
        return ggufs == set(record.get("files", ()))
    return bool(record.get("weights", True)) or not model.has_weights
