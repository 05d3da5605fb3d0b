"""The intermediate numbers of one answer, for comparison with other implementations of the model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from omnireel.engine.engine import Engine, EngineConfig
from omnireel.engine.request import Request
from omnireel.engine.runner import Runner, Wanted
from omnireel.prompting.encoding import PromptEncoder
from omnireel.prompting.engine_request import engine_request
from omnireel.task import Report, Task

_CHUNK = 512


@dataclass(frozen=True, eq=False)
class Trace:
    """The fields have the names of the tensors in the file.

    frame_indices [F] int64, frame_times_s [F] fp64: chosen source frames
    pixels [n, T·3, H, W] fp32:    as the vision encoder gets them
    vision_tokens [n, t, D] fp32:  after the projector, before pruning; t in row-major order
    kept [n, t] bool:              which vision tokens are left after pruning
    audio_tokens [A, D] fp32:      None where no sound was used
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
def trace(encoder: PromptEncoder, runner: Runner, task: Task, files: Sequence[Path], report: Report) -> Trace:
    """Answer the task and keep the numbers. A temperature of 0 in the task makes the trace greedy.

    Raises InputError as `PromptEncoder.encode`.
    """
    pixels: list[Tensor] = []
    encoded = encoder.encode(task, files, report, on_pixels=pixels.append)
    request = engine_request(0, task, encoded, encoder.counter.tokenizer)
    return Trace(
        frame_indices=torch.tensor(encoded.video.frame_indices),
        frame_times_s=torch.tensor(encoded.video.frame_times_s, dtype=torch.float64),
        pixels=torch.cat(pixels).float(),
        vision_tokens=encoded.vision_tokens.flatten(1, 2).float(),
        kept=encoded.kept.flatten(1),
        audio_tokens=encoded.sound_tokens.float() if len(encoded.sound_tokens) else None,
        input_ids=torch.tensor(encoded.prompt.ids),
        prompt_logits=torch.cat(list(_logits(runner, request))),
        output_ids=torch.tensor(list(_output_ids(runner, request))),
    )


def _logits(runner: Runner, request: Request) -> Iterator[Tensor]:
    for start in range(0, request.num_prompt_tokens, _CHUNK):
        end = min(start + _CHUNK, request.num_prompt_tokens)
        (outcome,) = runner.forward([request.segment(0, start, end, wanted=Wanted.all)])
        if outcome.error is not None:
            raise outcome.error
        assert outcome.logits is not None, "all were wanted"
        yield outcome.logits
    runner.clear(0)


def _output_ids(runner: Runner, request: Request) -> Iterator[int]:
    engine = Engine(runner, EngineConfig(prefill_chunk=_CHUNK))
    engine.add(request)
    while not engine.is_idle:
        for event in engine.step():
            if event.error is not None:
                raise event.error
            if event.token_id is not None:
                yield event.token_id
