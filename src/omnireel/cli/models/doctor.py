"""`omnireel doctor`: what this machine has, what fits on it, and whether `serve` would start."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
import typer
from rich.console import Console
from rich.table import Table

from omnireel.cli.backend import checkpoint_directory, dtype_of, has_bf16_units
from omnireel.cli.failures import FAILED, NO_WEIGHTS
from omnireel.cli.models.memory import BESIDE_BYTES, available_memory, total_memory
from omnireel.cli.sandbox import require_sandbox
from omnireel.cli.serve import bound_socket
from omnireel.errors import CheckpointError, OmnireelError
from omnireel.model.checkpoint.load import survey_checkpoint, weight_bytes
from omnireel.model.config import LanguageConfig, read_config
from omnireel.settings import Settings
from omnireel.storage.directories import unusable_directory
from omnireel.store.sqlite.database import check_sqlite_version
from omnireel.text.chat import ChatTemplate
from omnireel.text.tokenizer import Tokenizer

GB = 1e9
# The published checkpoints' files, and what one of their sequences holds: 6 attention layers with 2 key heads
# of 128 in BF16, 23 Mamba states in FP32.
PUBLISHED_BYTES = {"BF16": 66.03e9, "FP8": 35.2e9, "NVFP4": 22.41e9}
_KV_BYTES, _STATE_BYTES = 6 * 2 * 2 * 128 * 2, 23 * 64 * 64 * 128 * 4
_MAX_POSITIONS = 262_144


@dataclass(frozen=True)
class Machine:
    """What there is. available_bytes: memory that could be had now, within the container's limit"""

    num_cores: int
    instructions: list[str]
    has_bf16_units: bool
    memory_bytes: int
    available_bytes: int
    gpus: list[str]
    free_disk_bytes: int


@dataclass(frozen=True)
class Fit:
    """A checkpoint beside this machine's memory. max_context: 0 where it does not fit"""

    name: str
    weight_bytes: int
    max_context: int


@dataclass(frozen=True)
class Check:
    """Something that `serve` needs; problem: None where it is there."""

    name: str
    problem: str | None
    exit_code: int = FAILED


def examine(settings: Settings, *, as_json: bool) -> None:
    """Print the findings; exit with 0 where `serve` would start with these settings, else as it would."""
    machine = look(settings)
    checks = list(run_checks(settings))
    fits = [*published_fits(machine), *own_fit(settings, machine)]
    if as_json:
        report = {"machine": asdict(machine), "fits": [asdict(f) for f in fits]}
        report["checks"] = [{"name": c.name, "problem": c.problem} for c in checks]
        typer.echo(json.dumps(report))
    else:
        _show(machine, fits, checks)
    if failed := [check.exit_code for check in checks if check.problem]:
        raise typer.Exit(max(failed))


def look(settings: Settings) -> Machine:
    """The machine as it is now."""
    facts = torch.cpu.get_capabilities()
    wanted = ("avx2", "avx512_f", "avx512_vnni", "avx512_bf16", "amx_bf16", "neon", "sve")
    names = [torch.cuda.get_device_name(n) for n in range(torch.cuda.device_count())]
    return Machine(
        num_cores=len(os.sched_getaffinity(0)),
        instructions=[name for name in wanted if facts.get(name)],
        has_bf16_units=has_bf16_units(),
        memory_bytes=total_memory(),
        available_bytes=available_memory(),
        gpus=names,
        free_disk_bytes=shutil.disk_usage(_existing(settings.data_directory)).free,
    )


def _existing(path: Path) -> Path:
    return path if os.path.exists(path) else _existing(path.parent)


def published_fits(machine: Machine) -> Iterable[Fit]:
    """The published checkpoints on this machine, largest first."""
    for name, size in PUBLISHED_BYTES.items():
        yield Fit(name, int(size), _context(machine, size, _KV_BYTES, _STATE_BYTES, _MAX_POSITIONS))


def own_fit(settings: Settings, machine: Machine) -> Iterable[Fit]:
    """The checkpoint that the settings name, where it can be read."""
    if settings.backend != "local":
        return
    try:
        directory = checkpoint_directory(settings)
        language, dtype = read_config(directory).language, dtype_of(settings, directory)
        num_bytes = weight_bytes(directory, dtype)
    except CheckpointError:
        return
    kv_bytes, state_bytes = sequence_bytes(language, dtype)
    context = _context(machine, num_bytes, kv_bytes, state_bytes, language.max_positions)
    yield Fit(settings.model, num_bytes, context)


def sequence_bytes(language: LanguageConfig, dtype: torch.dtype) -> tuple[int, int]:
    """What a sequence holds: bytes for each token, whose keys and values have the model's type, and bytes
    however long it is.
    """
    per_token = language.pattern.count("*") * 2 * language.num_kv_heads * language.head_dim * dtype.itemsize
    state = language.pattern.count("M") * language.mamba_width * language.state_size * 4
    return per_token, state


def _context(machine: Machine, weight_bytes: float, kv_bytes: int, state_bytes: int, most: int) -> int:
    left = machine.available_bytes - weight_bytes - state_bytes - min(BESIDE_BYTES, weight_bytes)
    return max(0, min(most, int(left // kv_bytes))) if kv_bytes else most


def run_checks(settings: Settings) -> Iterable[Check]:
    """Everything that `serve` asks for before it listens."""
    yield _check("SQLite", check_sqlite_version)
    yield _check("decode sandbox", lambda: require_sandbox(settings))
    yield _check("data directory", lambda: _write_to(settings.data_directory))
    yield _check("port", lambda: bound_socket(settings, settings.port).close())
    if settings.tls != "none":
        yield _check("port for TLS", lambda: bound_socket(settings, settings.tls_port, "--tls-port").close())
    if settings.backend == "local":
        yield _check("model", lambda: _read_model(settings), NO_WEIGHTS)


def _check(name: str, look_at: Callable[[], object], exit_code: int = FAILED) -> Check:
    try:
        look_at()
    except OmnireelError as error:
        return Check(name, error.message, exit_code)
    return Check(name, None)


def _write_to(directory: Path) -> None:
    """Try what making the directory, or a file in it, needs; nothing stays. Raises OmnireelError."""
    try:
        with TemporaryDirectory(dir=_existing(directory)):
            pass
    except OSError as error:
        raise unusable_directory(directory, error) from None


def _read_model(settings: Settings) -> None:
    directory = checkpoint_directory(settings)
    survey_checkpoint(directory)
    Tokenizer.from_directory(directory)
    ChatTemplate.from_directory(directory)


def _show(machine: Machine, fits: list[Fit], checks: list[Check]) -> None:
    console = Console()
    table = Table("this machine", "", show_header=False)
    bf16 = "has units for BF16" if machine.has_bf16_units else "no units for BF16: FP32 where it fits"
    for row in (
        ("cores", f"{machine.num_cores}; {', '.join(machine.instructions) or 'no vectors known'}; {bf16}"),
        ("memory", f"{machine.memory_bytes / GB:.1f} GB, {machine.available_bytes / GB:.1f} GB available"),
        ("GPU", ", ".join(machine.gpus) + " (not used yet)" if machine.gpus else "none"),
        ("free disk", f"{machine.free_disk_bytes / GB:.1f} GB"),
        ("versions", f"omnireel {version('omnireel')}, torch {torch.__version__}, PyAV {version('av')}"),
    ):
        table.add_row(*row)
    console.print(table)
    table = Table("checkpoint", "weights", "context that fits")
    for fit in fits:
        context = f"{fit.max_context:,} tokens" if fit.max_context else "does not fit"
        table.add_row(fit.name, f"{fit.weight_bytes / GB:.2f} GB", context)
    console.print(table)
    for check in checks:
        console.print(f"{'ok ' if check.problem is None else 'NO '} {check.name}: {check.problem or 'fine'}")
