"""Question training: the projector and the language model learn to read the tower's tokens.

A batch is a few clips with the same timing and grid, so that their prompts are equally long; each clip's
prompt is read once and its state is continued by many questions at a time.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from random import Random

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn

from omnireel.model.moe import Router
from omnireel.model.prune import keep_mask
from omnireel.text.chat import ChatTemplate, Piece, video_messages
from omnireel.text.prompt import lay_out_prompt, time_labels
from omnireel.text.tokenizer import Tokenizer
from omnireel.video.sample import choose_frames
from omnireel.video.tubelets import target_grid
from training.questions import BUILDERS, View, ask, casual, describe
from training.recipe import SEED, demo_config, fresh_model, pixel_rule
from training.scenes import make_scene
from training.styles import SYSTEM_PROMPTS, chain, dress
from training.tower import choose_aspect, degraded_pixels

NO_LOSS = -100
BALANCE_RATE = 0.002


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

    @property
    def labels_s(self) -> tuple[float, ...]:
        """What the prompt's labels say."""
        return tuple(i * int(1000 / self.fps) / 1000 for i in self.indices)


def make_timing(rng: Random, longest_s: float) -> Timing:
    """A clip length, frame rate and the frames that serving would choose."""
    duration = rng.uniform(2, longest_s)
    fps = rng.choice((10, 12, 15, 24, 25, 29.97, 30, 30, 50, 60))
    num_frames = max(2, round(duration * fps))
    return Timing(num_frames / fps, fps, tuple(choose_frames(num_frames, fps, fps=2, max_frames=256)))


@dataclass
class TalkBatch:
    """pixels [B·T, 6, H, W]; prompts laid out later, when pruning is known.

    suffixes, targets: [B·Q, L] ids after the video, and what each position should predict next
    """

    pixels: Tensor
    num_clips: int
    rate: float
    head: list[Piece]  # the rendered chat up to the video
    labels: list[str]
    suffixes: Tensor
    targets: Tensor
    weights: Tensor


class TalkStage:
    """Projector and language model, on a frozen tower."""

    name = "talk"

    def __init__(
        self, tower: Path, text: Path, steps: int, clips: int = 6, questions: int = 8
    ) -> None:
        self.config = demo_config()
        self.rule = pixel_rule(self.config)
        self.model = fresh_model(self.config, SEED)
        _load_tower(self.model.vision_model, tower)
        self.model.vision_model.requires_grad_(False)
        self.tokenizer = Tokenizer.from_directory(text)
        self.template = ChatTemplate.from_directory(text)
        self.steps, self.clips, self.questions = steps, clips, questions
        self.progress = 0.0
        self.loads: list[Tensor] = []
        self.routers = [m for m in self.model.modules() if isinstance(m, Router)]
        for router in self.routers:
            router.register_forward_hook(self._count)

    def trained(self) -> nn.Module:
        """The whole model; the tower's parameters ask for no gradient."""
        return self.model

    def batch(self, rng: Random) -> TalkBatch:
        """Clips with one timing, grid and system prompt; many questions about each."""
        aspect = choose_aspect(rng)
        easy = rng.random() < 0.3
        timing = make_timing(rng, 7 if easy else 20)
        grid = target_grid(round(1000 * aspect), 1000, self.rule.target_patches)
        thinking = rng.random() < 0.35
        style = rng.choices(list(SYSTEM_PROMPTS), (6, 1, 1, 1))[0]
        system = rng.choice(SYSTEM_PROMPTS[style]) or None
        clips = self.clips if len(timing.indices) > 16 else round(self.clips * 4 / 3)
        pixels, rows = [], []
        for _ in range(clips):
            view = self._view(rng, timing, aspect)
            frames = degraded_pixels(view.scene, timing.times_s, grid, self.rule, rng)
            if len(frames) % 2:
                frames = torch.cat([frames, frames[-1:]])
            pixels.append(frames.unflatten(0, (-1, 2)).flatten(1, 2))
            for _ in range(self.questions):
                rows.append(self._suffix(rng, view, system, style, thinking))
        pieces = self._render("?", system, thinking)
        head = pieces[: [p.kind for p in pieces].index("video") + 1]
        suffixes, targets, weights = _pad(rows)
        rate = rng.choices((0.5, 0.0, 0.3, 0.7), (7, 1, 1, 1))[0]
        labels = time_labels(timing.indices, timing.fps)
        return TalkBatch(torch.cat(pixels), clips, rate, head, labels, suffixes, targets, weights)

    def _view(self, rng: Random, timing: Timing, aspect: float) -> View:
        while True:
            view = View(make_scene(rng, timing.duration_s, aspect), timing.times_s, timing.labels_s)
            if view.things:
                return view

    def _render(self, prompt: str, system: str | None, thinking: bool) -> list[Piece]:
        messages = video_messages(prompt, system_prompt=system, thinking=thinking)
        return self.template.render(messages, enable_thinking=thinking)

    def _suffix(
        self, rng: Random, view: View, system: str | None, style: str, thinking: bool
    ) -> tuple[list[int], list[int]]:
        """(ids after the video up to where the assistant speaks, ids of the answer)."""
        pool = list(BUILDERS)
        if style in ("one word", "json"):
            pool.remove(describe)
        question = ask(rng, view, pool)
        answer = dress(question, style)
        if thinking:
            answer = f"{chain(view, question)}\n</think>\n{answer}"
        pieces = self._render(casual(rng, question.text), system, thinking)
        after = pieces[[p.kind for p in pieces].index("video") + 1 :]
        ids = lay_out_prompt(after, [], [], self.tokenizer).ids
        return ids, [*self.tokenizer.encode_markup(answer), self.tokenizer.id_of("<|im_end|>")]

    def loss(self, batch: TalkBatch, step: int) -> tuple[Tensor, dict[str, float]]:
        """Cross entropy on the answers, every answer counting by the root of its length."""
        del step
        self._balance()
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            grid = self.model.vision_model(batch.pixels)
        from omnireel.model.projector import pixel_shuffle

        tokens = self.model.mlp1(pixel_shuffle(grid.float()))
        prompts = [self._prompt(clip, batch) for clip in tokens.chunk(batch.num_clips)]
        state = self.model.new_state(batch.num_clips)
        self.model.forward_hidden(torch.stack(prompts), state)
        rows = state.repeat(len(batch.suffixes) // batch.num_clips)
        hidden = self.model.forward_hidden(self.model.embed(batch.suffixes), rows)
        asked = batch.targets != NO_LOSS
        logits = self.model.logits(hidden[asked])
        target = batch.targets[asked]
        each = F.cross_entropy(logits, target, reduction="none")
        weights = batch.weights[asked]
        right = (logits.argmax(-1) == target).float()
        wrong_rows = torch.zeros(len(asked)).index_add(0, asked.nonzero()[:, 0], 1 - right)
        figures = {"token": right.mean().item(), "answer": (wrong_rows == 0).float().mean().item()}
        return (each * weights).sum() / weights.sum(), figures

    def _prompt(self, tokens: Tensor, batch: TalkBatch) -> Tensor:
        """tokens: [T, h, w, D] of one clip → prompt embeddings [S, D]; S is the same for all clips."""
        with torch.no_grad():
            mask = keep_mask(tokens, batch.rate)
        counts = mask.flatten(1).sum(1).tolist()
        prompt = lay_out_prompt(batch.head, batch.labels, counts, self.tokenizer)
        is_vision = torch.zeros(len(prompt.ids), dtype=torch.bool)
        for start, length in prompt.spans:
            is_vision[start : start + length] = True
        return self.model.embed_prompt(torch.tensor(prompt.ids), tokens[mask], is_vision)

    def _count(self, router: nn.Module, _: object, output: tuple[Tensor, Tensor]) -> None:
        self.loads.append(output[0].detach().flatten().bincount(minlength=self.config.language.num_experts))

    @torch.no_grad()
    def _balance(self) -> None:
        """Nudge the selection bias of experts that were visited less than average.

        Source: auxiliary-loss-free balancing, DeepSeek-V3 (arXiv 2412.19437) section 2.1.2.
        """
        if not self.loads:
            return
        loads = torch.stack(self.loads).view(-1, len(self.routers), self.config.language.num_experts).sum(0)
        self.loads.clear()
        if dist.is_initialized():
            dist.all_reduce(loads)
        for router, load in zip(self.routers, loads.float(), strict=True):
            router.e_score_correction_bias += BALANCE_RATE * (load.mean() - load).sign()


def _pad(rows: list[tuple[list[int], list[int]]]) -> tuple[Tensor, Tensor, Tensor]:
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
    return ids, targets, weights


def _load_tower(tower: nn.Module, path: Path) -> None:
    """Take the tower out of the dense stage's checkpoint."""
    saved = torch.load(path, weights_only=True)["module"]
    tower.load_state_dict({k.removeprefix("tower."): v for k, v in saved.items() if k.startswith("tower.")})
