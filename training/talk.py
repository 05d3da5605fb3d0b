"""Question training: the projector and the language model learn to read the tower's tokens.

Each clip's prompt is read once and its state is continued by many questions at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn

from omnireel.model.language.moe import Router
from omnireel.model.language.state import ModelState
from omnireel.model.vision.projector import pixel_shuffle
from omnireel.model.vision.prune import keep_mask
from omnireel.prompting.layout import lay_out_prompt
from training.dense import NO_LOSS
from training.precision import FastProducts
from training.recipe import SEED, demo_config, fresh_model, pixel_rule
from training.start import Start, take_over
from training.talk_batch import Course, TalkBatch, TalkBatches
from training.talker import Talker, glances
from training.vocabulary import read_words

BALANCE_RATE = 0.002
# Weight of the mean square of the residual stream, vision tokens on entry and every token at the end. Left
# alone, squared ReLUs let it grow to sixty times a text embedding, and no later layer can change such a token.
STREAM_WEIGHT = 1e-3
BIND_WEIGHT = 0.15  # for each of the glances
STORY_WEIGHT = 0.25
# Steps in which only the heads learn from their lessons: until they read, they shake the model.
HEADS_FIRST = 60
SHOWN = ("shape", "character", "index", "following", "spot")  # of the figures of each token's head


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


class TalkStage:
    """Projector and language model learn to answer."""

    def __init__(self, start: Start, text: Path, course: Course) -> None:
        self.name = course.name
        self.config = demo_config()
        self.batches = TalkBatches(course, text, pixel_rule(self.config))
        self.model = fresh_model(self.config, SEED)
        self.talker = Talker(self.model, read_words(text / "tokenizer.json"))
        take_over(self.talker, start)
        self.model.vision_model.requires_grad_(False)
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
        """One worker's batch."""
        return self.batches.make(rng, step)

    def loss(self, batch: TalkBatch, step: int) -> tuple[Tensor, dict[str, float]]:
        """Cross entropy on the answers, every answer counting by the root of its length, and the lessons."""
        self._balance()
        with FastProducts():
            return self._loss(batch, heard=_as_it_is if step >= HEADS_FIRST else Tensor.detach)

    def _loss(self, batch: TalkBatch, heard: Callable[[Tensor], Tensor]) -> tuple[Tensor, dict[str, float]]:
        """heard: what a head reads; where that is detached, its gradients end there"""
        with torch.no_grad():
            grid = self.model.vision_model(batch.pixels)
        tokens = self.model.mlp1(pixel_shuffle(grid))
        state = self.model.new_state(batch.num_clips)
        prompts = self._prompts(tokens, batch)
        watched = self.model.forward_hidden(prompts.embeddings, state)
        bind_loss, bound = self._bind(prompts, batch, heard)
        ends = torch.arange(batch.num_clips)[:, None], prompts.ends
        watch_loss, seen = self.talker.watch_head(heard(watched[ends]), batch.watched)
        # At the last glance: here vision tokens have been compared, and questions can still look it up.
        story_loss, told = self.talker.story_head(heard(self.entries[-1][ends]), batch.story)
        answer_loss, figures = self._answer(batch, state)
        token_loss, dense = self.talker.token_head(heard(tokens), batch.patches)
        entry, sizes = tokens.square().mean(), [x.square().mean() for x in self.streams]
        self.streams.clear()
        self.entries.clear()
        figures |= seen | bound | told | {name: dense[name] for name in SHOWN}
        figures |= {"entry": entry.sqrt().item(), "stream": sizes[0].sqrt().item()}
        stream_loss = STREAM_WEIGHT * (entry + sum(sizes))
        lessons = watch_loss + 0.3 * token_loss + BIND_WEIGHT * bind_loss + STORY_WEIGHT * story_loss
        return answer_loss + lessons + stream_loss, figures

    def _bind(
        self, prompts: Prompts, batch: TalkBatch, heard: Callable[[Tensor], Tensor]
    ) -> tuple[Tensor, dict[str, float]]:
        """What `bind_heads` say of the vision tokens before each glance; figures of the last one."""
        targets = {name: target[prompts.kept] for name, target in batch.bound.items()}
        total, figures = torch.zeros(()), {}
        for head, entry in zip(self.talker.bind_heads, self.entries, strict=True):
            loss, figures = head(heard(entry[prompts.is_vision]), targets)
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
        prompt = lay_out_prompt(batch.head, batch.labels, counts, self.batches.tokenizer)
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


def _as_it_is(x: Tensor) -> Tensor:
    return x


def _share(parts: list[Tensor]) -> float:
    return torch.cat(parts).float().mean().item()
