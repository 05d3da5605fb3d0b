"""The training loop of all stages: data-parallel over single-threaded processes, resumable.

A small model gains nothing from threads within an operation. So each core runs a process with its own batches, and the
gradients are averaged. A batch depends only on seed, rank and step, so a resumed run sees the batches that it would
have seen without the interruption.
"""

from __future__ import annotations

import hashlib
import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Protocol, TypeVar

import torch
import torch.distributed as dist
from rich.console import Console
from torch import Tensor, nn
from torch.multiprocessing.spawn import spawn

from training.muon import Muon
from training.recipe import SEED

# Parts of the names of matrices that AdamW trains: tables and read-outs, for which orthogonal updates are unsuitable.
NOT_FOR_MUON = ("embed", "lm_head", "gate.weight", "heads.", "token", "read", "spread")
HEADS = ("watch_head", "token_head", "bind_heads", "story_head")
# For glibc. Without them the memory of large tensors is returned to the system and requested again at every step. Huge
# pages are used because each step touches gigabytes.
MALLOC_SETTINGS = {
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": str(1 << 34),
    "MALLOC_TOP_PAD_": str(1 << 26),
}
MUON_FACTOR = 4.0
SAVE_EVERY = 50  # steps
# In the first steps the losses of heads train only the heads: gradients of untrained heads would harm the model.
HEADS_ONLY_STEPS = 60
HEAD_FACTOR = 4.0  # heads learn faster: the model learns from them only once they predict well

Batch = TypeVar("Batch")


class Stage(Protocol[Batch]):
    """A model, its batches and its loss."""

    name: str

    def trained(self) -> nn.Module:
        """The module to save. Its parameters that require gradients are trained."""

    def batch(self, rng: Random, step: int) -> Batch:
        """The batch of one process. It depends only on `rng` and the step."""

    def loss(self, batch: Batch, step: int) -> tuple[Tensor, dict[str, float]]:
        """The loss to minimise, and figures to print."""


@dataclass(frozen=True)
class Schedule:
    """Linear warm-up, then linearly down to zero. Source: arXiv 2502.15938."""

    steps: int
    peak_rate: float
    warmup: int = 60

    def rate(self, step: int) -> float:
        """The learning rate at a step."""
        if step < self.warmup:
            return self.peak_rate * (step + 1) / self.warmup
        return self.peak_rate * max(0.0, (self.steps - step) / max(1, self.steps - self.warmup))


def digest(start: Path) -> str:
    """A short hash of the weights in a checkpoint file or a model's directory, so that file names do not matter."""
    with (start / "model.safetensors" if start.is_dir() else start).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:8]


def launch(make: Callable[[], Stage[Batch]], schedule: Schedule, directory: Path, workers: int) -> None:
    """Train a stage with `workers` processes. Its resumable checkpoint is in `directory`."""
    directory.mkdir(parents=True, exist_ok=True)
    os.environ["OMP_NUM_THREADS"] = "1"
    os.environ |= MALLOC_SETTINGS
    rendezvous = directory / "rendezvous"
    rendezvous.unlink(missing_ok=True)
    arguments = (make, schedule, directory, workers)
    spawn(_work, arguments, nprocs=workers)


def _work(
    rank: int, make: Callable[[], Stage[Batch]], schedule: Schedule, directory: Path, workers: int
) -> None:
    torch.set_num_threads(1)
    rendezvous = f"file://{(directory / 'rendezvous').resolve()}"
    dist.init_process_group("gloo", init_method=rendezvous, rank=rank, world_size=workers)
    stage = make()
    module = stage.trained()
    parameters = [p for p in module.parameters() if p.requires_grad]
    optimizers = _optimizers(module)
    start = _resume(directory / "last.pt", module, optimizers)
    report = _Report(stage.name, schedule.steps, start, quiet=rank != 0)
    for step in range(start, schedule.steps):
        batch = stage.batch(Random(f"{SEED}-{stage.name}-{rank}-{step}"), step)
        loss, figures = stage.loss(batch, step)
        loss.backward()
        _average_gradients(parameters, workers)
        nn.utils.clip_grad_norm_(parameters, 1.0)
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = schedule.rate(step) * group["rate_factor"]
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        report.add(step, loss.item(), figures)
        if rank == 0 and ((step + 1) % SAVE_EVERY == 0 or step + 1 == schedule.steps):
            _save(directory / "last.pt", module, optimizers, step + 1)
    dist.destroy_process_group()


def _average_gradients(parameters: list[nn.Parameter], workers: int) -> None:
    """Average the gradients of all processes. An unused parameter, as of an expert not chosen, counts as zero."""
    if workers == 1:
        return
    flat = torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in parameters])
    dist.all_reduce(flat)
    flat /= workers
    offset = 0
    for p in parameters:
        p.grad = flat[offset : offset + p.numel()].view_as(p)
        offset += p.numel()


def _optimizers(module: nn.Module) -> list[torch.optim.Optimizer]:
    """Muon for hidden matrices; AdamW for vectors, embeddings, read-outs and convolutions."""
    inside: list[nn.Parameter] = []
    outside: list[nn.Parameter] = []
    heads: list[nn.Parameter] = []
    plain: list[nn.Parameter] = []
    for name, parameter in module.named_parameters():
        if not parameter.requires_grad:
            continue
        if name.startswith(HEADS):
            heads.append(parameter)
            continue
        is_matrix = parameter.ndim == 2 and not any(part in name for part in NOT_FOR_MUON)
        (inside if is_matrix else outside if parameter.ndim > 1 else plain).append(parameter)
    muon = Muon([{"params": inside, "rate_factor": MUON_FACTOR}], weight_decay=0.2)
    groups = [
        {"params": outside, "weight_decay": 0.02, "rate_factor": 1.0},
        {"params": heads, "weight_decay": 0.02, "rate_factor": HEAD_FACTOR},
        {"params": plain, "weight_decay": 0.0, "rate_factor": 1.0},
    ]
    return [muon, torch.optim.AdamW(groups, betas=(0.9, 0.95), eps=1e-8)]


def _save(path: Path, module: nn.Module, optimizers: list[torch.optim.Optimizer], step: int) -> None:
    state = {
        "module": module.state_dict(), "optimizers": [o.state_dict() for o in optimizers], "step": step
    }  # fmt: skip
    torch.save(state, path.with_suffix(".new"))
    path.with_suffix(".new").rename(path)


def _resume(path: Path, module: nn.Module, optimizers: list[torch.optim.Optimizer]) -> int:
    if not path.exists():
        return 0
    state = torch.load(path, weights_only=True)
    module.load_state_dict(state["module"])
    for optimizer, saved in zip(optimizers, state["optimizers"], strict=True):
        optimizer.load_state_dict(saved)
    return int(state["step"])


class _Report:
    """Prints a line every twenty steps: averages, speed, remaining time."""

    def __init__(self, name: str, steps: int, start: int, *, quiet: bool) -> None:
        self.name, self.steps, self.quiet = name, steps, quiet
        self.console = Console(stderr=True, width=200)
        self.began, self.start = time.monotonic(), start
        self.sums: dict[str, list[float]] = {}

    def add(self, step: int, loss: float, figures: dict[str, float]) -> None:
        if self.quiet:
            return
        for key, value in {"loss": loss, **figures}.items():
            if not math.isnan(value):
                self.sums.setdefault(key, []).append(value)
        if (step + 1) % 20:
            return
        per_step = (time.monotonic() - self.began) / (step + 1 - self.start)
        left = per_step * (self.steps - step - 1) / 60
        text = "  ".join(f"{k} {sum(v) / len(v):.3f}" for k, v in self.sums.items())
        self.console.print(
            f"{self.name} {step + 1}/{self.steps}  {per_step:.2f} s/step  {left:.0f} min left  {text}",
            highlight=False,
        )
        self.sums.clear()
