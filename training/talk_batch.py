"""What one step of question training is made of: clips, questions about them, and what else is asked of them.

A batch is a few clips with the same timing and grid, so that their prompts are equally long.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from random import Random

import torch
from torch import Tensor

from omnireel.prompting.layout import lay_out_prompt, time_labels
from omnireel.text.chat import ChatTemplate, Piece, video_messages
from omnireel.text.tokenizer import Tokenizer
from omnireel.video.patch_grid import target_grid
from omnireel.video.sample import choose_frames
from omnireel.video.tubelets import PixelSpec
from training.counterfactual import DECIDED, counterfactual
from training.degrade import degraded_pixels
from training.dense import NO_LOSS, stacked, tubelet_targets
from training.outside import estranged
from training.questions.ask import BUILDERS, ask, casual
from training.questions.events import happening, lifecycle, order
from training.questions.places import position
from training.questions.question import Builder
from training.questions.traits import how_many
from training.questions.view import View, events_of
from training.questions.whole import beyond, describe, on_screen
from training.questions.yes_no import is_beside, yes_no
from training.recipe import SEED, choose_aspect
from training.scenes import make_scene
from training.story import story_targets
from training.styles import CONCLUSION, SYSTEM_PROMPTS, chain, dress
from training.watch import bind_targets, frame_pairs, watch_targets

THINKING = 0.6  # share of batches
LONG = 0.7  # share of batches with clips of up to 20 s: seconds of two digits come late
# Objects that share a trait are hard to tell apart, and rare where traits are drawn as evaluation draws them.
ALIKE = 1.0
COUNTERFACTUAL = 0.3  # share of chains
# How often lessons ask each, where it is not as often as elsewhere.
LESSONS: dict[Builder, float] = BUILDERS | {
    how_many: 4.5, position: 3.2, order: 5.0, lifecycle: 2.2, yes_no: 2.4, is_beside: 1.2, on_screen: 3.2,
    describe: 0.8, beyond: 1.0, happening: 2.4,
}  # fmt: skip
# A description after a chain repeats all of it; what other questions answer after theirs, its end alone.
THINKING_LESSONS = LESSONS | {describe: 3.0}


@dataclass(frozen=True)
class Timing:
    """What a batch's clips share."""

    duration_s: float
    fps: float
    indices: tuple[int, ...]

    @property
    def times_s(self) -> tuple[float, ...]:
        """True times of the sampled frames."""
        return tuple(i / self.fps for i in self.indices)


def make_timing(rng: Random, longest_s: float) -> Timing:
    """A clip length, frame rate and the frames that serving would choose."""
    duration = rng.uniform(2, longest_s)
    fps = rng.choice((10, 12, 15, 24, 25, 29.97, 30, 30, 50, 60))
    num_frames = max(2, round(duration * fps))
    return Timing(num_frames / fps, fps, tuple(choose_frames(num_frames, fps, fps=2, max_frames=256)))


@dataclass(frozen=True)
class Suffixes:
    """ids, targets, weights: [B·Q, L] ids after the video, what each position should predict, and its weight."""

    ids: Tensor
    targets: Tensor
    weights: Tensor


@dataclass
class TalkBatch:
    """pixels [B·T, 6, H, W]; prompts laid out later, when pruning is known.

    suffixes: the questions in groups of like length, as many about each clip in every group
    """

    pixels: Tensor
    num_clips: int
    rate: float
    head: list[Piece]  # the rendered chat up to the video
    labels: list[str]
    suffixes: list[Suffixes]
    watched: dict[str, Tensor]
    patches: dict[str, Tensor]
    bound: dict[str, Tensor]  # [B, T, h, w, ...]
    story: dict[str, Tensor]  # [B, T, ...]


@dataclass(frozen=True)
class Course:
    """What batches are like.

    name: also decides the clips: who goes on must not see the same ones again, or he learns them by heart
    tubelets, questions: about so many in a batch; short_steps: in which clips grow to their full length
    """

    name: str = "talk"
    tubelets: int = 40
    questions: int = 40
    short_steps: int = 400


@dataclass(frozen=True)
class Manner:
    """How a batch's clips are asked about."""

    style: str
    system: str | None
    thinking: bool


@dataclass(frozen=True)
class Row:
    """A question and what is to be said, as ids: all after the video up to where the assistant speaks, and thoughts
    that are given; thoughts of its own, up to their conclusion; that and the answer.
    """

    question: list[int]
    thoughts: list[int]
    decision: list[int]

    @property
    def ids(self) -> list[int]:
        """All of it."""
        return [*self.question, *self.thoughts, *self.decision]


@dataclass(frozen=True)
class Clip:
    """One clip's part of a batch: its pixels [T, 6, H, W], the targets of each head, and what is asked."""

    pixels: Tensor
    watched: dict[str, Tensor]
    patches: list[dict[str, Tensor]]
    bound: dict[str, Tensor]
    story: dict[str, Tensor]
    rows: list[Row]


class TalkBatches:
    """Makes the batches of a course."""

    def __init__(self, course: Course, text: Path, rule: PixelSpec) -> None:
        self.course, self.rule = course, rule
        self.tokenizer = Tokenizer.from_directory(text)
        self.template = ChatTemplate.from_directory(text)

    def make(self, rng: Random, step: int) -> TalkBatch:
        """Clips with one timing, grid and system prompt; many questions about each. Short clips come first."""
        # The workers wait for each other, so their batches have one shape.
        common = Random(f"{SEED} {self.course.name} {step}")
        aspect = choose_aspect(common)
        longest_s = min(20.0, 5 + 15 * step / self.course.short_steps) if common.random() < LONG else 8
        timing = make_timing(common, longest_s)
        thinking = common.random() < THINKING
        style = common.choices(list(SYSTEM_PROMPTS), (6, 1, 1, 1))[0]
        manner = Manner(style, rng.choice(SYSTEM_PROMPTS[style]) or None, thinking)
        num_clips = min(12, max(3, self.course.tubelets // len(frame_pairs(timing.times_s))))
        # As many questions about few long clips as about many short ones: long ones have more to tell.
        questions = max(4, self.course.questions // num_clips)
        clips = [self._clip(rng, timing, aspect, manner, questions) for _ in range(num_clips)]
        pieces = self._render("?", manner)
        # Half of the padding goes when each clip's shorter questions are read apart from its longer ones.
        parts = (slice(questions // 2), slice(questions // 2, None))
        return TalkBatch(
            pixels=torch.cat([clip.pixels for clip in clips]),
            num_clips=num_clips,
            rate=rng.choices((0.5, 0.0, 0.3, 0.7), (7, 1, 1, 1))[0],
            head=pieces[: [p.kind for p in pieces].index("video") + 1],
            labels=time_labels(timing.indices, timing.fps),
            suffixes=[padded([row for clip in clips for row in clip.rows[part]]) for part in parts],
            watched=stacked([clip.watched for clip in clips]),
            patches=stacked([patch for clip in clips for patch in clip.patches]),
            bound=stacked([clip.bound for clip in clips]),
            story=stacked([clip.story for clip in clips]),
        )

    def _clip(self, rng: Random, timing: Timing, aspect: float, manner: Manner, questions: int) -> Clip:
        view = _some_view(rng, timing, aspect)
        grid = target_grid(round(1000 * aspect), 1000, self.rule.target_patches)
        frames = degraded_pixels(view.scene, timing.times_s, grid, self.rule, rng)
        if len(frames) % 2:
            frames = torch.cat([frames, frames[-1:]])
        watched = watch_targets(view)
        patches = [tubelet_targets(view.scene, a, b, grid) for a, b in frame_pairs(view.times_s)]
        other = _drawn(rng, timing, aspect) if manner.thinking else None
        rows = [self._row(rng, view, other, manner) for _ in range(questions)]
        return Clip(
            pixels=frames.reshape(len(frames) // 2, 6, *frames.shape[2:]),
            watched=watched,
            patches=patches,
            bound=bind_targets(view, watched, stacked(patches)),
            story=story_targets(view),
            rows=sorted(rows, key=lambda row: len(row.ids)),
        )

    def _row(self, rng: Random, view: View, other: View | None, manner: Manner) -> Row:
        if other is not None and rng.random() < COUNTERFACTUAL:
            asked, thoughts, decision = self._said(rng, counterfactual(rng, view, other), manner, DECIDED)
            return Row([*asked, *thoughts], [], decision)
        return Row(*self._said(rng, view, manner, THINKING_LESSONS if manner.thinking else LESSONS))

    def _said(
        self, rng: Random, view: View, manner: Manner, lessons: Mapping[Builder, float]
    ) -> tuple[list[int], list[int], list[int]]:
        """One question about the view: the three parts of a `Row`."""
        pool = list(lessons)
        if manner.style in ("one word", "json"):
            pool.remove(describe)
        question = ask(rng, view, pool, lessons)
        answer = dress(question, manner.style)
        thoughts = ""
        if manner.thinking:
            thoughts, decided = chain(view, question).rsplit(CONCLUSION, 1)
            answer = f"{CONCLUSION}{decided}\n</think>\n{answer}"
        text = question.text
        if question.kind == "outside my world" and rng.random() < 0.7:
            text = estranged(rng, text)
        pieces = self._render(casual(rng, text), manner)
        after = pieces[[p.kind for p in pieces].index("video") + 1 :]
        ids = self.tokenizer.encode_markup(thoughts + answer)
        split = len(self.tokenizer.encode_markup(thoughts))
        asked = lay_out_prompt(after, [], [], self.tokenizer).ids
        return asked, ids[:split], [*ids[split:], self.tokenizer.id_of("<|im_end|>")]

    def _render(self, prompt: str, manner: Manner) -> list[Piece]:
        messages = video_messages(prompt, system_prompt=manner.system, thinking=manner.thinking)
        return self.template.render(messages, enable_thinking=manner.thinking)


def _some_view(rng: Random, timing: Timing, aspect: float) -> View:
    """One scene, or the richest of three: a batch has few clips, and plain ones teach the slow lessons nothing."""
    return max((_drawn(rng, timing, aspect) for _ in range(rng.choices((1, 3), (2, 3))[0])), key=_richness)


def _drawn(rng: Random, timing: Timing, aspect: float) -> View:
    while True:
        view = View(make_scene(rng, timing.duration_s, aspect, alike=ALIKE), timing.times_s)
        if view.things:
            return view


def _richness(view: View) -> int:
    """How much happens, what could be taken for each other, and whether something is written, which counts twice."""
    alike = sum(a.shape == b.shape or a.colour == b.colour for a, b in combinations(view.things, 2))
    return len(events_of(view)) + alike + 2 * (view.scene.word is not None)


def padded(rows: list[Row]) -> Suffixes:
    """Thoughts weigh by the root of their length, and so does what is decided: one error there is one in the answer,
    however long the thoughts were.
    """
    longest = max(len(row.ids) for row in rows) - 1
    ids = torch.zeros(len(rows), longest, dtype=torch.int64)
    targets = torch.full_like(ids, NO_LOSS)
    weights = torch.zeros(ids.shape)
    for number, row in enumerate(rows):
        whole = torch.tensor(row.ids)
        ids[number, : len(whole) - 1] = whole[:-1]
        start = len(row.question) - 1
        targets[number, start : len(whole) - 1] = whole[start + 1 :]
        for part in (row.thoughts, row.decision):
            weights[number, start : start + len(part)] = max(1, len(part)) ** -0.5
            start += len(part)
    return Suffixes(ids, targets, weights)
