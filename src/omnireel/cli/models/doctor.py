"""`omnireel doctor`: shows what this machine has, what fits on it, and whether `serve` would start."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path

import torch
import typer
from rich.console import Console
from rich.table import Table

from omnireel.cli.ask import ProgressLine
from omnireel.cli.backend import check_gguf, dtype_of, find_model, has_bf16_units
from omnireel.cli.failures import FAILED, NO_WEIGHTS, USAGE
from omnireel.cli.models.gguf_sizes import (
    PUBLISHED,
    PUBLISHED_ENCODER_BYTES,
    RECIPES,
    Cost,
    cost_of_file,
    cost_of_recipe,
)
from omnireel.cli.models.kept_rates import load_rates
from omnireel.cli.models.memory import OVERHEAD_BYTES, available_memory, total_memory
from omnireel.cli.models.rates import Rates, measure_rates
from omnireel.cli.models.runner import context_of
from omnireel.cli.sandbox import require_linux, require_sandbox
from omnireel.cli.serve import bound_socket, refuse_accounts_without_keys
from omnireel.engine.runners.llama_library import load_library
from omnireel.errors import CheckpointError, OmnireelError, SettingsError
from omnireel.model.checkpoint.encoders import encoder_bytes, survey_encoders
from omnireel.model.checkpoint.gguf.check import check_language
from omnireel.model.checkpoint.load import survey_checkpoint, weight_bytes
from omnireel.model.checkpoint.packed import MANIFEST, verify_files
from omnireel.model.config import LanguageConfig, read_config
from omnireel.settings import Settings
from omnireel.storage.directories import check_directory, nearest_existing
from omnireel.storage.disk import Disk
from omnireel.store.sqlite.database import check_sqlite_version
from omnireel.text.chat import ChatTemplate
from omnireel.text.tokenizer import Tokenizer

GB = 1e9
# The size of the published checkpoints' files, and the state of one of their sequences: 6 attention layers with
# 2 key heads of 128 in BF16, and 23 Mamba states in FP32.
PUBLISHED_BYTES = {"BF16": 66.03e9, "FP8": 35.2e9, "NVFP4": 22.41e9}
_KV_BYTES, _STATE_BYTES = 6 * 2 * 2 * 128 * 2, 23 * 64 * 64 * 128 * 4
_MAX_POSITIONS = 262_144
_SPEEDS = (
    "Speeds of one sequence: a limit (≤) with a GGUF, since each token of the answer reads the weights that it needs,\n"
    "and each token of the prompt is multiplied with them; and what the last answers of this model had here."
)


@dataclass(frozen=True)
class Machine:
    """What the machine has. available_bytes: memory that is available now, within the container's limit"""

    num_cores: int
    instructions: list[str]
    has_bf16_units: bool
    memory_bytes: int
    available_bytes: int
    gpus: list[str]
    free_disk_bytes: int


@dataclass(frozen=True)
class Sequences:
    """What is to have room beside the weights: so many sequences at the same time as the settings have slots.

    token_bytes: of a token in each of them; state_bytes: of all of them, however long they are
    max_context: the longest that each of them may become
    """

    token_bytes: int
    state_bytes: int
    max_context: int


@dataclass(frozen=True)
class Fit:
    """How well a checkpoint fits into memory.

    state_bytes:  what the sequences hold however long they are
    buffer_bytes: what is kept free for the server and for activations
    max_context:  of each sequence; 0 where it does not fit
    problem:      why it does not fit, in numbers; None where it does
    decode_tokens_s, prefill_tokens_s: most tokens per second by this machine's measured rates, one sequence;
                  None where the weights are not in a GGUF: torch stays far below
    measured_decode_s, measured_prefill_s: tokens per second of the last answers on this machine, by which `inspect`
                  tells the expected time; None before the first one
    """

    name: str
    weight_bytes: int
    state_bytes: int
    buffer_bytes: int
    max_context: int
    problem: str | None
    decode_tokens_s: float | None = None
    prefill_tokens_s: float | None = None
    measured_decode_s: float | None = None
    measured_prefill_s: float | None = None

    @property
    def needed_bytes(self) -> int:
        """What has to be available before there is room for a single token."""
        return self.weight_bytes + self.state_bytes + self.buffer_bytes


@dataclass(frozen=True)
class Check:
    """A condition for `serve` to start. problem: why it is not met, or None; hint: what to do about it"""

    name: str
    problem: str | None
    exit_code: int = FAILED
    hint: str | None = None


def examine(settings: Settings, *, as_json: bool) -> None:
    """Print the findings. Raises Exit with the highest exit code of the checks that failed.

    Raises OmnireelError on another system than Linux, whose machine it cannot describe.
    """
    require_linux()
    machine = describe_machine(settings)
    checks = list(run_checks(settings))
    rates = measure_rates(
        machine.available_bytes, torch.bfloat16 if machine.has_bf16_units else torch.float32
    )
    fits = [
        *published_fits(settings, machine),
        *gguf_fits(settings, machine, rates),
        *own_fit(settings, machine, rates),
    ]
    if as_json:
        report = {"machine": asdict(machine), "rates": asdict(rates), "fits": [asdict(f) for f in fits]}
        report["checks"] = [{"name": c.name, "problem": c.problem, "hint": c.hint} for c in checks]
        typer.echo(json.dumps(report))
    else:
        _show(machine, rates, fits, checks, slots=settings.slots)
    if failed := [check.exit_code for check in checks if check.problem]:
        raise typer.Exit(max(failed))


def describe_machine(settings: Settings) -> Machine:
    """The machine and what is free on it now."""
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
        free_disk_bytes=shutil.disk_usage(nearest_existing(settings.data_directory)).free,
    )


def published_fits(settings: Settings, machine: Machine) -> Iterable[Fit]:
    """How the published checkpoints fit, largest first."""
    for name, size in PUBLISHED_BYTES.items():
        yield _fit(machine, name, int(size), _published_sequences(settings))


def _published_sequences(settings: Settings) -> Sequences:
    return _sequences(settings, (_KV_BYTES, _STATE_BYTES), _MAX_POSITIONS)


def gguf_fits(settings: Settings, machine: Machine, rates: Rates) -> Iterable[Fit]:
    """How the published model fits as `omnireel pack` would write it, with its encoders, largest first."""
    for recipe in RECIPES:
        cost = cost_of_recipe(PUBLISHED, recipe)
        experts = "" if recipe.experts == recipe.matrices else f", experts {recipe.experts}"
        size = cost.num_bytes + PUBLISHED_ENCODER_BYTES
        fit = _fit(machine, f"GGUF {recipe.matrices}{experts}", size, _published_sequences(settings))
        yield _with_speed(fit, cost, rates)


def _with_speed(fit: Fit, cost: Cost, rates: Rates) -> Fit:
    decode, prefill = round(cost.decode_tokens_s(rates), 2), round(cost.prefill_tokens_s(rates), 1)
    return replace(fit, decode_tokens_s=decode, prefill_tokens_s=prefill)


def own_fit(settings: Settings, machine: Machine, rates: Rates) -> Iterable[Fit]:
    """How the checkpoint of the settings fits. Yields nothing if it cannot be read."""
    if settings.backend != "local":
        return
    try:
        files = find_model(settings)
        language, dtype = read_config(files.directory).language, dtype_of(settings, files)
        if files.language is None:
            num_bytes, cost = weight_bytes(files.directory, dtype), None
        else:
            cost = cost_of_file(language, check_language(files.language, language, files.directory))
            num_bytes = cost.num_bytes + encoder_bytes(files.directory, dtype)
    except CheckpointError:
        return
    sequence = sequence_bytes(language, dtype if cost is None else torch.float16)
    fit = _fit(machine, settings.model, num_bytes, _sequences(settings, sequence, language.max_positions))
    kept = load_rates(settings, files)
    decode, prefill = kept.decode.per_second(), kept.prefill.per_second()
    fit = replace(fit, measured_decode_s=decode, measured_prefill_s=prefill)
    yield fit if cost is None else _with_speed(fit, cost, rates)


def sequence_bytes(language: LanguageConfig, dtype: torch.dtype) -> tuple[int, int]:
    """The state of a sequence: bytes for each token (keys and values, in dtype), and bytes of any sequence (the
    Mamba states, in FP32).
    """
    per_token = language.pattern.count("*") * 2 * language.num_kv_heads * language.head_dim * dtype.itemsize
    state = language.pattern.count("M") * language.mamba_width * language.state_size * 4
    return per_token, state


def _sequences(settings: Settings, sequence: tuple[int, int], max_positions: int) -> Sequences:
    """sequence: of one, as `sequence_bytes`; max_positions: the longest context of the model."""
    token_bytes, state_bytes = (settings.slots * num_bytes for num_bytes in sequence)
    return Sequences(token_bytes, state_bytes, min(settings.context or max_positions, max_positions))


def _fit(machine: Machine, name: str, weight_bytes: int, sequences: Sequences) -> Fit:
    token_bytes, state_bytes = sequences.token_bytes, sequences.state_bytes
    buffer_bytes = min(OVERHEAD_BYTES, weight_bytes)
    needed = weight_bytes + state_bytes + buffer_bytes
    left = machine.available_bytes - needed
    # Without attention, tokens take no memory.
    room = left // token_bytes if token_bytes else sequences.max_context
    context = min(sequences.max_context, room) if left >= 0 else 0
    if context:
        return Fit(name, weight_bytes, state_bytes, buffer_bytes, context, None)
    problem = (
        f"{weight_bytes / GB:.2f} GB of weights, {state_bytes / GB:.2f} GB of state and "
        f"{buffer_bytes / GB:.2f} GB of buffers are {needed / GB:.2f} GB; "
        f"{machine.available_bytes / GB:.2f} GB of memory are available"
    )
    return Fit(name, weight_bytes, state_bytes, buffer_bytes, 0, problem)


def run_checks(settings: Settings) -> Iterable[Check]:
    """The conditions that `serve` checks before it listens."""
    yield _check("SQLite", check_sqlite_version)
    yield _check("decode sandbox", lambda: require_sandbox(settings))
    yield _check("data directory", lambda: check_directory(settings.data_directory))
    yield _check("disk space", lambda: _check_disk(settings))
    yield _check("keys", lambda: refuse_accounts_without_keys(settings))
    yield _check("port", lambda: bound_socket(settings, settings.port).close())
    if settings.tls != "none":
        yield _check("port for TLS", lambda: bound_socket(settings, settings.tls_port, "--tls-port").close())
    if settings.backend == "local":
        yield _check("model", lambda: _read_model(settings), NO_WEIGHTS)
        yield _check("memory", lambda: _check_memory(settings), USAGE)


def _check(name: str, check: Callable[[], object], exit_code: int = FAILED) -> Check:
    try:
        check()
    except OmnireelError as error:
        return Check(name, error.message, exit_code, error.hint)
    return Check(name, None)


def _check_disk(settings: Settings) -> None:
    problem = Disk(settings.data_directory, settings.min_free_bytes).problem
    if problem is not None:
        raise OmnireelError(problem, hint="Free some space, or name a smaller OMNIREEL_MIN_FREE_BYTES.")


def _read_model(settings: Settings) -> None:
    files = find_model(settings)
    directory = files.directory
    if files.language is None:
        survey_checkpoint(directory)
    else:
        check_gguf(files)
        survey_encoders(directory)
        _verify_packed(directory)
    Tokenizer.from_directory(directory)
    ChatTemplate.from_directory(directory)


def _check_memory(settings: Settings) -> None:
    """Raise SettingsError where the sequences of a GGUF take more memory than there is: `serve` takes it at the start.

    With torch, sequences take memory as they grow.
    """
    try:
        files = find_model(settings)
        if files.language is None:
            return
        language, dtype = read_config(files.directory).language, dtype_of(settings, files)
        left = available_memory() - encoder_bytes(files.directory, dtype)
    except CheckpointError:
        return  # the check of the model says it
    context = min(context_of(settings, files) or language.max_positions, language.max_positions)
    token_bytes, state_bytes = sequence_bytes(language, torch.float16)
    needed = settings.slots * (state_bytes + context * token_bytes)
    if needed > left and not _computes_on_gpu(settings):
        raise SettingsError(
            f"{settings.slots} sequences of {context:,} tokens take {needed / GB:.2f} GB of memory; "
            f"{max(left, 0) / GB:.2f} GB are available beside the encoders.",
            hint="Choose a smaller --context or fewer --slots.",
        )


def _computes_on_gpu(settings: Settings) -> bool:
    """Whether the library puts layers, and the memory of their sequences, on a GPU."""
    if settings.gpu_layers == 0:
        return False
    try:
        return bool(load_library().llama_supports_gpu_offload())
    except CheckpointError:
        return False


def _verify_packed(directory: Path) -> None:
    if (directory / MANIFEST).exists():
        with ProgressLine("comparing checksums") as progress:
            verify_files(directory, lambda done, total: progress.show("comparing checksums", done / total))


def _fit_table(machine: Machine, fits: list[Fit]) -> Table:
    table = Table("checkpoint", "weights", "context", "answer, tokens/s", "prompt, tokens/s")
    for fit in fits:
        missing = fit.needed_bytes - machine.available_bytes
        context = f"{fit.max_context:,} tokens" if fit.max_context else f"{missing / GB:.1f} GB short"
        decode = _speed_text(fit.decode_tokens_s, fit.measured_decode_s)
        prefill = _speed_text(fit.prefill_tokens_s, fit.measured_prefill_s)
        table.add_row(fit.name, f"{fit.weight_bytes / GB:.2f} GB", context, decode, prefill)
    return table


def _speed_text(limit: float | None, measured: float | None) -> str:
    texts = [] if limit is None else [f"≤ {limit:.3g}"]
    return ", ".join(texts if measured is None else [*texts, f"had {measured:.3g}"])


def _explanation(slots: int) -> str:
    whose = "one sequence" if slots == 1 else f"each of {slots} sequences"
    states = "its state" if slots == 1 else "their states"
    return (
        f"Context: of {whose}, beside the weights, {states} and {OVERHEAD_BYTES / GB:.1f} GB for the server.\n"
        f"{_SPEEDS}"
    )


def _show(machine: Machine, rates: Rates, fits: list[Fit], checks: list[Check], *, slots: int) -> None:
    console = Console()
    table = Table("this machine", "", show_header=False)
    bf16 = (
        "BF16 instructions" if machine.has_bf16_units else "no BF16 instructions: FP32 is used where it fits"
    )
    for row in (
        (
            "cores",
            f"{machine.num_cores}; {', '.join(machine.instructions) or 'no vector instructions'}; {bf16}",
        ),
        ("memory", f"{machine.memory_bytes / GB:.1f} GB, {machine.available_bytes / GB:.1f} GB available"),
        (
            "GPU",
            ", ".join(machine.gpus) + " (for a GGUF, where its library was built for it)"
            if machine.gpus
            else "none",
        ),
        (
            "measured",
            f"{rates.read_bytes_s / GB:.1f} GB/s of memory read, {rates.multiply_flop_s / 1e12:.2f} TFLOP/s",
        ),
        ("free disk", f"{machine.free_disk_bytes / GB:.1f} GB"),
        ("versions", f"omnireel {version('omnireel')}, torch {torch.__version__}, PyAV {version('av')}"),
    ):
        table.add_row(*row)
    console.print(table)
    console.print(_fit_table(machine, fits))
    console.print(_explanation(slots), soft_wrap=True, highlight=False)
    for check in checks:
        if check.problem is None:
            console.print(f"ok      {check.name}")
        else:
            # A hint may have brackets, which are markup for the console.
            console.print(f"FAILED  {check.name}: {check.problem}", markup=False, soft_wrap=True)
            if check.hint:
                console.print(f"        {check.hint}", markup=False, highlight=False, soft_wrap=True)
