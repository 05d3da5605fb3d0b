"""`omnireel ask`: one question, one answer."""

import asyncio
import json
from contextlib import aclosing
from pathlib import Path

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn

from omnireel.api.fal.output import to_output
from omnireel.backends.base import Backend
from omnireel.cli.backend import check_effects, demo_notice, open_backend, own_limits
from omnireel.cli.failures import print_message
from omnireel.cli.sandbox import warn_of_weak_sandbox
from omnireel.cli.serving.log import configure_warnings
from omnireel.cli.task import make_task
from omnireel.errors import GenerationError
from omnireel.settings import AskSettings, Settings
from omnireel.storage.media import fetch_policy, fetch_video
from omnireel.task import Answer, Delta, Task


def ask_once(source: str, prompt: str, settings: Settings, *, asked: AskSettings, as_json: bool) -> None:
    """Print the answer to `prompt` about the video `source`: while it is generated, or as JSON at the end."""
    check_effects(settings, "ask")
    configure_warnings()
    warn_of_weak_sandbox(settings)
    asyncio.run(_ask(source, prompt, settings, asked=asked, as_json=as_json))


async def _ask(source: str, prompt: str, settings: Settings, *, asked: AskSettings, as_json: bool) -> None:
    policy = fetch_policy(settings, takes_paths=True)
    with ProgressLine("reading the video") as progress:
        async with fetch_video(source, policy) as video:
            progress.show("loading the model", None)
            backend = open_backend(settings, own_limits(settings))
            task = make_task(source, prompt, asked)
            notice = demo_notice(settings)
            try:
                answer = await _answer(backend, task, video, progress, streams=not as_json, notice=notice)
            finally:
                await backend.close()
    assert answer.video is not None, "a backend always reports the clip"
    for warning in answer.video.warnings:
        print_message(f"warning: {warning}")
    if as_json:
        typer.echo(json.dumps(to_output(answer, task.media), ensure_ascii=False))
    else:
        typer.echo("")
        progress.note(_summary(answer, len(answer.video.frame_indices)))


async def _answer(
    backend: Backend, task: Task, video: Path, progress: "ProgressLine", *, streams: bool, notice: str | None
) -> Answer:
    """The answer. notice: is said once the clip is known to be usable"""
    async with aclosing(backend.generate(task, [video])) as events:
        async for event in events:
            if notice is not None:
                progress.say(notice)
                notice = None
            if isinstance(event, Answer):
                return event
            if not isinstance(event, Delta):
                progress.show(event.message, event.fraction)
            elif streams:
                progress.stop()
                typer.echo(event.text, nl=False)
    raise GenerationError("The model gave no answer.")


def _summary(answer: Answer, num_frames: int) -> str:
    text = f"{num_frames} frames, {answer.input_tokens} tokens in"
    text += f", {answer.output_tokens} tokens out"
    return text + (", cut short by --max-tokens" if answer.finish_reason == "length" else "")


class ProgressLine:
    """Shows on a terminal what happens until the result comes. Prints nothing if stderr is not a terminal.

    message: the first stage
    """

    def __init__(self, message: str) -> None:
        self._console = Console(stderr=True)
        columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(bar_width=24))
        self._progress = Progress(
            *columns, console=self._console, transient=True, disable=not self._console.is_terminal
        )
        self._task: TaskID = self._progress.add_task(message, total=None)

    def __enter__(self) -> "ProgressLine":
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def show(self, message: str, fraction: float | None) -> None:
        """Show the current stage. fraction: how much of it is done; None if unknown."""
        self._progress.update(
            self._task,
            description=message,
            total=None if fraction is None else 1.0,
            completed=fraction or 0.0,
        )

    def stop(self) -> None:
        """Remove the line, so that the answer can be printed."""
        self._progress.stop()

    def say(self, text: str) -> None:
        """Print a line above the progress."""
        self._console.print(text, highlight=False)

    def note(self, text: str) -> None:
        """Print a remark if stderr is a terminal."""
        if self._console.is_terminal:
            self._console.print(text, style="dim", highlight=False)
