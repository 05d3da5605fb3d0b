"""Opens the backend or the token counter that the settings name. The counter needs no weights and no torch."""

# ruff: noqa: PLC0415  # torch takes seconds to load, and the echo backend and the counter run without it

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import omnireel
from omnireel.backends.base import Backend, Health
from omnireel.cli.failures import data_dir_flag, typed
from omnireel.cli.models.kept_rates import keep_rates, load_rates
from omnireel.cli.models.memory import OVERHEAD_BYTES, available_memory
from omnireel.cli.models.pulled import MODEL_ID, encoders_directory, pulled_directory
from omnireel.cli.models.runner import context_of, open_runner
from omnireel.errors import CheckpointError
from omnireel.model.checkpoint.model_files import ModelFiles, files_in, files_of_gguf
from omnireel.model.checkpoint.packed import MANIFEST, read_manifest
from omnireel.settings import Settings, has_gguf_settings, refuse_gguf_settings, refuse_without_effect
from omnireel.video.limits import VideoLimits

if TYPE_CHECKING:
    import torch

    from omnireel.backends.echo import EchoBackend
    from omnireel.prompting.counts import TokenCounter
    from omnireel.prompting.encoding import PromptEncoder

_MODEL_HINT = (
    "Give demo, a directory with config.json, tokenizer.json and *.safetensors, a .gguf file, or the id of a "
    "pulled model."
)
_MAX_FILE_S = 7200.0
_MAX_PACKETS = 864_000  # of such a file, at 120 frames a second
_SIDES = {"1080p": (1920, 1080), "4k": (4096, 2304)}
DEMO = Path(omnireel.__file__).parent / "assets" / "demo"
_DEMO_NOTICE = "This is the demo model; it knows simple shapes only."
_COUNTS_NOTICE = (
    "Tokens are counted as for the demo model. Name the model that the servers have with --model."
)


def check_effects(settings: Settings, command: str) -> None:
    """Raise SettingsError for a setting of `command` that was given and has no effect with the others.

    Raises CheckpointError, as `find_model`.
    """
    refuse_without_effect(settings, command)
    if has_gguf_settings(settings, command) and find_model(settings).language is None:
        refuse_gguf_settings(settings, command)


def open_backend(settings: Settings, limits: VideoLimits) -> Backend:
    """The backend that the settings name, with its weights loaded. Raises CheckpointError."""
    if settings.backend == "echo":
        return open_echo(settings, limits)

    if settings.backend != "local":
        from omnireel.cli.models.model_servers import open_remote

        return open_remote(settings, checkpoint_directory(settings), limits)

    from omnireel.backends.local import LocalBackend

    files = find_model(settings)
    encoder = load_encoder(settings, limits)
    encoder.rates = load_rates(settings, files)
    runner = open_runner(encoder, files, settings)
    keep = partial(keep_rates, settings, files)
    return LocalBackend(encoder, runner, model_name=files.name, keep_rates=keep)


def open_echo(settings: Settings, limits: VideoLimits) -> "EchoBackend":
    """The echo backend, which runs no model."""
    from omnireel.backends.echo import EchoBackend

    return EchoBackend(token_s=settings.echo_token_s, limits=limits)


def served_model(settings: Settings, health: Health) -> str:
    """The model for the log: as the settings name it, or as the model servers do. `unknown` if none has answered."""
    return settings.model if settings.backend in ("local", "echo") else health.model


def demo_notice(settings: Settings) -> str | None:
    """What people have to know before they read answers of the demo model; None for any other model.

    It also answers about clips that it cannot make sense of.
    """
    return _DEMO_NOTICE if settings.backend == "local" and _is_demo(find_model(settings)) else None


def counts_notice(settings: Settings) -> str | None:
    """What an operator of model servers has to know before the first request; None where their model is named."""
    is_remote = settings.backend not in ("local", "echo")
    return _COUNTS_NOTICE if is_remote and _is_demo(find_model(settings)) else None


def _is_demo(files: ModelFiles) -> bool:
    """Whether this is the demo model, as it is shipped or packed."""
    if files.language is None:
        return files.directory == DEMO
    manifest = files.directory / MANIFEST
    return manifest.exists() and read_manifest(files.directory).source == DEMO.name


def open_counter(settings: Settings, limits: VideoLimits) -> "TokenCounter":
    """The token counter of the settings' checkpoint. Raises CheckpointError."""
    from omnireel.prompting.counts import TokenCounter

    files, media = find_model(settings), None
    if settings.backend != "local":
        from omnireel.cli.models.model_servers import remote_media

        media = remote_media(settings)
    return TokenCounter.from_directory(
        files.directory, media=media, limits=limits, max_context=context_of(settings, files)
    )


def load_encoder(settings: Settings, limits: VideoLimits) -> "PromptEncoder":
    """The prompt encoder of the settings' checkpoint, with its weights loaded. Raises CheckpointError."""
    from omnireel.prompting.encoding import PromptEncoder

    files = find_model(settings)
    dtype, context = dtype_of(settings, files), context_of(settings, files)
    if files.language is None:
        return PromptEncoder.load(files.directory, dtype=dtype, limits=limits, max_context=context)
    check_gguf(files)
    return PromptEncoder.load_without_language(
        files.directory, dtype=dtype, limits=limits, max_context=context
    )


def check_gguf(files: ModelFiles) -> None:
    """Look at the header of a model's GGUF, and try the library that runs it. Raises CheckpointError.

    It names what is missing or does not fit: the library, its build, or the file.
    """
    from omnireel.model.checkpoint.gguf.check import check_language
    from omnireel.model.checkpoint.gguf.probe import probe_library
    from omnireel.model.config import read_config

    assert files.language is not None, "the model has no GGUF"
    config = read_config(files.directory).language
    probe_library(check_language(files.language, config, files.directory))


def served_limits(settings: Settings) -> VideoLimits:
    """What a clip of a caller may be: by default that of the hosted endpoint.

    A long file is searched for the part that a caller asks about.
    """
    return _limits(settings, settings.max_video_s, settings.max_resolution)


def own_limits(settings: Settings) -> VideoLimits:
    """What a clip may be that the person at this machine names: 4K, two hours."""
    return _limits(settings, _MAX_FILE_S, "4k")


def _limits(settings: Settings, max_duration_s: float, resolution: str) -> VideoLimits:
    """Size is limited where a clip comes in, for each way by a setting of its own.

    The reader knows no source, so it takes what any of them takes.
    """
    long_side, short_side = _SIDES[resolution]
    ways_in = (settings.max_upload_bytes, settings.max_download_bytes, settings.max_data_uri_bytes)
    return VideoLimits(
        max_duration_s=max_duration_s,
        max_file_s=_MAX_FILE_S,
        max_long_side=long_side,
        max_short_side=short_side,
        max_bytes=max(ways_in),
        max_num_packets=_MAX_PACKETS,
    )


def dtype_of(settings: Settings, files: ModelFiles) -> "torch.dtype":
    """The dtype in which torch computes: all of the model, or its encoders. Raises CheckpointError.

    auto gives fp32 for the demo, which was trained in it. Without bf16 instructions torch takes ten times as long
    for bf16 products as for fp32 ones; auto then gives fp32 if the larger weights fit into memory, beside the GGUF
    where there is one. Otherwise bf16.
    """
    import torch

    from omnireel.model.checkpoint.load import DTYPES

    if settings.dtype != "auto":
        return DTYPES[settings.dtype]
    if _is_demo(files):
        return torch.float32
    if has_bf16_units() or _fp32_bytes(files) + OVERHEAD_BYTES > available_memory():
        return torch.bfloat16
    return torch.float32


def _fp32_bytes(files: ModelFiles) -> int:
    """Bytes of all weights where torch computes in fp32. Raises CheckpointError."""
    import torch

    from omnireel.model.checkpoint.encoders import encoder_bytes
    from omnireel.model.checkpoint.gguf.container import read_header
    from omnireel.model.checkpoint.load import weight_bytes

    if files.language is None:
        return weight_bytes(files.directory, torch.float32)
    tensors = read_header(files.language).tensors.values()
    return encoder_bytes(files.directory, torch.float32) + sum(entry.num_bytes for entry in tensors)


def has_bf16_units() -> bool:
    """Whether this processor has instructions for products of bf16 matrices."""
    import torch

    facts = torch.cpu.get_capabilities()
    return any(facts.get(unit) for unit in ("avx512_bf16", "amx_bf16", "arm_bf16"))


def checkpoint_directory(settings: Settings) -> Path:
    """The directory with the model's config, tokenizer and template. Raises CheckpointError, as `find_model`."""
    return find_model(settings).directory


def find_model(settings: Settings) -> ModelFiles:
    """The files of the settings' model: the demo's, those of a path, or those of a pulled model.

    A GGUF that lies alone gets its other files from the setting `encoders`.
    Raises CheckpointError where something is missing.
    """
    path = _place(settings.model, settings, _MODEL_HINT)
    found = files_of_gguf(path) if path.is_file() else files_in(path)
    if isinstance(found, ModelFiles):
        return found
    hint = "Name a directory or a pulled model that has config.json, tokenizer.json and the encoders with --encoders"
    can_pull = _can_pull(settings.encoders)
    pull = typed("pull", settings.encoders, "--gguf", *data_dir_flag(settings))
    hint += f", or download them with: {pull}" if can_pull else "."
    directory = _encoders_place(settings, hint)
    if not (directory / "config.json").is_file():
        raise CheckpointError(f"{found} lies alone, and {directory} has no config.json.", hint=hint)
    return ModelFiles(directory, found, found.stem)


def _encoders_place(settings: Settings, hint: str) -> Path:
    if MODEL_ID.fullmatch(settings.encoders):
        alone = encoders_directory(settings.models_dir, settings.encoders)
        if alone.is_dir():
            return alone
    return _place(settings.encoders, settings, hint)


def _place(model: str, settings: Settings, hint: str) -> Path:
    """The directory or .gguf file that a name stands for."""
    path = DEMO if model == "demo" else Path(model).expanduser()
    if path.is_dir() or (path.suffix == ".gguf" and path.is_file()):
        return path
    if (gguf := _pulled_gguf(model, settings)) is not None:
        return gguf
    if MODEL_ID.fullmatch(model) is None:
        raise CheckpointError(f"There is no checkpoint at {model}.", hint=hint)
    pulled = pulled_directory(settings.models_dir, model)
    if pulled.is_dir():
        return pulled
    if not _can_pull(model):
        raise CheckpointError(f"There is no checkpoint at {model}.", hint=hint)
    raise CheckpointError(
        f"There is no checkpoint at {model}, and no model with this id has been pulled.",
        hint=f"Download it with: {typed('pull', model, *_only_text(settings), *data_dir_flag(settings))}"
        if hint == _MODEL_HINT
        else hint,
    )


def _pulled_gguf(model: str, settings: Settings) -> Path | None:
    """The file that OWNER/NAME/FILE.gguf stands for, one of those that were pulled; None where there is none."""
    owner_and_name, _, file = model.rpartition("/")
    if MODEL_ID.fullmatch(owner_and_name) is None or not file.endswith(".gguf"):
        return None
    path = pulled_directory(settings.models_dir, owner_and_name) / file
    return path if path.is_file() else None


def _can_pull(name: str) -> bool:
    """Whether a name is meant as the id of a model, and not as a path: models/x.gguf could be either."""
    return MODEL_ID.fullmatch(name) is not None and not name.endswith(".gguf")


def _only_text(settings: Settings) -> tuple[str, ...]:
    """The flag for a model that runs elsewhere: its weights are not needed here."""
    return () if settings.backend in ("local", "echo") else ("--without-weights",)
