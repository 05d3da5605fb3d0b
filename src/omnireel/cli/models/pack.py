"""`omnireel pack`: makes a directory with a quantised GGUF from a checkpoint."""

from __future__ import annotations

import json
import shutil
import time
from collections import Counter
from pathlib import Path

import typer

from omnireel.cli.ask import ProgressLine
from omnireel.cli.backend import find_model
from omnireel.errors import CheckpointError, OmnireelError, SettingsError
from omnireel.model.checkpoint.encoders import FILE as ENCODERS
from omnireel.model.checkpoint.encoders import copy_encoders
from omnireel.model.checkpoint.gguf.formats import TYPES, Recipe
from omnireel.model.checkpoint.gguf.layout import metadata, parts, vocabulary
from omnireel.model.checkpoint.gguf.library import require_library
from omnireel.model.checkpoint.gguf.source import Source
from omnireel.model.checkpoint.gguf.writer import Plan, journal_of, write_gguf
from omnireel.model.checkpoint.load import survey_checkpoint
from omnireel.model.checkpoint.model_files import ModelFiles
from omnireel.model.checkpoint.packed import (
    LANGUAGE,
    MANIFEST,
    Manifest,
    PackedFile,
    read_manifest,
    sha256_of,
    verify_files,
    write_manifest,
)
from omnireel.model.config import read_config
from omnireel.settings import Settings

COMPARING = "comparing checksums"
# What the loaders read besides weights.
TEXT_FILES = (
    "config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "generation_config.json",
    "chat_template.jinja",
)


def pack_once(settings: Settings, out: Path, *, matrices: str, experts: str | None, as_json: bool) -> None:
    """Pack the settings' model into `out`, or the rest of it after an interruption. Raises OmnireelError."""
    recipe = Recipe(_type("--type", matrices), _type("--experts", experts or matrices))
    files = find_model(settings)
    if files.language is not None:
        raise CheckpointError(
            f"{files.language} is a GGUF already.", hint="Pack from the BF16, FP8 or NVFP4 checkpoint."
        )
    _check_target(files.directory, out)
    started = time.monotonic()
    is_new = not (out / MANIFEST).exists()
    pack = _pack if is_new else _packed_before
    manifest = pack(files, out, recipe)
    _report(out, manifest, seconds=time.monotonic() - started, is_new=is_new, as_json=as_json)


def _type(flag: str, name: str) -> str:
    if name not in TYPES:
        raise SettingsError(f"{flag} is {name!r}; it must be one of {', '.join(TYPES)}.")
    return name


def _check_target(source: Path, out: Path) -> None:
    if out.exists() and not out.is_dir():
        raise OmnireelError(f"{out} is not a directory.", hint="Choose another --out.")
    if out.exists() and out.samefile(source):
        raise OmnireelError("--out is the checkpoint itself.", hint="Choose another --out.")
    known = {MANIFEST, LANGUAGE, ENCODERS, *TEXT_FILES}
    foreign = sorted(path.name for path in out.glob("*") if path.name.removesuffix(".part") not in known)
    if others := [name for name in foreign if name != f"{LANGUAGE}.journal"]:
        raise OmnireelError(
            f"{out} has other files: {others[0]}.", hint="Choose an empty directory for --out."
        )


def _pack(files: ModelFiles, out: Path, recipe: Recipe) -> Manifest:
    source_directory, name = files.directory, files.name
    survey_checkpoint(source_directory)
    config = read_config(source_directory).language
    planned = recipe.plan(parts(config), config.num_experts)
    if any(stored.name not in ("f32", "bf16", "nvfp4") for _, stored in planned):
        require_library()
    out.mkdir(parents=True, exist_ok=True)
    plan = Plan(metadata(config, name, vocabulary(source_directory, config.vocab_size)), planned)
    with ProgressLine("packing") as progress, Source(source_directory) as source:

        def show(done: int, total: int) -> None:
            progress.show(f"{LANGUAGE}: {done / 1e9:.2f} of {total / 1e9:.2f} GB", done / total)

        digests = {LANGUAGE: write_gguf(out / LANGUAGE, source, plan, show)}
        progress.show(ENCODERS, None)
        if not (out / ENCODERS).exists():
            copy_encoders(source_directory, out / ENCODERS)
    for text in TEXT_FILES:
        if (source_directory / text).exists():
            shutil.copyfile(source_directory / text, out / text)
    formats = Counter(stored.name for _, stored in planned)
    manifest = Manifest(name, recipe.matrices, recipe.experts, dict(formats), _listed(out, digests))
    write_manifest(out, manifest)
    journal_of(out / LANGUAGE).unlink()
    return manifest


def _listed(out: Path, digests: dict[str, str]) -> dict[str, PackedFile]:
    """Every packed file. digests: the checksums that are known already"""
    paths = [path for name in (LANGUAGE, ENCODERS, *TEXT_FILES) if (path := out / name).exists()]
    return {
        path.name: PackedFile(path.stat().st_size, digests.get(path.name) or sha256_of(path))
        for path in paths
    }


def _packed_before(files: ModelFiles, out: Path, recipe: Recipe) -> Manifest:
    """The manifest of a directory that is complete, after a look at its checksums."""
    manifest = read_manifest(out)
    found = (manifest.source, manifest.type, manifest.experts)
    if found != (files.name, recipe.matrices, recipe.experts):
        raise OmnireelError(
            f"{out} has {manifest.source} packed as {manifest.type}, experts {manifest.experts}.",
            hint="Choose another --out, or remove that directory.",
        )
    with ProgressLine(COMPARING) as progress:
        verify_files(out, lambda done, total: progress.show(COMPARING, done / total))
    return manifest


def _report(out: Path, manifest: Manifest, *, seconds: float, is_new: bool, as_json: bool) -> None:
    sizes = {name: file.num_bytes for name, file in manifest.files.items()}
    if as_json:
        facts = {"directory": str(out), "packed": is_new, "seconds": round(seconds, 2), "bytes": sizes}
        kinds = {"type": manifest.type, "experts": manifest.experts, "formats": dict(manifest.formats)}
        typer.echo(json.dumps(facts | kinds))
        return
    counts = ", ".join(f"{count} tensors {name}" for name, count in manifest.formats.items())
    typer.echo(f"{out} has {sizes[LANGUAGE] / 1e9:.2f} GB of language model ({counts})")
    typer.echo(f"and {sizes[ENCODERS] / 1e9:.2f} GB of encoders; use it with --model {out}")
