"""From settings to a running backend."""

# ruff: noqa: PLC0415  # the echo backend runs without torch, which takes seconds to load

from pathlib import Path
from typing import TYPE_CHECKING

import omnireel
from omnireel.backends.base import Ask, Backend, MediaOptions, SamplingParams
from omnireel.cli.models.memory import BESIDE_BYTES, available_memory
from omnireel.cli.models.pulled import MODEL_ID, pulled_directory
from omnireel.errors import CheckpointError, SettingsError
from omnireel.settings import AskSettings, Settings

if TYPE_CHECKING:
    import torch

    from omnireel.prompting.preparation import Preparation

_WHAT_IS_A_MODEL = (
    "give demo, a directory with config.json, tokenizer.json and *.safetensors, or the id of a pulled model"
)
DEMO = Path(omnireel.__file__).parent / "assets" / "demo"


def open_backend(settings: Settings) -> Backend:
    """The backend that the settings name, ready for work. Raises CheckpointError."""
    if settings.backend == "echo":
        from omnireel.backends.echo import EchoBackend

        return EchoBackend(token_s=settings.echo_token_s)

    from omnireel.backends.local import LocalBackend

    preparation = load_preparation(settings)
    return LocalBackend(preparation, model_name=checkpoint_directory(settings).name)


def load_preparation(settings: Settings) -> "Preparation":
    """The settings' checkpoint, ready to prepare asks. Raises CheckpointError."""
    from omnireel.prompting.preparation import Preparation

    directory = checkpoint_directory(settings)
    return Preparation.load(directory, dtype=dtype_of(settings, directory))


def dtype_of(settings: Settings, directory: Path) -> "torch.dtype":
    """The type to compute in.

    auto: fp32 for the demo, which was trained in it, and wherever the processor has no units for bf16 (torch
    then takes ten times as long for bf16 products as for fp32 ones) and the wider weights fit into memory.
    Raises CheckpointError.
    """
    import torch

    from omnireel.model.checkpoint.load import DTYPES, weight_bytes

    if settings.dtype != "auto":
        return DTYPES[settings.dtype]
    if directory == DEMO:
        return torch.float32
    if has_bf16_units() or weight_bytes(directory, torch.float32) + BESIDE_BYTES > available_memory():
        return torch.bfloat16
    return torch.float32


def has_bf16_units() -> bool:
    """Whether this processor multiplies BF16 matrices itself."""
    import torch

    facts = torch.cpu.get_capabilities()
    return any(facts.get(unit) for unit in ("avx512_bf16", "amx_bf16", "arm_bf16"))


def checkpoint_directory(settings: Settings) -> Path:
    """Where the settings' checkpoint lies: "demo", a directory, or a pulled id. Raises CheckpointError."""
    model = settings.model
    directory = DEMO if model == "demo" else Path(model).expanduser()
    if directory.is_dir():
        return directory
    is_id = MODEL_ID.fullmatch(model) is not None
    if is_id and (pulled := pulled_directory(settings.models_dir, model)).is_dir():
        return pulled
    raise CheckpointError(
        f"there is no checkpoint at {model}" + (", nor has it been pulled" if is_id else ""),
        hint=f"download it with: omnireel pull {model}" if is_id else _WHAT_IS_A_MODEL,
    )


def make_ask(video: Path, prompt: str, asked: AskSettings) -> Ask:
    """The question with what the command line sends along."""
    if asked.reasoning_budget is not None and not asked.think:
        raise SettingsError("reasoning_budget limits the chain of thought", hint="say --think as well")
    if asked.end is not None and asked.end <= (asked.start or 0.0):
        raise SettingsError(
            f"the part to look at ends at {asked.end:g} s, before it starts", hint="swap them"
        )
    return Ask(
        video=video,
        prompt=prompt,
        system_prompt=asked.system,
        thinking=asked.think,
        sampling=SamplingParams(
            temperature=asked.temperature,
            top_p=asked.top_p,
            max_tokens=asked.max_tokens,
            seed=asked.seed,
            reasoning_budget=asked.reasoning_budget,
            grace_period=asked.grace_period,
        ),
        media=MediaOptions(
            asked.fps, asked.max_frames, asked.start, asked.end, asked.video_pruning_rate, asked.audio
        ),
    )
