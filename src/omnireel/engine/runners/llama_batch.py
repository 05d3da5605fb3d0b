"""Splits the segments of a forward pass into calls of libllama, and fills the arrays of one call."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from omnireel.engine.runner import Outcome, Segment, Wanted


@dataclass(eq=False)
class Progress:
    """A segment in the middle of a forward pass.

    done:   positions that are computed
    logits: [n, V] of each call that gave some
    """

    segment: Segment
    done: int = 0
    logits: list[Tensor] = field(default_factory=list)
    error: Exception | None = None

    @property
    def is_finished(self) -> bool:
        """Whether there is nothing left to compute."""
        return self.error is not None or self.done == len(self.segment.ids)

    def outcome(self) -> Outcome:
        """What the pass gave for the segment."""
        if self.error is not None:
            return Outcome(error=self.error)
        return Outcome(torch.cat(self.logits) if self.logits else None)


@dataclass(frozen=True, eq=False)
class Part:
    """The next `length` positions of a segment, for one call."""

    progress: Progress
    length: int

    @property
    def segment(self) -> Segment:
        """The whole segment."""
        return self.progress.segment

    @property
    def start(self) -> int:
        """The first position in its sequence."""
        return self.segment.start + self.progress.done

    @property
    def end(self) -> int:
        """The position after the last one."""
        return self.start + self.length

    @property
    def ids(self) -> Sequence[int]:
        """The ids of these positions."""
        done = self.progress.done
        return self.segment.ids[done : done + self.length]

    def wanted(self) -> NDArray[np.int8]:
        """1 at each position whose logits are returned."""
        flags = np.full(self.length, self.segment.wanted is Wanted.all, np.int8)
        if self.segment.wanted is Wanted.last and self.end == self.segment.end:
            flags[-1] = 1
        return flags


def next_parts(group: Sequence[Progress], *, max_positions: int, max_outputs: int) -> list[Part]:
    """The next positions of as many segments as fit into one call; empty where all are finished.

    max_outputs: positions whose logits are returned
    """
    parts = []
    for progress in group:
        is_all = progress.segment.wanted is Wanted.all
        most = min(max_positions, max_outputs if is_all else max_positions)
        length = min(len(progress.segment.ids) - progress.done, most)
        if progress.is_finished or not length or not max_outputs:
            continue
        parts.append(Part(progress, length))
        max_positions -= length
        max_outputs -= length if is_all else 1
    return parts


def arrays(parts: Sequence[Part], embeddings: Tensor | None) -> dict[str, NDArray[Any]]:
    """The arrays of `llama_batch` by the names of its fields, and `slots`, into which `seq_id` points.

    embeddings: [n, D] fp32 of all positions; None: the batch has ids
    """
    lengths = [part.length for part in parts]
    slots = np.repeat(np.array([part.segment.slot for part in parts], np.int32), lengths)
    made: dict[str, NDArray[Any]] = {
        "pos": np.concatenate([np.arange(part.start, part.end, dtype=np.int32) for part in parts]),
        "n_seq_id": np.ones(len(slots), np.int32),
        "seq_id": slots.ctypes.data + slots.itemsize * np.arange(len(slots), dtype=np.uint64),
        "logits": np.concatenate([part.wanted() for part in parts]),
        "slots": slots,
    }
    if embeddings is None:
        made["token"] = np.concatenate([np.array(part.ids, np.int32) for part in parts])
    else:
        made["embd"] = np.ascontiguousarray(embeddings.numpy())
    return made


def point_to(batch: Any, filled: Mapping[str, NDArray[Any]]) -> None:  # noqa: ANN401 - a struct of the library
    """Let the struct `llama_batch` point to these arrays, which have to live as long as it is used."""
    batch.n_tokens = len(filled["pos"])
    for name, kind in batch._fields_:
        if name in filled:
            setattr(batch, name, ctypes.cast(filled[name].ctypes.data, kind))
