"""`omnireel pull`: a checkpoint from the Hugging Face hub, whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import typer
from huggingface_hub import HfApi, hf_hub_download
from huggingface_hub.errors import (  # type: ignore[attr-defined]  # HTTPError is re-exported without saying so
    GatedRepoError,
    HFValidationError,
    HTTPError,
    RepositoryNotFoundError,
)
from huggingface_hub.hf_api import ModelInfo, RepoSibling
from rich.console import Console

from omnireel.cli.backend import is_hub_id, pulled_directory
from omnireel.errors import OmnireelError, SettingsError
from omnireel.settings import Settings

# What a checkpoint is read from, and its licence; nothing that could hold code.
_WANTED = (".safetensors", ".json", ".jinja")
_LICENCES = ("license", "licence", "notice")
_SPARE_BYTES = 1 << 30
_CHUNK = 1 << 22


def pull_once(model_id: str, settings: Settings, *, revision: str | None, as_json: bool) -> None:
    """Download the checkpoint `model_id`; what a broken pull left is gone on with.

    Raises OmnireelError where the hub has no such model, gives it to nobody, or where the disk is too small.
    """
    if not is_hub_id(model_id):
        raise SettingsError(f"{model_id!r} is no name of a model", hint="it looks like nvidia/name")
    target = pulled_directory(settings, model_id)
    if target.exists():
        _tell(model_id, target, as_json=as_json)
        return
    console = Console(stderr=True)
    with _hub_errors(model_id):
        info = HfApi().model_info(model_id, revision=revision, files_metadata=True)
        files = list(_wanted(info))
        _check_room(files, target)
        licence = info.card_data.get("license") if info.card_data else None
        console.print(
            f"{model_id} at {str(info.sha)[:12]}, {_total(files) / 1e9:.2f} GB in {len(files)} files"
        )
        console.print(f"licence: {licence or 'not stated; read its page on the hub'}", highlight=False)
        partial = target.with_name(target.name + ".part")
        for file in files:
            _fetch(model_id, file, str(info.sha), partial)
    shutil.rmtree(partial / ".cache", ignore_errors=True)
    partial.rename(target)
    _tell(model_id, target, as_json=as_json)


def _wanted(info: ModelInfo) -> Iterator[RepoSibling]:
    """Files at the top of the repository that a checkpoint is read from."""
    found = [
        file
        for file in info.siblings or []
        if "/" not in file.rfilename
        and (file.rfilename.endswith(_WANTED) or file.rfilename.lower().startswith(_LICENCES))
    ]
    if not any(file.rfilename.endswith(".safetensors") for file in found):
        raise OmnireelError(f"{info.id} has no safetensors", hint="only checkpoints in safetensors are read")
    yield from found


def _total(files: list[RepoSibling]) -> int:
    return sum(file.size or 0 for file in files)


def _check_room(files: list[RepoSibling], target: Path) -> None:
    """Before the first byte: what is there of a broken pull counts as there."""
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    partial = target.with_name(target.name + ".part")
    here = (
        sum(path.stat().st_size for path in partial.rglob("*") if path.is_file()) if partial.exists() else 0
    )
    needed = max(0, _total(files) - here) + _SPARE_BYTES
    free = shutil.disk_usage(target.parent).free
    if needed > free:
        raise OmnireelError(
            f"{needed / 1e9:.1f} GB are needed in {target.parent}, {free / 1e9:.1f} GB are free",
            hint="make room, or choose another --data-dir",
        )


def _fetch(model_id: str, file: RepoSibling, revision: str, partial: Path) -> None:
    """One file; a checksum that is wrong twice is an error."""
    for is_last in (False, True):
        path = Path(hf_hub_download(model_id, file.rfilename, revision=revision, local_dir=partial))
        if _is_whole(path, file):
            return
        path.unlink()
        if is_last:
            raise OmnireelError(
                f"{file.rfilename} does not have the checksum that the hub states",
                hint="try again later: what is already here and whole is kept",
            )


def _is_whole(path: Path, file: RepoSibling) -> bool:
    if file.size is not None and path.stat().st_size != file.size:
        return False
    if file.lfs is None:
        return True
    digest = hashlib.sha256()
    with path.open("rb") as content:
        while chunk := content.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest() == file.lfs.sha256


@contextmanager
def _hub_errors(model_id: str) -> Iterator[None]:
    try:
        yield
    except GatedRepoError:
        raise OmnireelError(
            f"the hub gives {model_id} only to those who accept its licence",
            hint=f"accept it at https://huggingface.co/{model_id}, then set HF_TOKEN",
        ) from None
    except (RepositoryNotFoundError, HFValidationError):
        raise OmnireelError(
            f"the hub has no model {model_id}", hint="check its spelling; private ones need HF_TOKEN"
        ) from None
    except (HTTPError, OSError) as error:
        raise OmnireelError(
            f"the hub cannot be reached: {type(error).__name__}",
            hint="run the same command again: it goes on where it stopped",
        ) from None


def _tell(model_id: str, target: Path, *, as_json: bool) -> None:
    if as_json:
        num_bytes = sum(path.stat().st_size for path in target.iterdir())
        typer.echo(json.dumps({"model": model_id, "directory": str(target), "bytes": num_bytes}))
    else:
        typer.echo(f"{target}\nomnireel serve --model {model_id}")
    sys.stdout.flush()
    os.sync()
