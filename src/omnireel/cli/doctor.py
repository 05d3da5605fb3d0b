"""`omnireel doctor`: what this machine has, what fits on it, and whether `serve` would start."""

import dataclasses
import json
import tempfile
from collections.abc import Callable, Iterator

import torch
import typer
from rich.console import Console
from rich.table import Table

from omnireel.cli.backend import checkpoint_directory, compute_dtype
from omnireel.cli.failures import exit_code
from omnireel.cli.machine import Machine, existing, this_machine
from omnireel.cli.serve import bound_socket
from omnireel.errors import OmnireelError
from omnireel.jobs.database import check_sqlite, sqlite_version
from omnireel.model.footprint import (
    PUBLISHED,
    PUBLISHED_WEIGHT_BYTES,
    Footprint,
    checkpoint_footprint,
    footprint,
)
from omnireel.settings import Settings

_GB = 1e9


def examine(settings: Settings, *, as_json: bool) -> None:
    """Print what was found; exits with what `serve` would exit with, or 0 where it would start."""
    machine = this_machine(settings.models_dir)
    prints = {
        name: footprint(PUBLISHED, num_bytes, torch.bfloat16)
        for name, num_bytes in PUBLISHED_WEIGHT_BYTES.items()
    }
    problems: list[OmnireelError] = []
    for check in _checks(settings, machine, prints):
        try:
            check()
        except OmnireelError as error:
            problems.append(error)
    if as_json:
        typer.echo(json.dumps(_report(machine, prints, problems)))
    else:
        _show(machine, prints, problems)
    if problems:
        raise typer.Exit(exit_code(problems[0]))


def _checks(
    settings: Settings, machine: Machine, prints: dict[str, Footprint]
) -> Iterator[Callable[[], None]]:
    """In the order in which `serve` would meet them."""
    yield lambda: bound_socket(settings, settings.port).close()
    if settings.tls != "none":
        yield lambda: bound_socket(settings, settings.tls_port, flag="--tls-port").close()
    if settings.backend == "local":
        yield lambda: _check_model(settings, machine, prints)
    yield lambda: _check_data_dir(settings)
    yield check_sqlite


def _check_model(settings: Settings, machine: Machine, prints: dict[str, Footprint]) -> None:
    """Adds the model's own row, if its files are what its config promises."""
    directory = checkpoint_directory(settings)
    prints[settings.model] = found = checkpoint_footprint(directory, compute_dtype(settings, directory))
    if found.context_in(machine.memory_bytes) == 0:
        raise OmnireelError(
            f"{settings.model} needs {found.weight_bytes / _GB:.1f} GB for its weights alone, "
            f"this machine has {machine.memory_bytes / _GB:.1f} GB",
            hint="choose a checkpoint of lower precision, or a larger machine",
        )


def _check_data_dir(settings: Settings) -> None:
    place = existing(settings.store_path.parent)
    try:
        with tempfile.TemporaryFile(dir=place):  # the superuser's permissions say nothing about /proc
            return
    except OSError as error:
        raise OmnireelError(
            f"cannot write to {place}: {error.strerror}", hint="choose another --data-dir"
        ) from None


def _report(
    machine: Machine, prints: dict[str, Footprint], problems: list[OmnireelError]
) -> dict[str, object]:
    models = {
        name: dataclasses.asdict(each) | {"context": each.context_in(machine.available_bytes)}
        for name, each in prints.items()
    }
    return {
        "machine": dataclasses.asdict(machine),
        "sqlite": sqlite_version(),
        "models": models,
        "serve_would_start": not problems,
        "problems": [{"message": problem.message, "hint": problem.hint} for problem in problems],
    }


def _show(machine: Machine, prints: dict[str, Footprint], problems: list[OmnireelError]) -> None:
    console = Console()
    facts = Table(show_header=False, box=None)
    facts.add_row("processor", f"{machine.processor}, {machine.cores} cores")
    facts.add_row("instructions", ", ".join(machine.instructions) or "none that matter")
    facts.add_row(
        "memory",
        f"{machine.available_bytes / _GB:.1f} GB available of {machine.memory_bytes / _GB:.1f} GB",
    )
    facts.add_row("GPU", f"{machine.gpu}, which is not used yet" if machine.gpu else "none")
    facts.add_row("free disk", f"{machine.free_disk_bytes / _GB:.1f} GB")
    facts.add_row("SQLite", sqlite_version())
    console.print(facts)
    models = Table("model", "weights", "per sequence", "per token", "longest context here", box=None)
    for name, each in prints.items():
        context = each.context_in(machine.available_bytes)
        models.add_row(
            name,
            f"{each.weight_bytes / _GB:.2f} GB",
            f"{each.sequence_bytes / 1e6:.1f} MB",
            f"{each.token_bytes:,} bytes",
            f"{context:,} tokens" if context else "does not fit",
        )
    console.print(models)
    for problem in problems:
        console.print(
            f"problem: {problem.message}", f"hint: {problem.hint}" if problem.hint else "", sep="\n"
        )
    console.print("serve would not start" if problems else "serve would start")
