"""From settings to a running backend."""

# ruff: noqa: PLC0415  # the echo backend runs without torch, which takes seconds to load

from pathlib import Path
from typing import TYPE_CHECKING

import omnireel
from omnireel.backends.base import Ask, Backend, MediaOptions, SamplingParams
from omnireel.errors import CheckpointError, SettingsError
from omnireel.settings import AskSettings, Settings

if TYPE_CHECKING:
    import torch

    from omnireel.backends.preparation import Preparation

DEMO = Path(omnireel.__file__).parent / "assets" / "demo"


def open_backend(settings: Settings) -> Backend:
    """The backend that the settings name, ready for work. Raises CheckpointError."""
    if settings.backend == "echo":
        from omnireel.backends.echo import EchoBackend

        return EchoBackend(token_s=settings.echo_token_s)

    from omnireel.backends.local import LocalBackend

    preparation = load_preparation(settings)
    return LocalBackend(preparation, model_name=checkpoint_directory(settings.model).name)


def load_preparation(settings: Settings) -> "Preparation":
    """The settings' checkpoint, ready to prepare asks. Raises CheckpointError."""
    from omnireel.backends.preparation import Preparation

    directory = checkpoint_directory(settings.model)
    return Preparation.load(directory, dtype=_dtype(settings.dtype, is_demo=directory == DEMO))


def _dtype(name: str, *, is_demo: bool) -> "torch.dtype":
    """The type to compute in.

    auto: fp32 for the demo, which was trained in it, and wherever the processor has no units for bf16: torch
    then takes ten times as long for bf16 products as for fp32 ones.
    """
    import torch

    if name != "auto":
        return {"float32": torch.float32, "bfloat16": torch.bfloat16}[name]
    facts = torch.cpu.get_capabilities()
    has_units = any(facts.get(unit) for unit in ("avx512_bf16", "amx_bf16", "arm_bf16"))
    return torch.bfloat16 if has_units and not is_demo else torch.float32


def checkpoint_directory(model: str) -> Path:
    """Where the checkpoint `model` lies: "demo", or a directory. Raises CheckpointError."""
    if model == "demo":
        return DEMO
    directory = Path(model).expanduser()
    if not directory.is_dir():
        raise CheckpointError(
            f"there is no checkpoint at {model}",
            hint="give demo, or a directory with config.json, tokenizer.json and *.safetensors; "
            "nothing is downloaded by this version",
        )
    return directory


def make_ask(video: Path, prompt: str, asked: AskSettings) -> Ask:
    """The question with what the command line sends along. Raises SettingsError."""
    if asked.reasoning_budget is not None and not asked.think:
        raise SettingsError("reasoning_budget limits what is not asked for", hint="add --think")
    if asked.reasoning_grace is not None and asked.reasoning_budget is None:
        raise SettingsError("reasoning_grace prolongs no budget", hint="add --reasoning-budget")
    return Ask(
        video=video,
        prompt=prompt,
        system_prompt=asked.system,
        thinking=asked.think,
        reasoning_budget=asked.reasoning_budget,
        reasoning_grace=asked.reasoning_grace or 0,
        sampling=SamplingParams(
            temperature=asked.temperature, top_p=asked.top_p, max_tokens=asked.max_tokens, seed=asked.seed
        ),
        media=MediaOptions(
            asked.fps, asked.max_frames, asked.start, asked.end, asked.video_pruning_rate, asked.audio
        ),
    )
