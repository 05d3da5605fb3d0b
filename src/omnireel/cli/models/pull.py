"""`omnireel pull`: downloads a checkpoint, or what belongs to a GGUF, from the Hugging Face hub."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import typer

from omnireel.cli.failures import data_dir_flag, print_message, typed
from omnireel.cli.models.hub import HubFile, HubModel, download, find_model
from omnireel.cli.models.pulled import RECORD, encoders_directory, partial_directory, pulled_directory
from omnireel.errors import CheckpointError, OmnireelError, SettingsError
from omnireel.model.checkpoint.shards import is_encoder, shards
from omnireel.settings import Settings
from omnireel.storage.directories import make_directory

INDEX = "model.safetensors.index.json"
_SPARE_BYTES = 256 * 1024 * 1024
_CHECKPOINT = "weights in safetensors"
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
    target = pulled_directory(settings.models_dir, model_id)
    if options.gguf is not None and not options.has_weights:
        raise SettingsError(
            "--without-weights goes neither with --gguf nor with --gguf-file.", hint="Give one of them."
        )
    model = find_model(model_id)
    is_encoders = options.gguf is not None and not model.ggufs
    if is_encoders:
        target = encoders_directory(settings.models_dir, model_id)
    wanted = replace(model, files=_wanted(model, options, settings))
    is_new = not _has(target, wanted, is_encoders=is_encoders)
    if is_new:
        _refuse_loss(wanted, target, settings)
        _ask_for_licence(model, accepts_licence=options.accepts_licence)
        _fetch(wanted, target, settings, is_encoders=is_encoders)
    _report(wanted, target, is_new=is_new, is_encoders=is_encoders, as_json=as_json)


def _again(settings: Settings, *arguments: str) -> str:
    """A `pull` into the same data directory, for a hint."""
    return typed("pull", *arguments, *data_dir_flag(settings))


def _wanted(model: HubModel, options: PullOptions, settings: Settings) -> tuple[HubFile, ...]:
    """The files that are asked for. Of encoders alone all shards: only the index tells which ones hold them."""
    if not options.has_weights:
        return _text_files(model)
    if options.gguf is None:
        return _checkpoint(model, settings)
    if model.ggufs:
        return _chosen_gguf(model, options.gguf, settings)
    if options.gguf:
        hint = f"For the encoders of a GGUF: {_again(settings, model.model_id, '--gguf')}"
        raise OmnireelError(f"{model.model_id} has no GGUFs, so also no {options.gguf!r}.", hint=hint)
    return model.files


def _text_files(model: HubModel) -> tuple[HubFile, ...]:
    files = model.without_weights()
    if not any(file.name == "config.json" for file in files):
        raise OmnireelError(
            f"{model.model_id} has no config.json.", hint="Pull from the repository of the checkpoint."
        )
    return files


def _checkpoint(model: HubModel, settings: Settings) -> tuple[HubFile, ...]:
    if any(file.name.endswith(".safetensors") for file in model.files):
        return model.files
    hint = "Check the id on the hub."
    if model.ggufs:
        hint = f"It has GGUFs: {_again(settings, model.model_id, '--gguf')}"
    raise OmnireelError(f"{model.model_id} has no safetensors files.", hint=hint)


def _chosen_gguf(model: HubModel, name: str, settings: Settings) -> tuple[HubFile, ...]:
    """The files of one GGUF, which may be in parts."""
    choices: dict[str, list[HubFile]] = {}
    for file in model.ggufs:
        choices.setdefault(_whole(file.name), []).append(file)
    if name in choices:
        return tuple(choices[name])
    if not name and len(choices) == 1:
        return tuple(next(iter(choices.values())))
    names = ", ".join(f"{choice} ({_size(files) / 1e9:.1f} GB)" for choice, files in choices.items())
    what = f"no {name!r}" if name else "several GGUFs"
    raise OmnireelError(
        f"{model.model_id} has {what}: {names}.",
        hint=f"Name one: {_again(settings, model.model_id, '--gguf-file', 'NAME')}",
    )


def _whole(name: str) -> str:
    """The name of a GGUF without the number of its part."""
    part = _PART.fullmatch(name)
    return f"{part[1]}.gguf" if part else name


def _refuse_loss(model: HubModel, target: Path, settings: Settings) -> None:
    """Raise OmnireelError if `target` has weights that the files of `model` neither replace nor lie beside."""
    there = _weight_sets(path.name for path in target.rglob("*"))
    lost = there - _weight_sets(file.name for file in model.files)
    if not lost or (_is_gguf(model.files) and _CHECKPOINT not in lost):
        return
    hint = f"If they are no longer needed, remove the directory {target}, and pull again."
    if lost == {_CHECKPOINT} and not _is_gguf(model.files):
        hint += f" Else pull the whole checkpoint: {_again(settings, model.model_id)}"
    raise OmnireelError(f"{target} has {', '.join(sorted(lost))}, which this pull would delete.", hint=hint)


def _is_gguf(files: Iterable[HubFile]) -> bool:
    return any(file.name.endswith(".gguf") for file in files)


def _weight_sets(names: Iterable[str]) -> set[str]:
    """The weights among these files: all safetensors are one set, and so are the parts of a GGUF."""
    sets = set()
    for name in names:
        if name.endswith(".safetensors"):
            sets.add(_CHECKPOINT)
        elif name.endswith(".gguf"):
            sets.add(_whole(name))
    return sets


def _size(files: Sequence[HubFile]) -> int:
    return sum(file.num_bytes for file in files)


def _ask_for_licence(model: HubModel, *, accepts_licence: bool) -> None:
    print_message(f"{model.model_id}: licence {model.licence}")
    if model.is_gated and not accepts_licence:
        raise OmnireelError(
            f"The licence of {model.model_id} has to be accepted first: {model.licence}.",
            hint="Read it, and pull again with --accept-licence.",
        )


def _fetch(model: HubModel, target: Path, settings: Settings, *, is_encoders: bool) -> None:
    partial = partial_directory(target)
    incomplete = partial / model.revision
    make_directory(_models_dir(partial))
    files = model.files
    if is_encoders:
        files = _encoder_files(model, incomplete, settings)
    _check_free_disk(model.model_id, files, incomplete)
    incomplete.mkdir(parents=True, exist_ok=True)
    for file in files:
        download(model, file, incomplete)
    (incomplete / RECORD).write_text(json.dumps(_record(model, files)), encoding="utf-8")
    _remove_others(incomplete, {RECORD, *(file.name for file in files)})
    if _is_gguf(files) and _record_of(target):
        _add_gguf(incomplete, target)
    else:
        if target.exists():
            shutil.rmtree(target)
        target.parent.mkdir(parents=True, exist_ok=True)
        incomplete.rename(target)
    shutil.rmtree(partial)


def _add_gguf(incomplete: Path, target: Path) -> None:
    """Move a GGUF into a directory with others, where it replaces only an older one of its name.

    The record comes last. It lists the files of its revision, and those of earlier ones as `older`.
    """
    new, before = _record_of(incomplete), _record_of(target)
    for name in new["files"]:
        (incomplete / name).replace(target / name)
    replaced = {_whole(name) for name in new["files"]}
    kept = {path.name for path in target.glob("*.gguf") if _whole(path.name) not in replaced}
    for path in list(target.glob("*.gguf")):
        if path.name not in kept | set(new["files"]):
            path.unlink()
    listed = set(before.get("files", ())) if before["revision"] == new["revision"] else set()
    new["files"] += sorted(kept & listed)
    new["older"] = sorted(kept - listed)
    new["bytes"] = sum(path.stat().st_size for path in target.glob("*.gguf"))
    (incomplete / RECORD).write_text(json.dumps(new), encoding="utf-8")
    (incomplete / RECORD).replace(target / RECORD)


def _remove_others(incomplete: Path, names: set[str]) -> None:
    """Remove what an interrupted pull of other files of this revision left."""
    for path in list(incomplete.iterdir()):
        if path.name not in names:
            path.unlink()


def _models_dir(partial: Path) -> Path:
    return next(path.parent for path in (partial, *partial.parents) if path.name == ".partial")


def _encoder_files(model: HubModel, incomplete: Path, settings: Settings) -> tuple[HubFile, ...]:
    """The text files, and of the shards those that hold tensors of the encoders; the index is fetched to know."""
    index = next((file for file in model.files if file.name == INDEX), None)
    if index is None:
        return _checkpoint(model, settings)
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


def _report(model: HubModel, target: Path, *, is_new: bool, is_encoders: bool, as_json: bool) -> None:
    record = _record_of(target)
    if as_json:
        typer.echo(json.dumps(record | {"directory": str(target), "downloaded": is_new}))
        return
    use = f"--model {model.model_id}"
    if len(_weight_sets(path.name for path in target.glob("*.gguf"))) > 1:
        use += f"/{min(file.name for file in model.files)}"
    if is_encoders:
        use = f"--model FILE.gguf --encoders {model.model_id}"
    typer.echo(f"{model.model_id} is {'now' if is_new else 'already'} in {target}; use it with {use}")


def _record_of(directory: Path) -> dict[str, Any]:
    """The record of a complete directory; empty where there is none."""
    path = directory / RECORD
    return dict(json.loads(path.read_text("utf-8"))) if path.is_file() else {}


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
    names = (incomplete / name for file in files for name in (file.name, f"{file.name}.part"))
    downloaded = sum(path.stat().st_size for path in names if path.is_file())
    free, needed = shutil.disk_usage(existing).free, _size(files) - downloaded + _SPARE_BYTES
    if free < needed:
        raise OmnireelError(
            f"{model_id} needs {needed / 1e9:.1f} GB of disk, {existing} has {free / 1e9:.1f} GB free.",
            hint="Free some disk space, or choose another --data-dir.",
        )


def _has(directory: Path, model: HubModel, *, is_encoders: bool) -> bool:
    """Whether all wanted files of this revision are there; of encoders, whose shards the record names, the others."""
    record = _record_of(directory)
    if record.get("revision") != model.revision:
        return False
    names = {file.name for file in model.files if not (is_encoders and file.name.endswith(".safetensors"))}
    if "files" not in record:  # a whole checkpoint that an older version pulled
        return not any(name.endswith(".gguf") for name in names)
    return names <= set(record["files"])
