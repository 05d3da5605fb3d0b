"""From settings to a running backend."""

# ruff: noqa: PLC0415  # the echo backend runs without torch, which takes seconds to load

import re
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
    return LocalBackend(preparation, model_name=checkpoint_directory(settings).name)


def load_preparation(settings: Settings) -> "Preparation":
    """The settings' checkpoint, ready to prepare asks. Raises CheckpointError."""
    from omnireel.backends.preparation import Preparation

    directory = checkpoint_directory(settings)
    return Preparation.load(directory, dtype=_dtype(settings.dtype, is_demo=directory == DEMO))


def _dtype(name: str, *, is_demo: bool) -> "torch.dtype":
    """The type to compute in.

    auto: fp32 for the demo, which was trained in it, and wherever the processor has no units for bf16: torch
    then takes ten times as long for bf16 products as for fp32 ones.
    """
    import torch

    if name != "auto":
        return {"float32": torch.float32, "bfloat16": torch.bfloat16}[name]
    return torch.bfloat16 if has_bf16_units() and not is_demo else torch.float32


def has_bf16_units() -> bool:
    """Whether this processor multiplies BF16 matrices itself."""
    import torch

    facts = torch.cpu.get_capabilities()
    return any(facts.get(unit) for unit in ("avx512_bf16", "amx_bf16", "arm_bf16"))


def checkpoint_directory(settings: Settings) -> Path:
    """Where the settings' model lies: "demo", a directory, or what was pulled. Raises CheckpointError."""
    model = settings.model
    if model == "demo":
        return DEMO
    directory = Path(model).expanduser()
    if directory.is_dir():
        return directory
    if not is_hub_id(model):
        raise CheckpointError(
            f"there is no checkpoint at {model}",
            hint="give demo, a model's name, or a directory with config.json, tokenizer.json, *.safetensors",
        )
    pulled = pulled_directory(settings, model)
    if not pulled.is_dir():
        raise CheckpointError(f"{model} is not here", hint=f"omnireel pull {model}")
    return pulled


def is_hub_id(model: str) -> bool:
    """Whether it is spelled like a model's name on the Hugging Face hub, owner/name."""
    return re.fullmatch(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", model) is not None


def pulled_directory(settings: Settings, model_id: str) -> Path:
    """Where `omnireel pull` puts a model."""
    return settings.models_dir / model_id.replace("/", "--")


def make_ask(video: Path, prompt: str, asked: AskSettings) -> Ask:
    """The question with what the command line sends along."""
    if asked.reasoning_budget is not None and not asked.think:
        raise SettingsError("reasoning_budget limits the chain of thought", hint="say --think as well")
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
