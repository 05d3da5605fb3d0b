"""Every number on the way from a clip and a question to an answer, to be held against other programs'."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from omnireel.backends.base import Ask
from omnireel.backends.thread_work import Report
from omnireel.engine.engine import Engine, EngineConfig
from omnireel.engine.request import Request
from omnireel.prompting.preparation import Preparation

_CHUNK = 512


@dataclass(frozen=True, eq=False)
class Trace:
    """Names as in the file.

    frame_indices [F] int64, frame_times_s [F] fp64: chosen source frames
    pixels [n, T·3, H, W] fp32:    as the encoder gets them
    vision_tokens [n, t, D] fp32:  after the projector, before pruning; t in row-major order
    kept [n, t] bool
    audio_tokens [A, D] fp32:      only where sound was heard
    input_ids [S] int64:           after pruning, placeholders included
    prompt_logits [S, V] fp32
    output_ids [N] int64:          the likeliest at every step, the stop token included
    """

    frame_indices: Tensor
    frame_times_s: Tensor
    pixels: Tensor
    vision_tokens: Tensor
    kept: Tensor
    audio_tokens: Tensor | None
    input_ids: Tensor
    prompt_logits: Tensor
    output_ids: Tensor


@torch.inference_mode()
def trace(preparation: Preparation, ask: Ask, report: Report) -> Trace:
    """Answer `ask` as it stands, with temperature 0 for a greedy trace. Raises InputError as `prepare`."""
    pixels: list[Tensor] = []
    prepared = preparation.prepare(ask, report, see_pixels=pixels.append)
    stop_ids = frozenset(preparation.tokenizer.stop_ids)
    request = Request(0, prepared.embeddings, ask.sampling, stop_ids, preparation.thinking_limit(ask))
    return Trace(
        frame_indices=torch.tensor(prepared.video.frame_indices),
        frame_times_s=torch.tensor(prepared.video.frame_times_s, dtype=torch.float64),
        pixels=torch.cat(pixels).float(),
        vision_tokens=prepared.vision_tokens.flatten(1, 2).float(),
        kept=prepared.kept.flatten(1),
        audio_tokens=prepared.sound_tokens.float() if len(prepared.sound_tokens) else None,
        input_ids=torch.tensor(prepared.prompt.ids),
        prompt_logits=torch.cat(list(_logits(preparation, prepared.embeddings))),
        output_ids=torch.tensor(list(_output_ids(preparation, request))),
    )


def _logits(preparation: Preparation, embeddings: Tensor) -> Iterator[Tensor]:
    model = preparation.model
    state = model.new_state(capacity=len(embeddings))
    for chunk in embeddings.split(_CHUNK):
        yield model.logits(model.forward_hidden(chunk[None], state)[0]).float()


def _output_ids(preparation: Preparation, request: Request) -> Iterator[int]:
    engine = Engine(preparation.model, EngineConfig(preparation.max_context, prefill_chunk=_CHUNK))
    engine.add(request)
    while not engine.is_idle:
        for event in engine.step():
            if event.error is not None:
                raise event.error
            if event.token_id is not None:
                yield event.token_id
