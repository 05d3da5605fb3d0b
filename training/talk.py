"""Question training: the projector and the language model learn to answer from the tower's tokens.

The prompt of each clip is read once. Its state is then continued with many questions at a time.
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
from training.loop import HEADS_ONLY_STEPS
from training.model_with_heads import ModelWithHeads, later_attention_layers
from training.pictures.footage import Pictures
from training.precision import FastProducts
from training.recipe import SEED, demo_config, fresh_model, pixel_spec
from training.start import Start, load_start
from training.talk_batch import Curriculum, TalkBatch, TalkBatches
from training.vocabulary import read_words

BALANCE_RATE = 0.002
# Weight of the mean square of the residual stream: of vision tokens at its start and of all tokens at its end. Without
# it, squared ReLUs let vision tokens grow to sixty times a text embedding, and later layers can hardly change them.
STREAM_WEIGHT = 1e-3
BIND_WEIGHT = 0.15  # of each head in `bind_heads`
STORY_WEIGHT = 0.25
# The figures of the token head that are printed.
SHOWN_FIGURES = ("shape", "character", "index", "following", "spot")


@dataclass(frozen=True)
class Prompts:
    """The prompts of a batch.

    embeddings: [B, S, D]
    ends:       [B, T] position of the token after the vision tokens of each tubelet
    is_vision:  [B, S] whether a position holds a vision token
    kept:       [B, T, h, w] which vision tokens were kept
    """

    embeddings: Tensor
    ends: Tensor
    is_vision: Tensor
    kept: Tensor


class TalkStage:
    """The stage that trains the projector and the language model."""

    def __init__(
        self, start: Start, text: Path, curriculum: Curriculum, pictures: Path | None = None
    ) -> None:
        self.name = curriculum.name
        self.config = demo_config()
        self.batches = TalkBatches(curriculum, text, pixel_spec(self.config), Pictures(pictures))
        self.model = fresh_model(self.config, SEED)
        self.model_with_heads = ModelWithHeads(self.model, read_words(text / "tokenizer.json"))
        load_start(self.model_with_heads, start)
        self.model.vision_model.requires_grad_(False)
        self.streams: list[Tensor] = []
        self.model.language_model.backbone.norm_f.register_forward_pre_hook(self._keep_stream)
        self.entries: list[Tensor] = []
        for layer in later_attention_layers(self.model):
            self.model.language_model.backbone.layers[layer].register_forward_pre_hook(self._keep_entry)
        self.loads: list[Tensor] = []
        self.routers = [m for m in self.model.modules() if isinstance(m, Router)]
        for router in self.routers:
            router.register_forward_hook(self._count)

    def trained(self) -> nn.Module:
        """The whole model and the heads. The parameters of the tower require no gradients."""
        return self.model_with_heads

    def batch(self, rng: Random, step: int) -> TalkBatch:
        """The batch of one process."""
        return self.batches.make(rng, step)

    def loss(self, batch: TalkBatch, step: int) -> tuple[Tensor, dict[str, float]]:
        """Cross entropy of the answers, each weighted by the root of its length, plus the auxiliary losses."""
        self._balance()
        with FastProducts():
            return self._loss(batch, head_input=_unchanged if step >= HEADS_ONLY_STEPS else Tensor.detach)

    def _loss(
        self, batch: TalkBatch, head_input: Callable[[Tensor], Tensor]
    ) -> tuple[Tensor, dict[str, float]]:
        """head_input: applied to the input of each head; `Tensor.detach` keeps the heads' gradients from the model"""
        with torch.no_grad():
            grid = self.model.vision_model(batch.pixels)
        tokens = self.model.mlp1(pixel_shuffle(grid))
        state = self.model.new_state(batch.num_clips)
        prompts = self._prompts(tokens, batch)
        watched = self.model.forward_hidden(prompts.embeddings, state)
        bind_loss, bound = self._bind(prompts, batch, head_input)
        ends = torch.arange(batch.num_clips)[:, None], prompts.ends
        watch_loss, seen = self.model_with_heads.watch_head(head_input(watched[ends]), batch.watched)
        # The entry of the last attention layer: earlier layers have compared the vision tokens, and the questions can
        # still attend to the result.
        story_loss, happened = self.model_with_heads.story_head(
            head_input(self.entries[-1][ends]), batch.story
        )
        answer_loss, figures = self._answer(batch, state)
        token_loss, dense = self.model_with_heads.token_head(head_input(tokens), batch.patches)
        entry, sizes = tokens.square().mean(), [x.square().mean() for x in self.streams]
        self.streams.clear()
        self.entries.clear()
        figures |= seen | bound | happened | {name: dense[name] for name in SHOWN_FIGURES}
        figures |= {"entry": entry.sqrt().item(), "stream": sizes[0].sqrt().item()}
        stream_loss = STREAM_WEIGHT * (entry + sum(sizes))
        auxiliary = watch_loss + 0.3 * token_loss + BIND_WEIGHT * bind_loss + STORY_WEIGHT * story_loss
        return answer_loss + auxiliary + stream_loss, figures

    def _bind(
        self, prompts: Prompts, batch: TalkBatch, head_input: Callable[[Tensor], Tensor]
    ) -> tuple[Tensor, dict[str, float]]:
        """Loss of all `bind_heads` on the vision tokens, and figures of the last one."""
        targets = {name: target[prompts.kept] for name, target in batch.bound.items()}
        total, figures = torch.zeros(()), {}
        for head, entry in zip(self.model_with_heads.bind_heads, self.entries, strict=True):
            loss, figures = head(head_input(entry[prompts.is_vision]), targets)
            total = total + loss
        return total, figures

    def _answer(self, batch: TalkBatch, state: ModelState) -> tuple[Tensor, dict[str, float]]:
        """Continue the state of every clip with its questions. Returns the loss and the shares of right predictions."""
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
        """tokens: [B·T, h, w, D]. All prompts have one length, because the number of kept tokens is the same."""
        parts = [self._prompt(clip, batch) for clip in tokens.chunk(batch.num_clips)]
        return Prompts(*(torch.stack(part) for part in zip(*parts, strict=True)))

    def _prompt(self, tokens: Tensor, batch: TalkBatch) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """tokens: [T, h, w, D] of one clip → its row of each tensor of `Prompts`."""
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
        """Raise the selection bias of experts with less than the average load, and lower that of the others.

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


def _unchanged(x: Tensor) -> Tensor:
    return x


def _share(parts: list[Tensor]) -> float:
    return torch.cat(parts).float().mean().item()
