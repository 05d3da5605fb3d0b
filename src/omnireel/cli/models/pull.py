"""`omnireel pull`: a checkpoint from the Hugging Face hub into the data directory."""

import json
import shutil
from pathlib import Path

import typer

from omnireel.cli.models.hub import HubModel, download, find_model
from omnireel.cli.models.pulled import RECORD, partial_directory, pulled_directory
from omnireel.errors import OmnireelError
from omnireel.settings import Settings
from omnireel.storage.directories import make_directory

_SPARE_BYTES = 256 * 1024 * 1024


def pull_once(model_id: str, settings: Settings, *, accepts_licence: bool, as_json: bool) -> None:
    """Have the whole checkpoint `model_id` here, or raise OmnireelError; a cut download is continued."""
    target = pulled_directory(settings.models_dir, model_id)
    model = find_model(model_id)
    is_new = _revision(target) != model.revision
    if is_new:
        _fetch(model, settings.models_dir, target, accepts_licence=accepts_licence)
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
            f"{model.model_id} is given out under a licence that has to be accepted: {model.licence}",
            hint="read it, and pull again with --accept-licence",
        )
    partial = partial_directory(models_dir, model.model_id)
    arriving = partial / model.revision
    make_directory(models_dir)
    _check_room(model, arriving)
    arriving.mkdir(parents=True, exist_ok=True)
    for file in model.files:
        download(model, file, arriving)
    (arriving / RECORD).write_text(json.dumps(_record(model)), encoding="utf-8")
    if target.exists():
        shutil.rmtree(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    arriving.rename(target)
    shutil.rmtree(partial)


def _record(model: HubModel) -> dict[str, object]:
    return {
        "model": model.model_id,
        "revision": model.revision,
        "licence": model.licence,
        "bytes": model.num_bytes,
    }


def _check_room(model: HubModel, arriving: Path) -> None:
    existing = next(place for place in (arriving, *arriving.parents) if place.exists())
    here = sum(path.stat().st_size for path in arriving.rglob("*") if path.is_file())
    free, needed = shutil.disk_usage(existing).free, model.num_bytes - here + _SPARE_BYTES
    if free < needed:
        raise OmnireelError(
            f"{model.model_id} needs {needed / 1e9:.1f} GB of disk, {existing} has {free / 1e9:.1f} GB free",
            hint="make room, or choose another --data-dir",
        )


def _revision(directory: Path) -> str | None:
    record = directory / RECORD
    return json.loads(record.read_text("utf-8")).get("revision") if record.is_file() else None
