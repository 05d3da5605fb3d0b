"""`omnireel trace`: writes the intermediate tensors of an answer to a file."""

import asyncio
import dataclasses
import platform
from importlib.metadata import version
from pathlib import Path

import torch
import typer
from safetensors.torch import save_file

from omnireel.backends.trace import Trace, trace
from omnireel.cli.ask import ProgressLine
from omnireel.cli.backend import check_effects, find_model, load_encoder, own_limits
from omnireel.cli.models.runner import open_runner
from omnireel.cli.sandbox import warn_of_weak_sandbox
from omnireel.cli.task import make_task
from omnireel.errors import OmnireelError, SettingsError
from omnireel.settings import AskSettings, Settings
from omnireel.storage.media import fetch_policy, fetch_video


def trace_once(source: str, prompt: str, settings: Settings, *, asked: AskSettings, out: Path) -> None:
    """Answer `prompt` about the video `source` greedily and write the intermediate tensors to `out`."""
    if settings.backend not in ("local", "echo"):
        raise SettingsError(
            f"backend is {settings.backend}: a model server does not tell the numbers that trace writes.",
            hint="Set OMNIREEL_BACKEND=local, and name a model whose weights are on this machine with --model.",
        )
    check_effects(settings, "trace")
    warn_of_weak_sandbox(settings)
    if not out.parent.is_dir():
        raise OmnireelError(f"There is no directory {out.parent}.", hint="Make it, or choose another --out.")
    traced, dtype = asyncio.run(_trace(source, prompt, settings, dataclasses.replace(asked, temperature=0.0)))
    named = ((field.name, getattr(traced, field.name)) for field in dataclasses.fields(traced))
    fields = {name: tensor for name, tensor in named if tensor is not None}
    origin = _origin(settings.model, dtype)
    save_file({name: tensor.contiguous() for name, tensor in fields.items()}, out, metadata=origin)
    for name, tensor in fields.items():
        typer.echo(f"{name:<14} {str(tensor.dtype).removeprefix('torch.'):<8} {list(tensor.shape)}")


async def _trace(
    source: str, prompt: str, settings: Settings, asked: AskSettings
) -> tuple[Trace, torch.dtype]:
    with ProgressLine("reading the video") as progress:
        async with fetch_video(source, fetch_policy(settings, takes_paths=True)) as video:
            progress.show("loading the model", None)
            encoder = load_encoder(settings, own_limits(settings))
            task = make_task(source, prompt, asked)
            runner = open_runner(encoder, find_model(settings), settings)
            traced = trace(
                encoder, runner, task, [video], lambda event: progress.show(event.message, event.fraction)
            )
            return traced, encoder.model.dtype


def _origin(model: str, dtype: torch.dtype) -> dict[str, str]:
    return {
        "model": model,
        "dtype": str(dtype).removeprefix("torch."),
        "omnireel": version("omnireel"),
        "torch": torch.__version__,
        "av": version("av"),
        "python": platform.python_version(),
    }
