"""Question training: the projector and the language model learn to read the tower's tokens.

A batch is a few clips with the same timing and grid, so that their prompts are equally long; each clip's
prompt is read once and its state is continued by many questions at a time.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from random import Random

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn

from omnireel.model.checkpoint import load_checkpoint
from omnireel.model.moe import Router
from omnireel.model.omni import Omni
from omnireel.model.projector import pixel_shuffle
from omnireel.model.prune import keep_mask
from omnireel.model.state import ModelState
from omnireel.text.chat import ChatTemplate, Piece, video_messages
from omnireel.text.prompt import lay_out_prompt, time_labels
from omnireel.text.tokenizer import Tokenizer
from omnireel.video.sample import choose_frames
from omnireel.video.tubelets import target_grid
from training.export import READ_OUT
from training.outside import estranged
from training.questions.ask import BUILDERS, ask, casual
from training.questions.events import lifecycle, order
from training.questions.places import position
from training.questions.question import Builder
from training.questions.traits import how_many
from training.questions.view import View
from training.questions.whole import beyond, describe, on_screen
from training.questions.yes_no import is_beside, yes_no
from training.recipe import SEED, SHARPNESS, demo_config, fresh_model, pixel_rule
from training.scenes import make_scene
from training.story import STORY, story_targets
from training.styles import SYSTEM_PROMPTS, chain, dress
from training.tower import (
    choose_aspect,
    degraded_pixels,
    stacked,
    tower_weights,
    tubelet_targets,
)
from training.watch import (
    BINDINGS,
    NO_LOSS,
    StreamHead,
    TokenHead,
    WatchHead,
    bind_targets,
    frame_pairs,
    watch_targets,
)

BALANCE_RATE = 0.002
# Weight of the mean square of the residual stream, vision tokens on entry and every token at the end. Left
# alone, squared ReLUs let it grow to sixty times a text embedding, and no later layer can change such a token.
STREAM_WEIGHT = 1e-3
BIND_WEIGHT = 0.15  # for each of the glances
STORY_WEIGHT = 0.15
HEADS_FIRST = (
    60  # steps in which only the heads learn from their lessons: until they read, they shake the model
)
# How often lessons ask each. Apart from BUILDERS, by which the vocabulary is drawn: words have to keep their ids
# when lessons change.
LESSONS: dict[Builder, float] = BUILDERS | {
    how_many: 1.5, position: 3.0, order: 3.6, lifecycle: 1.6, yes_no: 2.4, is_beside: 1.2, on_screen: 3.2,
    describe: 0.5, beyond: 1.0,
}  # fmt: skip


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
class Prompts:
    """The batch's prompts as one tensor, and where things are in them.

    embeddings: [B, S, D]; ends [B, T]: places of the tokens after each tubelet's own; is_vision [B, S]: places of
    the vision tokens; kept [B, T, h, w]: which of the tokens these are
    """

    embeddings: Tensor
    ends: Tensor
    is_vision: Tensor
    kept: Tensor


class Talker(nn.Module):
    """The model with the heads that only training has."""

    def __init__(self, model: Omni) -> None:
        super().__init__()
        self.model = model
        self.watch_head = WatchHead(model.config.language.hidden_size)
        self.token_head = TokenHead(model.config.language.hidden_size)
        width = model.config.language.hidden_size
        self.bind_heads = nn.ModuleList(StreamHead(width, BINDINGS) for _ in glances(model))
        self.story_head = StreamHead(width, STORY)


def glances(model: Omni) -> list[int]:
    """The layers at whose entry vision tokens must be bound: all attention but the first, which binds them."""
    return [i for i, mixer in enumerate(model.config.language.pattern) if mixer == "*"][1:]


@dataclass(frozen=True)
class Start:
    """What the stage goes on from, each a stage's `last.pt` or a finished checkpoint's directory.

    model: all weights; tower: the tower's, in place of the model's
    """

    model: Path | None
    tower: Path | None


class TalkStage:
    """Projector and language model learn to answer.

    name:  also decides the clips: who goes on must not see the same ones again, or he learns them by heart
    """

    def __init__(
        self,
        start: Start,
        text: Path,
        *,
        name: str = "talk",
        tubelets: int = 40,
        questions: int = 40,
        short_steps: int = 400,
    ) -> None:
        self.name = name
        self.config = demo_config()
        self.rule = pixel_rule(self.config)
        self.model = fresh_model(self.config, SEED)
        self.talker = Talker(self.model)
        _load(self.talker, start, text)
        self.model.vision_model.requires_grad_(False)
        self.tokenizer = Tokenizer.from_directory(text)
        self.template = ChatTemplate.from_directory(text)
        self.tubelets, self.questions, self.short_steps = tubelets, questions, short_steps
        self.is_hearing = True
        self.streams: list[Tensor] = []
        self.model.language_model.backbone.norm_f.register_forward_pre_hook(self._keep_stream)
        self.entries: list[Tensor] = []
        for layer in glances(self.model):
            self.model.language_model.backbone.layers[layer].register_forward_pre_hook(self._keep_entry)
        self.loads: list[Tensor] = []
        self.routers = [m for m in self.model.modules() if isinstance(m, Router)]
        for router in self.routers:
            router.register_forward_hook(self._count)

    def trained(self) -> nn.Module:
        """The whole model and the heads; the tower's parameters ask for no gradient."""
        return self.talker

    def batch(self, rng: Random, step: int) -> TalkBatch:
        """Clips with one timing, grid and system prompt; many questions about each. Short clips come first."""
        common = Random(
            f"{SEED} {self.name} {step}"
        )  # the workers wait for each other, so their batches have one shape
        aspect = choose_aspect(common)
        timing = make_timing(
            common, min(20.0, 5 + 15 * step / self.short_steps) if common.random() < 0.4 else 8
        )
        grid = target_grid(round(1000 * aspect), 1000, self.rule.target_patches)
        thinking = common.random() < 0.5
        style = common.choices(list(SYSTEM_PROMPTS), (6, 1, 1, 1))[0]
        system = rng.choice(SYSTEM_PROMPTS[style]) or None
        clips = min(12, max(3, self.tubelets // len(frame_pairs(timing.times_s))))
        # As many questions about few long clips as about many short ones: long ones have more to tell.
        questions = max(4, self.questions // clips)
        pixels, rows, watched, patches, bound, story = [], [], [], [], [], []
        for _ in range(clips):
            view = self._view(rng, timing, aspect)
            frames = degraded_pixels(view.scene, timing.times_s, grid, self.rule, rng)
            if len(frames) % 2:
                frames = torch.cat([frames, frames[-1:]])
            pixels.append(frames.reshape(len(frames) // 2, 6, *frames.shape[2:]))
            watched.append(watch_targets(view))
            dense = [tubelet_targets(view.scene, a, b, grid) for a, b in frame_pairs(view.times_s)]
            patches += dense
            bound.append(bind_targets(view, watched[-1], stacked(dense)))
            story.append(story_targets(view))
            asked = [self._suffix(rng, view, system, style, thinking) for _ in range(questions)]
            rows.append(sorted(asked, key=lambda row: len(row[0]) + len(row[1])))
        pieces = self._render("?", system, thinking)
        head = pieces[: [p.kind for p in pieces].index("video") + 1]
        # Half of the padding goes when each clip's shorter questions are read apart from its longer ones.
        half = questions // 2
        suffixes = [_pad([r for row in rows for r in row[part]]) for part in (slice(half), slice(half, None))]
        rate = rng.choices((0.5, 0.0, 0.3, 0.7), (7, 1, 1, 1))[0]
        labels = time_labels(timing.indices, timing.fps)
        return TalkBatch(
            torch.cat(pixels),
            clips,
            rate,
            head,
            labels,
            suffixes,
            stacked(watched),
            stacked(patches),
            stacked(bound),
            stacked(story),
        )

    def _view(self, rng: Random, timing: Timing, aspect: float) -> View:
        while True:
            view = View(make_scene(rng, timing.duration_s, aspect), timing.times_s)
            if view.things:
                return view

    def _render(self, prompt: str, system: str | None, thinking: bool) -> list[Piece]:
        messages = video_messages(prompt, system_prompt=system, thinking=thinking)
        return self.template.render(messages, enable_thinking=thinking)

    def _suffix(
        self, rng: Random, view: View, system: str | None, style: str, thinking: bool
    ) -> tuple[list[int], list[int]]:
        """(ids after the video up to where the assistant speaks, ids of the answer)."""
        pool = list(LESSONS)
        if style in ("one word", "json"):
            pool.remove(describe)
        question = ask(rng, view, pool, LESSONS)
        answer = dress(question, style)
        if thinking:
            answer = f"{chain(view, question)}\n</think>\n{answer}"
        text = question.text
        if question.kind == "outside my world" and rng.random() < 0.7:
            text = estranged(rng, text)
        pieces = self._render(casual(rng, text), system, thinking)
        after = pieces[[p.kind for p in pieces].index("video") + 1 :]
        ids = lay_out_prompt(after, [], [], self.tokenizer).ids
        return ids, [*self.tokenizer.encode_markup(answer), self.tokenizer.id_of("<|im_end|>")]

    def loss(self, batch: TalkBatch, step: int) -> tuple[Tensor, dict[str, float]]:
        """Cross entropy on the answers, every answer counting by the root of its length, and the lessons."""
        self.is_hearing = step >= HEADS_FIRST
        self._balance()
        with torch.no_grad():
            grid = self.model.vision_model(batch.pixels)
        tokens = self.model.mlp1(pixel_shuffle(grid))
        state = self.model.new_state(batch.num_clips)
        prompts = self._prompts(tokens, batch)
        watched = self.model.forward_hidden(prompts.embeddings, state)
        bind_loss, bound = self._bind(prompts, batch)
        ends = torch.arange(batch.num_clips)[:, None], prompts.ends
        watch_loss, seen = self.talker.watch_head(self._heard(watched[ends]), batch.watched)
        # At the last glance: here vision tokens have been compared, and questions can still look it up.
        story_loss, told = self.talker.story_head(self._heard(self.entries[-1][ends]), batch.story)
        answer_loss, figures = self._answer(batch, state)
        token_loss, dense = self.talker.token_head(self._heard(tokens), batch.patches)
        entry, sizes = tokens.square().mean(), [x.square().mean() for x in self.streams]
        self.streams.clear()
        self.entries.clear()
        figures |= seen | bound | told | {k: dense[k] for k in ("shape", "character", "spot")}
        figures |= {"entry": entry.sqrt().item(), "stream": sizes[0].sqrt().item()}
        stream_loss = STREAM_WEIGHT * (entry + sum(sizes))
        lessons = watch_loss + 0.3 * token_loss + BIND_WEIGHT * bind_loss + STORY_WEIGHT * story_loss
        return answer_loss + lessons + stream_loss, figures

    def _heard(self, x: Tensor) -> Tensor:
        """What a head reads; at first its gradients end there."""
        return x if self.is_hearing else x.detach()

    def _bind(self, prompts: Prompts, batch: TalkBatch) -> tuple[Tensor, dict[str, float]]:
        """What `bind_heads` say of the vision tokens before each glance; figures of the last one."""
        targets = {name: target[prompts.kept] for name, target in batch.bound.items()}
        total, figures = torch.zeros(()), {}
        for head, entry in zip(self.talker.bind_heads, self.entries, strict=True):
            loss, figures = head(self._heard(entry[prompts.is_vision]), targets)
            total = total + loss
        return total, figures

    def _answer(self, batch: TalkBatch, state: ModelState) -> tuple[Tensor, dict[str, float]]:
        """Continue every clip's state by its questions."""
        total, weight = torch.zeros(()), torch.zeros(())
        right, whole = [], []
        for group in batch.suffixes:
            rows = state.repeat(len(group.ids) // batch.num_clips)
            hidden = self.model.forward_hidden(self.model.embed(group.ids), rows)
            asked = group.targets != NO_LOSS
            logits = self.model.logits(hidden[asked]).float()
            target, weights = group.targets[asked], group.weights[asked]
            each = F.cross_entropy(logits, target, reduction="none")
            total, weight = total + (each * weights).sum(), weight + weights.sum()
            hits = (logits.argmax(-1) == target).float()
            right.append(hits)
            whole.append(torch.zeros(len(asked)).index_add(0, asked.nonzero()[:, 0], 1 - hits) == 0)
        shares = {"token": _share(right), "answer": _share(whole)}
        return total / weight, shares

    def _prompts(self, tokens: Tensor, batch: TalkBatch) -> Prompts:
        """tokens: [B·T, h, w, D]. Prompts are equally long, whatever is kept of each clip."""
        parts = [self._prompt(clip, batch) for clip in tokens.chunk(batch.num_clips)]
        return Prompts(*(torch.stack(part) for part in zip(*parts, strict=True)))

    def _prompt(self, tokens: Tensor, batch: TalkBatch) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """tokens: [T, h, w, D] of one clip → its part of each of `Prompts`."""
        with torch.no_grad():
            mask = keep_mask(tokens, batch.rate)
        counts = mask.flatten(1).sum(1).tolist()
        prompt = lay_out_prompt(batch.head, batch.labels, counts, self.tokenizer)
        is_vision = torch.zeros(len(prompt.ids), dtype=torch.bool)
        for start, length in prompt.spans:
            is_vision[start : start + length] = True
        ends = torch.tensor([start + length for start, length in prompt.spans])
        embedded = self.model.embed_prompt(torch.tensor(prompt.ids), tokens[mask], is_vision)
        return embedded, ends, is_vision, mask

    def _keep_stream(self, _norm: nn.Module, arguments: tuple[Tensor]) -> None:
        self.streams.append(arguments[0])

    def _keep_entry(self, _layer: nn.Module, arguments: tuple[Tensor, ...]) -> None:
        self.entries.append(arguments[0])

    def _count(self, _router: nn.Module, _input: object, output: tuple[Tensor, Tensor]) -> None:
        self.loads.append(output[0].detach().flatten().bincount(minlength=self.config.language.num_experts))

    @torch.no_grad()
    def _balance(self) -> None:
        """Nudge the selection bias of experts that were visited less than average.

        Source: auxiliary-loss-free balancing, DeepSeek-V3 (arXiv 2412.19437) section 2.1.2.
        """
        if not self.loads:
            return
        per_router = (-1, len(self.routers), self.config.language.num_experts)
        loads = torch.stack(self.loads).view(per_router).sum(0).float()
        self.loads.clear()
        if dist.is_initialized():
            dist.all_reduce(loads)
        for router, load in zip(self.routers, loads, strict=True):
            router.e_score_correction_bias.add_((load.mean() - load).sign(), alpha=BALANCE_RATE)


def _share(parts: list[Tensor]) -> float:
    return torch.cat(parts).float().mean().item()


def _pad(rows: list[tuple[list[int], list[int]]]) -> Suffixes:
    longest = max(len(question) + len(answer) for question, answer in rows) - 1
    ids = torch.zeros(len(rows), longest, dtype=torch.int64)
    targets = torch.full_like(ids, NO_LOSS)
    weights = torch.zeros(ids.shape)
    for row, (question, answer) in enumerate(rows):
        whole = torch.tensor([*question, *answer])
        ids[row, : len(whole) - 1] = whole[:-1]
        span = slice(len(question) - 1, len(whole) - 1)
        targets[row, span] = whole[len(question) :]
        weights[row, span] = len(answer) ** -0.5
    return Suffixes(ids, targets, weights)


def _load(talker: Talker, start: Start, text: Path) -> None:
    if start.model is not None and start.model.is_dir():
        finished = load_checkpoint(start.model, torch.float32).state_dict()
        finished[READ_OUT] = finished[READ_OUT] / SHARPNESS
        words = (_words(start.model), _words(text))
        talker.model.load_state_dict(carry_words(finished, talker.model.state_dict(), *words))
    elif start.model is not None:
        talker.load_state_dict(torch.load(start.model, weights_only=True)["module"], strict=False)
    if start.tower is not None:
        talker.model.vision_model.load_state_dict(tower_weights(start.tower))


def _words(directory: Path) -> dict[str, int]:
    """The vocabulary of a tokenizer.json: token → id."""
    described = json.loads((directory / "tokenizer.json").read_text("utf-8"))
    return described["model"]["vocab"]  # type: ignore[no-any-return]


def carry_words(
    weights: dict[str, Tensor], fresh: dict[str, Tensor], old: dict[str, int], new: dict[str, int]
) -> dict[str, Tensor]:
    """The weights, the rows of their words moved to where a new vocabulary has them; new words get fresh rows.

    Another question grammar makes another vocabulary. Tables are those with a row for each of its words.
    """
    kept = [(new[token], row) for token, row in old.items() if token in new]
    to, of = (torch.tensor(ids) for ids in zip(*kept, strict=True))
    carried = dict(weights)
    for name, table in weights.items():
        if "embeddings" in name or "lm_head" in name:
            carried[name] = fresh[name].clone()
            carried[name][to] = table[of].to(fresh[name].dtype)
    return carried
