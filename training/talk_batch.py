"""Batches of question training: clips, questions about them, and the targets of the auxiliary heads.

A batch is a few clips with the same timing and grid, so that their prompts have one length.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

import torch
from torch import Tensor

from omnireel.prompting.layout import lay_out_prompt, time_labels
from omnireel.text.chat import ChatTemplate, Piece, video_messages
from omnireel.text.tokenizer import Tokenizer
from omnireel.video.patch_grid import target_grid
from omnireel.video.sample import choose_frames, choose_frames_between
from omnireel.video.tubelets import PixelSpec
from training.counterfactual import DECIDED_BY_CHAIN, counterfactual
from training.degrade import degraded_pixels
from training.dense import NO_LOSS, stacked, tubelet_targets
from training.outside import with_unknown_words
from training.paint import Frame, paint
from training.pictures.footage import Footage, Pictures
from training.questions.ask import BUILDERS, ask, casual
from training.questions.events import happening, lifecycle, order, second
from training.questions.places import position
from training.questions.question import ON_SCREEN, Builder, Question
from training.questions.traits import absent, colour, direction, how_many, movers, shape
from training.questions.unseen import about_nothing, about_picture
from training.questions.view import View
from training.questions.whole import beyond, describe, on_screen
from training.questions.yes_no import is_beside, yes_no
from training.recipe import SEED, choose_aspect
from training.scenes import training_scene
from training.story import MANY, story_targets
from training.styles import CONCLUSION, SYSTEM_PROMPTS, answer_in_style, chain
from training.vocabulary import read_words
from training.watch import bind_targets, frame_pairs, watch_targets

SPACE = "\u0120"  # how a byte-level vocabulary writes a space
THINKING = 0.45  # share of batches with thinking
LONG = 0.35  # share of batches with clips of up to 20 s; seconds of two digits occur only there
PICTURED = 0.24  # share of clips that are no simple scene
WINDOWED = 0.15  # share of batches with a part of a longer clip
EMPTY_SHARE = 0.04  # share of clips that show nothing
COUNTERFACTUAL = 0.3  # share of chains that contradict the clip
# Shares of the questions in training. Without many about absent things the model would refuse them: pictures outside its
# world mostly lack what is asked for. Tokenizer training uses `BUILDERS`; changing that would change the vocabulary.
QUESTION_SHARES: dict[Builder, float] = BUILDERS | {
    how_many: 6.0, position: 2.8, order: 3.2, lifecycle: 2.8, yes_no: 4.0, is_beside: 1.0, on_screen: 4.6, second: 2.4,
    describe: 3.2, beyond: 2.8, happening: 0.6, movers: 2.2, colour: 1.0, shape: 1.0, direction: 1.2,
    absent: 2.0,
}  # fmt: skip
# A description repeats the whole chain before it, other answers only its end, so descriptions are asked more.
SHARES_WITH_THINKING = QUESTION_SHARES | {describe: 3.6}


@dataclass(frozen=True)
class Timing:
    """Length, frame rate and sampled frames that the clips of a batch share. The frames may be those of a part of the clip."""

    duration_s: float
    fps: float
    indices: tuple[int, ...]

    @property
    def times_s(self) -> tuple[float, ...]:
        """True times of the sampled frames."""
        return tuple(i / self.fps for i in self.indices)


def make_timing(rng: Random, longest_s: float) -> Timing:
    """A random clip length and frame rate, with the frames that serving would choose."""
    duration = rng.uniform(2, longest_s)
    fps = rng.choice((10, 12, 15, 24, 25, 29.97, 30, 30, 50, 60))
    num_frames = max(2, round(duration * fps))
    return Timing(num_frames / fps, fps, tuple(choose_frames(num_frames, fps, fps=2, max_frames=256)))


def part_of(rng: Random, whole: Timing) -> Timing:
    """A random part of a clip, as a request chooses it with start_s and end_s. Seconds still count from the clip's start."""
    longest = int(whole.duration_s)
    if longest < 4:
        return whole
    start_s = rng.randint(1, longest - 2)
    end_s = rng.randint(start_s + 2, longest)
    first, count = math.ceil(start_s * whole.fps), int((end_s - start_s) * whole.fps)
    return replace(
        whole, indices=tuple(choose_frames_between(first, count, whole.fps, fps=2, max_frames=256))
    )


@dataclass(frozen=True)
class Suffixes:
    """ids after the video, the id that each position should predict, and its weight; all [B·Q, L]"""

    ids: Tensor
    targets: Tensor
    weights: Tensor


@dataclass
class TalkBatch:
    """A batch. Prompts are laid out later, because they depend on which tokens are pruned.

    pixels:   [B·T, 6, H, W]
    suffixes: the questions in groups of similar length; each group has the same number of questions about each clip
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
class Curriculum:
    """Properties of the batches of a run.

    name: part of the random seed. A run that continues another one needs a different name: with the same clips again,
    the model would memorise them.
    tubelets, questions: the approximate numbers in a batch; short_steps: steps until clips reach their full length
    """

    name: str = "talk"
    tubelets: int = 40
    questions: int = 40
    short_steps: int = 400


@dataclass(frozen=True)
class AnswerMode:
    """Style, system prompt and thinking mode of the questions of a batch."""

    style: str
    system: str | None
    thinking: bool


@dataclass(frozen=True)
class Row:
    """A question and its answer, as ids.

    question: everything between the video and the assistant's turn, then a counterfactual chain, if there is one
    thoughts: the chain up to its conclusion, if the model has to write it
    decision: the conclusion and the answer
    """

    question: list[int]
    thoughts: list[int]
    decision: list[int]

    @property
    def ids(self) -> list[int]:
        """All ids in order."""
        return [*self.question, *self.thoughts, *self.decision]


@dataclass(frozen=True)
class Clip:
    """One clip of a batch: its pixels [T, 6, H, W], the targets of each head, and its questions."""

    pixels: Tensor
    watched: dict[str, Tensor]
    patches: list[dict[str, Tensor]]
    bound: dict[str, Tensor]
    story: dict[str, Tensor]
    rows: list[Row]


@dataclass(frozen=True)
class Shown:
    """What a clip shows.

    view:    the things that can be told of it
    subject: what the words of the questions are about; in a simple scene the same
    footage: the clip itself, where it is no simple scene
    """

    view: View
    subject: View
    footage: Footage | None = None

    @property
    def is_simple(self) -> bool:
        """Whether it is a simple scene with something in it."""
        return self.footage is None and bool(self.view.things)

    def paint(self, times_s: Sequence[float], width: int, height: int) -> Frame:
        """Its frames at these times."""
        if self.footage is not None:
            return self.footage.paint(times_s, width, height)
        return paint(self.view.scene, times_s, width, height)

    def ask(self, rng: Random, shares: Mapping[Builder, float]) -> Question:
        """A random question about it."""
        if self.footage is not None:
            return about_picture(rng, self.subject, shares)
        if not self.view.things:
            return about_nothing(rng, self.subject, shares)
        return ask(rng, self.subject, shares=shares)


class TalkBatches:
    """Makes the batches of a curriculum."""

    def __init__(self, curriculum: Curriculum, text: Path, spec: PixelSpec, pictures: Pictures) -> None:
        self.curriculum, self.spec, self.pictures = curriculum, spec, pictures
        self.tokenizer = Tokenizer.from_directory(text)
        self.words = read_words(text / "tokenizer.json")
        self.template = ChatTemplate.from_directory(text)

    def make(self, rng: Random, step: int) -> TalkBatch:
        """Make a batch: clips with one timing, grid and system prompt, many questions on each. Early clips are short."""
        # The processes wait for each other at every step, so their batches have one shape.
        common = Random(f"{SEED} {self.curriculum.name} {step}")
        aspect = choose_aspect(common)
        longest_s = min(20.0, 5 + 15 * step / self.curriculum.short_steps) if common.random() < LONG else 8
        timing = make_timing(common, longest_s)
        if common.random() < WINDOWED:
            timing = part_of(common, timing)
        thinking = common.random() < THINKING
        style = common.choices(list(SYSTEM_PROMPTS), (6, 1, 1, 1))[0]
        mode = AnswerMode(style, rng.choice(SYSTEM_PROMPTS[style]) or None, thinking)
        num_clips = min(12, max(3, self.curriculum.tubelets // len(frame_pairs(timing.times_s))))
        # The number of questions in a batch does not depend on the length of the clips.
        questions = max(4, self.curriculum.questions // num_clips)
        clips = [self._clip(rng, timing, aspect, mode, questions) for _ in range(num_clips)]
        pieces = self._render("?", mode)
        # Two groups of similar length need half as much padding as one.
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

    def _clip(self, rng: Random, timing: Timing, aspect: float, mode: AnswerMode, questions: int) -> Clip:
        shown = self._shown(rng, timing, aspect)
        view, grid = shown.view, target_grid(round(1000 * aspect), 1000, self.spec.target_patches)
        frames = degraded_pixels(shown.paint, timing.times_s, grid, self.spec, rng)
        if len(frames) % 2:
            frames = torch.cat([frames, frames[-1:]])
        watched, story = watch_targets(view), story_targets(view)
        painted = View((shown.footage or view).scene, view.times_s)
        sprites = shown.footage.sprites if shown.footage else ()
        patches = [tubelet_targets(painted.scene, a, b, grid, sprites) for a, b in frame_pairs(view.times_s)]
        bound = bind_targets(painted, watched, stacked(patches))
        if shown.footage is not None:
            watched, patches, bound, story = _without_scene(shown.footage, watched, patches, bound, story)
        other = _random_view(rng, timing, aspect) if mode.thinking else None
        rows = [self._row(rng, shown, other, mode) for _ in range(questions)]
        return Clip(
            pixels=frames.reshape(len(frames) // 2, 6, *frames.shape[2:]),
            watched=watched,
            patches=patches,
            bound=bound,
            story=story,
            rows=sorted(rows, key=lambda row: len(row.ids)),
        )

    def _shown(self, rng: Random, timing: Timing, aspect: float) -> Shown:
        """What a clip shows: mostly a simple scene."""
        roll = rng.random()
        if roll < PICTURED:
            footage = self.pictures.footage(rng, timing.duration_s, aspect)
            few = replace(footage.scene, things=footage.scene.things[:3])
            view = View(few, timing.times_s)
            subject = view if view.things else _random_view(rng, timing, aspect)
            return Shown(view, subject, footage)
        view = _random_view(rng, timing, aspect)
        if roll < PICTURED + EMPTY_SHARE:
            return Shown(View(replace(view.scene, things=(), words=()), timing.times_s), view)
        return Shown(view, view)

    def _row(self, rng: Random, shown: Shown, other: View | None, mode: AnswerMode) -> Row:
        if other is not None and shown.is_simple and rng.random() < COUNTERFACTUAL:
            view = counterfactual(rng, shown.view, other)
            asked, thoughts, decision = self._parts(rng, Shown(view, view), mode, DECIDED_BY_CHAIN)
            return Row([*asked, *thoughts], [], decision)
        return Row(*self._parts(rng, shown, mode, SHARES_WITH_THINKING if mode.thinking else QUESTION_SHARES))

    def _parts(
        self, rng: Random, shown: Shown, mode: AnswerMode, shares: Mapping[Builder, float]
    ) -> tuple[list[int], list[int], list[int]]:
        """A question about what is shown, as the three parts of a `Row`."""
        if mode.style in ("one word", "json"):
            shares = {
                builder: share for builder, share in shares.items() if builder not in (describe, movers)
            }
        question = shown.ask(rng, shares)
        answer = answer_in_style(question, mode.style)
        thoughts = ""
        if mode.thinking:
            thoughts, decided = chain(shown.view, question).rsplit(CONCLUSION, 1)
            answer = f"{CONCLUSION}{decided}\n</think>\n{answer}"
        text = question.text
        if question.kind == "outside my world" and rng.random() < 0.4:
            text = with_unknown_words(rng, text)
        pieces = self._render(casual(rng, text), mode)
        after = pieces[[p.kind for p in pieces].index("video") + 1 :]
        asked = lay_out_prompt(after, [], [], self.tokenizer).ids
        word = shown.view.scene.word.text if shown.view.scene.word else ""
        is_word = question.kind == ON_SCREEN
        first, second = (
            encode_spelled(self.tokenizer, self.words, text, word, is_word=is_word)
            for text in (thoughts, answer)
        )
        return asked, first, [*second, self.tokenizer.id_of("<|im_end|>")]

    def _render(self, prompt: str, mode: AnswerMode) -> list[Piece]:
        messages = video_messages(prompt, system_prompt=mode.system, thinking=mode.thinking)
        return self.template.render(messages, enable_thinking=mode.thinking)


def _without_scene(
    footage: Footage,
    watched: dict[str, Tensor],
    patches: list[dict[str, Tensor]],
    bound: dict[str, Tensor],
    story: dict[str, Tensor],
) -> tuple[dict[str, Tensor], list[dict[str, Tensor]], dict[str, Tensor], dict[str, Tensor]]:
    """The targets that hold for a clip that is no simple scene."""
    is_drawn = footage.camera is None  # things in a scene, and not a picture seen by a camera
    world = torch.full_like(story["world"], NO_LOSS)
    world[0 if footage.picture else -1 :] = 2  # other things may come late
    count = torch.full_like(world, NO_LOSS)
    if is_drawn and len(footage.scene.things) > 3:
        count[-1] = MANY
    return (
        _without_targets(watched, "now"),
        patches if is_drawn else [_without_targets(patch) for patch in patches],
        _without_targets(bound, "now", *(("odd",) if is_drawn else ())),
        _without_targets(story) | {"world": world, "count": count},
    )


def encode_spelled(
    tokenizer: Tokenizer, words: Mapping[str, int], text: str, word: str, *, is_word: bool
) -> list[int]:
    """The ids of an output, with a token for each character of what a text on screen says.

    Capitals and digits are single tokens in any case. Letters in lower case would be joined, and the model would have to
    know how each word is split.

    words: the vocabulary, token → id
    is_word: whether the question is what the text says: then the conclusion and the answer are the word itself
    """
    alone = rf"(?:\A|</think>\n)(?={re.escape(word)}\Z)"
    before = rf"says |So: |{alone}|\"answer\": \"" if is_word else "says "
    ids: list[int] = []
    rest = text
    while word and (match := re.search(rf"({before}){re.escape(word)}(?![A-Za-z0-9])", rest)):
        ids += tokenizer.encode_markup(rest[: match.end(1)])
        ids += [words[SPACE if char == " " else char] for char in word]
        rest = rest[match.end() :]
    return [*ids, *tokenizer.encode_markup(rest)]


def _random_view(rng: Random, timing: Timing, aspect: float) -> View:
    while True:
        view = View(training_scene(rng, timing.duration_s, aspect), timing.times_s)
        if view.things:
            return view


def _without_targets(targets: dict[str, Tensor], *kept: str) -> dict[str, Tensor]:
    """The same targets without loss, except some."""
    return {
        name: t if name in kept or t.is_floating_point() else torch.full_like(t, NO_LOSS)
        for name, t in targets.items()
    }


def padded(rows: list[Row]) -> Suffixes:
    """Pad the rows to one length, with targets and weights.

    The total weight of a chain is the root of its length, and so is that of a decision. So an error in the decision
    counts the same after a chain of any length. The first token decides whether the clip is a simple scene at all, so it
    weighs as much as a one-word answer.
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
        weights[number, len(row.question) - 1] = 1.0
    return Suffixes(ids, targets, weights)
