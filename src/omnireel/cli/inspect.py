"""`omnireel inspect`: shows which frames a question would use and what it would cost. Loads no weights."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import typer
from rich.console import Console
from rich.table import Table

from omnireel.api.fal.output import inspection_report
from omnireel.api.fal.prices import price_usd
from omnireel.cli.backend import check_effects, find_model, open_counter, open_echo, own_limits
from omnireel.cli.models.kept_rates import load_rates
from omnireel.cli.sandbox import warn_of_weak_sandbox
from omnireel.cli.task import make_task
from omnireel.prompting.counts import TokenCounter
from omnireel.prompting.expected import expected_text, expected_time
from omnireel.settings import AskSettings, Settings
from omnireel.storage.media import fetch_policy, fetch_video
from omnireel.task import Inspection, SoundUse, Task

_SOUND: dict[SoundUse, str] = {
    "used": "used",
    "cut": "used, up to the limit",
    "absent": "none",
    "off": "left out, as asked",
    "failed": "cannot be decoded",
    "unheard": "not used: this model has no audio encoder",
}


def inspect_once(source: str, prompt: str, settings: Settings, *, asked: AskSettings, as_json: bool) -> None:
    """Print the frames, tokens and price of asking `prompt` about the video `source`, as a table or as JSON."""
    check_effects(settings, "inspect")
    warn_of_weak_sandbox(settings)
    inspection = asyncio.run(_inspect(source, prompt, settings, asked))
    if as_json:
        typer.echo(json.dumps(inspection_report(inspection), ensure_ascii=False))
    else:
        Console().print(_table(inspection))


async def _inspect(source: str, prompt: str, settings: Settings, asked: AskSettings) -> Inspection:
    policy = fetch_policy(settings, takes_paths=True)
    async with fetch_video(source, policy) as video:
        return await _count(make_task(source, prompt, asked), video, settings)


async def _count(task: Task, video: Path, settings: Settings) -> Inspection:
    if settings.backend != "echo":
        counter = open_counter(settings, own_limits(settings))
        inspection = await asyncio.to_thread(counter.inspect, _as_sent(task, counter, settings), [video])
        if settings.backend != "local":
            return inspection
        return replace(
            inspection, expected=expected_time(inspection, load_rates(settings, find_model(settings)))
        )
    echo = open_echo(settings, own_limits(settings))
    try:
        return await echo.inspect(task, [video])
    finally:
        await echo.close()


def _as_sent(task: Task, counter: TokenCounter, settings: Settings) -> Task:
    """The task as the backend gets it. Raises InputError for what model servers cannot do."""
    if settings.backend == "local":
        return task
    # Only here, because they load PyAV.
    from omnireel.backends.remote.sendable import sendable_task  # noqa: PLC0415
    from omnireel.backends.remote.servers import SERVERS  # noqa: PLC0415
    from omnireel.cli.models.model_servers import remote_media  # noqa: PLC0415

    return sendable_task(task, SERVERS[settings.backend], counter, remote_media(settings))


def _table(inspection: Inspection) -> Table:
    video = inspection.video
    times = ", ".join(f"{time_s:.2f}" for time_s in video.frame_times_s)
    table = Table(show_header=False)
    for name, value in (
        (
            "clip",
            f"{video.width}×{video.height} {video.codec}, {video.source_fps:g} fps, {video.duration_s:g} s",
        ),
        ("sound", f"{_SOUND[video.sound]}, {video.num_sound_tokens} tokens"),
        ("frames", f"{len(video.frame_indices)}: {', '.join(map(str, video.frame_indices))}"),
        ("at seconds", times),
        ("vision tokens", f"{video.num_vision_tokens} before pruning, {video.num_kept_tokens} after"),
        ("prompt tokens", f"{inspection.input_tokens} (at most {inspection.max_context} fit)"),
        ("expected time", expected_text(inspection.expected)),
        ("price of the prompt", f"${price_usd(inspection.input_tokens):.6f} at the hosted endpoint"),
        ("warnings", ", ".join(video.warnings) or "none"),
    ):
        table.add_row(name, value)
    return table
