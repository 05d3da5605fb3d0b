"""From settings to a running backend."""

# ruff: noqa: PLC0415  # the echo backend runs without torch, which takes seconds to load

from pathlib import Path

import omnireel
from omnireel.backends.base import Ask, Backend, MediaOptions, SamplingParams
from omnireel.errors import CheckpointError
from omnireel.settings import AskSettings, Settings

DEMO = Path(omnireel.__file__).parent / "assets" / "demo"


def open_backend(settings: Settings) -> Backend:
    """The backend that the settings name, ready for work. Raises CheckpointError."""
    if settings.backend == "echo":
        from omnireel.backends.echo import EchoBackend

        return EchoBackend(token_s=settings.echo_token_s)

    directory = checkpoint_directory(settings.model)
    import torch

    from omnireel.backends.local import LocalBackend, LocalOptions

    # The demo is small enough to run in the precision it was trained in.
    dtype = torch.float32 if directory == DEMO else torch.bfloat16
    return LocalBackend.load(directory, dtype=dtype, options=LocalOptions())


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
    """The question with what the command line sends along."""
    return Ask(
        video=video,
        prompt=prompt,
        system_prompt=asked.system,
        thinking=asked.think,
        sampling=SamplingParams(
            temperature=asked.temperature, top_p=asked.top_p, max_tokens=asked.max_tokens, seed=asked.seed
        ),
        media=MediaOptions(asked.fps, asked.max_frames, asked.start, asked.end, asked.video_pruning_rate),
    )
