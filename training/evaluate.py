"""Accuracy on held-out clips: real video files, answered through the full path, counted per kind of question."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import sys
import tempfile
from collections import Counter
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from omnireel.backends.base import Backend
from omnireel.cli.backend import open_backend
from omnireel.engine.params import SamplingParams
from omnireel.errors import OmnireelError
from omnireel.settings import Settings
from omnireel.task import Answer, Task, video_task
from omnireel.video.limits import VideoLimits
from omnireel.video.sample import choose_frames
from training import outside
from training.judge import agrees, conclusion_of, dates_right, is_refusal, is_right, split_thoughts
from training.paint import paint, write_video
from training.questions.ask import BUILDERS, casual
from training.questions.question import Question
from training.questions.traits import movers
from training.questions.view import View
from training.questions.whole import beyond, describe
from training.scenes import make_scene

SIZES = {
    (160, 90): 8, (320, 180): 16, (426, 240): 12, (640, 360): 16, (854, 480): 6, (1280, 720): 5, (1920, 1080): 2,
    (640, 480): 8, (320, 240): 8, (360, 360): 8, (180, 320): 6, (360, 640): 6, (720, 1280): 2, (480, 640): 4,
}  # fmt: skip
# container, encoder, its quality knob and range, further options
CODECS: tuple[tuple[str, str, str, tuple[int, int], dict[str, str]], ...] = (
    ("mp4", "libx264", "crf", (18, 34), {"preset": "veryfast"}), ("mp4", "libx264", "crf", (18, 34), {"preset": "veryfast"}),
    ("mp4", "libx264", "crf", (20, 32), {"preset": "ultrafast"}), ("mp4", "libx265", "crf", (20, 32), {"preset": "ultrafast", "x265-params": "log-level=none"}),
    ("mp4", "mpeg4", "qscale", (2, 10), {}), ("webm", "libvpx-vp9", "crf", (25, 40), {"b": "0", "deadline": "realtime", "cpu-used": "8"}),
)  # fmt: skip


@dataclass(frozen=True)
class Verdict:
    """The judgement of one answer.

    agrees: whether the chain agrees with the answer; None without thinking
    dated:  whether the second that the answer gives unasked is right; None if it gives none
    refused, empty: whether the answer says that the model does not know this, or nothing at all
    """

    kind: str
    thinking: bool
    right: bool
    agrees: bool | None
    dated: bool | None
    refused: bool
    empty: bool
    text: str
    wanted: str
    output: str


def make_clip(rng: Random, directory: Path, number: int) -> tuple[Path, View]:
    """Write one clip. Returns its path and what it shows."""
    width, height = rng.choices(list(SIZES), list(SIZES.values()))[0]
    longest = 20 if width * height <= 300_000 else 8
    fps = rng.choice((10, 15, 24, 25, 29.97, 30, 50, 60) if width * height <= 300_000 else (15, 24, 30))
    num_frames = round(rng.uniform(2, longest) * fps)
    container, codec, knob, (low, high), more = rng.choice(CODECS)
    indices = choose_frames(num_frames, fps, fps=2, max_frames=256)
    times = tuple(i / fps for i in indices)
    while True:
        view = View(make_scene(rng, num_frames / fps, width / height, held_out=True), times)
        if view.things:
            break
    path = directory / f"{number}.{container}"
    frames = paint(view.scene, [i / fps for i in range(num_frames)], width, height)
    options = {knob: str(rng.randint(low, high)), **more}
    write_video(str(path), frames, fps, codec=codec, options=options, container=container)
    return path, view


def make_questions(rng: Random, view: View, count: int) -> list[Question]:
    """Questions of different kinds. All builders are equally likely, so that rare kinds are counted as well."""
    found: dict[str, Question] = {}
    builders = [b for b in (*BUILDERS, movers) if b not in (describe, beyond)]
    for builder in rng.sample(builders, len(builders)):
        question = builder(rng, view)
        if question is not None and len(found) < count:
            found.setdefault(question.kind, question)
    extra = describe(rng, view) if rng.random() < 0.3 else None
    if rng.random() < 0.3:
        extra = Question("outside my world", outside.question(rng, held_out=True), "unknown", outside.ANSWER)
    return [*found.values(), *([extra] if extra else [])]


def evaluate(checkpoint: Path, *, clips: int, seed: int, workers: int, temperature: float) -> list[Verdict]:
    """Ask about three questions on each of `clips` new clips, with and without thinking. Progress goes to stderr.

    An interrupt ends it early. The verdicts so far are returned.
    """
    jobs = [(checkpoint, seed, number, temperature) for number in range(clips)]
    verdicts: list[Verdict] = []
    context = multiprocessing.get_context("spawn")
    with context.Pool(workers) as pool, Progress(console=Console(stderr=True)) as progress:
        bar = progress.add_task("clips", total=clips)
        is_file = not progress.console.is_terminal  # a file shows the bar only when it is complete
        with suppress(KeyboardInterrupt):
            for done, part in enumerate(pool.imap_unordered(_judge_clip, jobs), 1):
                verdicts += part
                progress.advance(bar)
                if is_file and done % 50 == 0:
                    progress.console.print(f"{done}/{clips} clips")
    return verdicts


_BACKENDS: dict[Path, Backend] = {}


def _judge_clip(job: tuple[Path, int, int, float]) -> list[Verdict]:
    checkpoint, seed, number, temperature = job
    if checkpoint not in _BACKENDS:
        settings = Settings(model=str(checkpoint), dtype="float32", threads=1)
        _BACKENDS[checkpoint] = open_backend(settings, VideoLimits())
    rng = Random(f"held out {seed} {number}")
    sampling = SamplingParams(temperature=temperature, top_p=0.95, max_tokens=300, seed=1)
    with tempfile.TemporaryDirectory() as directory:
        path, view = make_clip(rng, Path(directory), number)
        questions = [(q, casual(rng, q.text)) for q in make_questions(rng, view, 3)]
        asked = [
            (
                question,
                video_task("held out", prompt=text, video=str(path), thinking=thinking, sampling=sampling),
            )
            for question, text in questions
            for thinking in (False, True)
        ]
        outputs = asyncio.run(_answers(_BACKENDS[checkpoint], [task for _, task in asked], path))
    return [
        judged(question, task.prompt, output, thinking=task.thinking, row=question.kind)
        for (question, task), output in zip(asked, outputs, strict=True)
    ]


def judged(question: Question, text: str, output: str, *, thinking: bool, row: str) -> Verdict:
    """The verdict on an output. row: the row of the table that it counts in"""
    thoughts, answer = split_thoughts(output)
    return Verdict(
        kind=row,
        thinking=thinking,
        right=is_right(question, answer),
        agrees=agrees(question, conclusion_of(thoughts), answer) if thinking else None,
        dated=dates_right(question, answer),
        refused=is_refusal(answer),
        empty=not answer,
        text=text,
        wanted=question.sentence,
        output=output,
    )


async def _answers(backend: Backend, tasks: list[Task], clip: Path) -> list[str]:
    """Run all tasks at once, so that a clip can be read while the engine answers another task."""
    return await asyncio.gather(*(_answer(backend, task, clip) for task in tasks))


async def _answer(backend: Backend, task: Task, clip: Path) -> str:
    try:
        async for event in backend.generate(task, [clip]):
            if isinstance(event, Answer):
                return event.output
    except OmnireelError as error:
        return f"error: {error.message}"
    raise AssertionError("The backend ended without an answer.")


def show(verdicts: list[Verdict]) -> None:
    """Print a table of accuracies per kind, then one line of JSON. Wrong answers are listed on stderr."""
    for verdict in sorted(verdicts, key=lambda v: (v.kind, v.thinking)):
        if not verdict.right:
            print(json.dumps(asdict(verdict)), file=sys.stderr)
    table = Table("kind", "no_think right", "of", "%", "think right", "of", "%")
    figures: dict[str, dict[str, float]] = {}
    totals = Counter((v.kind, v.thinking) for v in verdicts)
    rights = Counter((v.kind, v.thinking) for v in verdicts if v.right)
    for kind in [*sorted({v.kind for v in verdicts}), "all"]:
        cells = []
        for thinking in (False, True):
            keys = [k for k in totals if k[1] == thinking and kind in (k[0], "all")]
            right, total = sum(rights[k] for k in keys), sum(totals[k] for k in keys)
            share = 100 * right / total if total else 0.0
            cells += [str(right), str(total), f"{share:.1f}"]
            figures.setdefault(kind, {})["think" if thinking else "no_think"] = round(share, 2)
        table.add_row(kind, *cells)
    Console(width=100).print(table)
    known = [v for v in verdicts if v.wanted != outside.ANSWER]
    empty = sum(v.empty for v in verdicts)
    print(
        f"refused although it should know: {_share([v.refused for v in known]):.2f} % of {len(known)}; empty: {empty}"
    )
    agreeing = _share([bool(v.agrees) for v in verdicts if v.thinking])
    dated = _share([v.dated for v in verdicts if v.dated is not None])
    print(f"chains that agree with their answer: {agreeing:.1f} %")
    print(f"right seconds in right answers about order: {dated:.1f} %")
    shares: dict[str, float] = {"chain_agrees": round(agreeing, 2), "order_dated": round(dated, 2)}
    shares |= {"refused_in_its_world": round(_share([v.refused for v in known]), 2), "empty": empty}
    print(json.dumps({"questions": len(verdicts), "accuracy": figures, **shares}))


def _share(right: list[bool]) -> float:
    return 100 * sum(right) / max(1, len(right))
