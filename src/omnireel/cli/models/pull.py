"""`omnireel pull`: downloads a checkpoint from the Hugging Face hub into the data directory."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import typer

from omnireel.cli.models.hub import HubModel, download, find_model
from omnireel.cli.models.pulled import RECORD, partial_directory, pulled_directory
from omnireel.errors import OmnireelError
from omnireel.settings import Settings
from omnireel.storage.directories import make_directory

_SPARE_BYTES = 256 * 1024 * 1024


@dataclass(frozen=True)
class PullOptions:
    """How a checkpoint is pulled. has_weights: with its safetensors, and not only config, tokenizer and template"""

    accepts_licence: bool
    has_weights: bool = True


def pull_once(model_id: str, settings: Settings, options: PullOptions, *, as_json: bool) -> None:
    """Download the checkpoint `model_id`, or the rest of it after an interruption. Raises OmnireelError."""
    target = pulled_directory(settings.models_dir, model_id)
    model = find_model(model_id)
    if not options.has_weights:
        model = model.without_weights()
    is_new = not _is_there(target, model, options)
    if is_new:
        _fetch(model, settings.models_dir, target, accepts_licence=options.accepts_licence)
    if as_json:
        typer.echo(json.dumps(_record(model) | {"directory": str(target), "downloaded": is_new}))
    else:
        typer.echo(
            f"{model_id} is {'now' if is_new else 'already'} in {target}; use it with --model {model_id}"
        )


def _fetch(model: HubModel, models_dir: Path, target: Path, *, accepts_licence: bool) -> None:
    typer.echo(f"{model.model_id}: licence {model.licence}", err=True)
    if model.is_gated and not accepts_licence:
        raise OmnireelError(
            f"The licence of {model.model_id} has to be accepted first: {model.licence}.",
            hint="Read it, and pull again with --accept-licence.",
        )
    partial = partial_directory(models_dir, model.model_id)
    incomplete = partial / model.revision
    make_directory(models_dir)
    _check_free_disk(model, incomplete)
    incomplete.mkdir(parents=True, exist_ok=True)
    for file in model.files:
        download(model, file, incomplete)
    (incomplete / RECORD).write_text(json.dumps(_record(model)), encoding="utf-8")
    if target.exists():
        shutil.rmtree(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    incomplete.rename(target)
    shutil.rmtree(partial)


def _record(model: HubModel) -> dict[str, object]:
    return {
        "model": model.model_id,
        "revision": model.revision,
        "licence": model.licence,
        "bytes": model.num_bytes,
        "weights": model.has_weights,
    }


def _check_free_disk(model: HubModel, incomplete: Path) -> None:
    existing = next(path for path in (incomplete, *incomplete.parents) if path.exists())
    downloaded = sum(path.stat().st_size for path in incomplete.rglob("*") if path.is_file())
    free, needed = shutil.disk_usage(existing).free, model.num_bytes - downloaded + _SPARE_BYTES
    if free < needed:
        raise OmnireelError(
            f"{model.model_id} needs {needed / 1e9:.1f} GB of disk, {existing} has {free / 1e9:.1f} GB free.",
            hint="Free some disk space, or choose another --data-dir.",
        )


def _is_there(directory: Path, model: HubModel, options: PullOptions) -> bool:
    """Whether this revision was pulled, with its weights if they are wanted."""
    file = directory / RECORD
    if not file.is_file():
        return False
    record = json.loads(file.read_text("utf-8"))
    is_enough = record.get("weights", True) or not options.has_weights
    return bool(record.get("revision") == model.revision and is_enough)
