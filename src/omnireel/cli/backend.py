"""Opens the backend or the token counter that the settings name. The counter needs no weights and no torch."""

# ruff: noqa: PLC0415  # torch takes seconds to load, and the echo backend and the counter run without it

from pathlib import Path
from typing import TYPE_CHECKING

import omnireel
from omnireel.backends.base import Backend
from omnireel.cli.models.memory import OVERHEAD_BYTES, available_memory
from omnireel.cli.models.pulled import MODEL_ID, pulled_directory
from omnireel.errors import CheckpointError
from omnireel.settings import Settings
from omnireel.video.limits import VideoLimits

if TYPE_CHECKING:
    import torch

    from omnireel.backends.echo import EchoBackend
    from omnireel.prompting.counts import TokenCounter
    from omnireel.prompting.encoding import PromptEncoder

_MODEL_HINT = (
    "Give demo, a directory with config.json, tokenizer.json and *.safetensors, or the id of a pulled model."
)
_MAX_FILE_S = 7200.0
_MAX_PACKETS = 864_000  # of such a file, at 120 frames a second
_SIDES = {"1080p": (1920, 1080), "4k": (4096, 2304)}
DEMO = Path(omnireel.__file__).parent / "assets" / "demo"
_DEMO_NOTICE = "This is the demo model; it knows simple shapes only."


def open_backend(settings: Settings, limits: VideoLimits) -> Backend:
    """The backend that the settings name, with its weights loaded. Raises CheckpointError."""
    if settings.backend == "echo":
        return open_echo(settings, limits)

    from omnireel.backends.local import LocalBackend

    return LocalBackend(load_encoder(settings, limits), model_name=checkpoint_directory(settings).name)


def open_echo(settings: Settings, limits: VideoLimits) -> "EchoBackend":
    """The echo backend, which runs no model."""
    from omnireel.backends.echo import EchoBackend

    return EchoBackend(token_s=settings.echo_token_s, limits=limits)


def demo_notice(settings: Settings) -> str | None:
    """What people have to know before they read answers of the demo model; None for any other model.

    It also answers about clips that it cannot make sense of.
    """
    is_demo = settings.backend == "local" and checkpoint_directory(settings) == DEMO
    return _DEMO_NOTICE if is_demo else None


def open_counter(settings: Settings, limits: VideoLimits) -> "TokenCounter":
    """The token counter of the settings' checkpoint. Raises CheckpointError."""
    from omnireel.prompting.counts import TokenCounter

    return TokenCounter.from_directory(checkpoint_directory(settings), limits=limits)


def load_encoder(settings: Settings, limits: VideoLimits) -> "PromptEncoder":
    """The prompt encoder of the settings' checkpoint, with its weights loaded. Raises CheckpointError."""
    from omnireel.prompting.encoding import PromptEncoder

    directory = checkpoint_directory(settings)
    return PromptEncoder.load(directory, dtype=dtype_of(settings, directory), limits=limits)


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


def dtype_of(settings: Settings, directory: Path) -> "torch.dtype":
    """The dtype to compute in. Raises CheckpointError.

    auto gives fp32 for the demo, which was trained in it. Without bf16 instructions torch takes ten times as long
    for bf16 products as for fp32 ones; auto then gives fp32 if the larger weights fit into memory. Otherwise bf16.
    """
    import torch

    from omnireel.model.checkpoint.load import DTYPES, weight_bytes

    if settings.dtype != "auto":
        return DTYPES[settings.dtype]
    if directory == DEMO:
        return torch.float32
    if has_bf16_units() or weight_bytes(directory, torch.float32) + OVERHEAD_BYTES > available_memory():
        return torch.bfloat16
    return torch.float32


def has_bf16_units() -> bool:
    """Whether this processor has instructions for products of bf16 matrices."""
    import torch

    facts = torch.cpu.get_capabilities()
    return any(facts.get(unit) for unit in ("avx512_bf16", "amx_bf16", "arm_bf16"))


def checkpoint_directory(settings: Settings) -> Path:
    """The directory of the settings' checkpoint: the demo's, a path, or that of a pulled model.

    Raises CheckpointError if it does not exist.
    """
    model = settings.model
    directory = DEMO if model == "demo" else Path(model).expanduser()
    if directory.is_dir():
        return directory
    if MODEL_ID.fullmatch(model) is None:
        raise CheckpointError(f"There is no checkpoint at {model}.", hint=_MODEL_HINT)
    pulled = pulled_directory(settings.models_dir, model)
    if pulled.is_dir():
        return pulled
    raise CheckpointError(
        f"There is no checkpoint at {model}, and no model with this id has been pulled.",
        hint=f"Download it with: omnireel pull {model}",
    )
