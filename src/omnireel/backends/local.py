"""The one path, from a clip and a prompt to an answer, on this machine.

Clips are read and encoded in a worker thread, one at a time; the engine thread steps; the event loop passes
on what they report. Read `LocalBackend.generate` first, then `_prepare`.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncGenerator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from omnireel.backends.answer_clock import AnswerClock
from omnireel.backends.base import Answer, Ask, Delta, Event, Health, Inspection, Progress, VideoFacts
from omnireel.backends.clip import (
    FramesSeen,
    MediaDefaults,
    frame_note,
    frames_planned,
    opening_note,
    video_facts,
    warning_notes,
)
from omnireel.backends.engine_thread import EngineThread
from omnireel.backends.worker import Mailbox, Report, Work
from omnireel.engine.engine import Engine, EngineConfig, TokenEvent
from omnireel.engine.request import FinishReason, Request, check_prompt_fits
from omnireel.errors import CheckpointError, GenerationError, InputError
from omnireel.model.checkpoint import load_checkpoint
from omnireel.model.omni import Omni
from omnireel.model.prune import keep_mask, num_kept
from omnireel.text.answer import AnswerText
from omnireel.text.chat import ChatTemplate, video_messages
from omnireel.text.prompt import IMAGE, Prompt, lay_out_prompt, max_label_tokens, time_labels
from omnireel.text.tokenizer import Tokenizer
from omnireel.video import sandbox
from omnireel.video.frames import ClipFacts, ClipReader, open_clip
from omnireel.video.limits import VideoLimits
from omnireel.video.tubelets import PixelRule, most_patches, target_grid, tubelet_batches


@dataclass(frozen=True)
class LocalOptions:
    """What a request that does not say gets, and what it may not exceed.

    max_tubelets: encoded at once; like prefill_chunk it bounds memory and how late an abort is heard
    """

    media: MediaDefaults = field(default_factory=MediaDefaults)
    limits: VideoLimits = field(default_factory=VideoLimits)
    max_tubelets: int = 8
    prefill_chunk: int = 512


@dataclass(frozen=True, eq=False)
class Prepared:
    """A request ready for the engine, and what its clip showed."""

    request: Request
    video: VideoFacts


class LocalBackend:
    """One checkpoint in this process.

    model_name: as people know it, such as "demo"
    """

    name = "local"

    def __init__(
        self,
        model: Omni,
        tokenizer: Tokenizer,
        template: ChatTemplate,
        *,
        model_name: str,
        options: LocalOptions | None = None,
    ) -> None:
        if tokenizer.id_of(IMAGE) != model.config.image_token_id:
            raise CheckpointError(f"config.json and the tokenizer disagree on the id of {IMAGE}")
        self._model = model
        self._tokenizer = tokenizer
        self._template = template
        self._model_name = model_name
        self._options = options or LocalOptions()
        self._pixel_rule = _pixel_rule(model)
        self._max_context = model.config.language.max_positions
        config = EngineConfig(self._max_context, prefill_chunk=self._options.prefill_chunk)
        self._engine = EngineThread(Engine(model, config))
        self._worker = ThreadPoolExecutor(1, "clip")
        self._sequence_ids = itertools.count()

    @classmethod
    def load(
        cls, directory: Path, *, dtype: torch.dtype, options: LocalOptions | None = None
    ) -> LocalBackend:
        """Read a checkpoint's directory, whose name becomes the model's. Raises CheckpointError."""
        tokenizer = Tokenizer.from_directory(directory)
        template = ChatTemplate.from_directory(directory)
        model = load_checkpoint(directory, dtype)
        return cls(model, tokenizer, template, model_name=directory.name, options=options)

    async def generate(self, ask: Ask) -> AsyncGenerator[Event, None]:
        """See Backend.generate."""
        with Work(self._worker, partial(self._prepare, ask)) as work:
            async for note in work:
                yield note
            prepared = await work.result()
        async with aclosing(self._answer(prepared, thinking=ask.thinking)) as events:
            async for event in events:
                yield event

    async def inspect(self, ask: Ask) -> Inspection:
        """See Backend.inspect."""
        with Work(self._worker, partial(self._inspect, ask)) as work:
            return await work.result()

    def most_tokens(self, ask: Ask) -> int:
        """See Backend.most_tokens."""
        rule, options = self._pixel_rule, self._options
        max_frames = options.media.sampling(ask.media).max_frames or options.limits.max_num_packets
        num_tubelets = -(-max_frames // rule.temporal_patch_size)
        most_tokens = most_patches(rule.target_patches, options.limits) // 4
        vision = num_kept(num_tubelets, most_tokens, options.media.rate(ask.media))
        labels = num_tubelets * max_label_tokens(rule.temporal_patch_size)
        text = len(self._lay_out(ask, (), 1.0, []).ids)
        return min(text + labels + vision + ask.sampling.max_tokens, self._max_context)

    async def health(self) -> Health:
        """See Backend.health."""
        detail = None if self._engine.is_alive else "the engine has stopped"
        return Health(
            is_ready=self._engine.is_alive,
            model=self._model_name,
            detail=detail,
            sandbox_misses=sandbox.missing(),
        )

    async def close(self) -> None:
        """See Backend.close."""
        self._worker.shutdown(wait=False, cancel_futures=True)
        await asyncio.to_thread(self._engine.close)

    @torch.inference_mode()
    def _prepare(self, ask: Ask, report: Report) -> Prepared:
        """In the worker thread: clip → vision tokens → kept tokens → prompt → embeddings."""
        seen = FramesSeen()
        with open_clip(ask.video, self._options.media.sampling(ask.media), self._options.limits) as clip:
            report(opening_note(clip.facts))
            self._plan(ask, clip.facts)
            tokens = self._encode(clip, seen, report)  # [n, h, w, D]
            for note in warning_notes(clip.facts):
                report(note)
        kept = keep_mask(tokens, self._options.media.rate(ask.media))  # [n, h, w]
        report(_pruning_note(kept))
        prompt = self._lay_out(ask, seen.indices, clip.facts.source_fps, kept.flatten(1).sum(1).tolist())
        video = video_facts(clip.facts, seen, num_vision_tokens=kept.numel(), num_kept_tokens=int(kept.sum()))
        return Prepared(self._request(ask, prompt, tokens[kept]), video)

    def _inspect(self, ask: Ask, _: Report) -> Inspection:
        with open_clip(ask.video, self._options.media.sampling(ask.media), self._options.limits) as clip:
            return self._plan(ask, clip.facts)

    def _plan(self, ask: Ask, clip: ClipFacts) -> Inspection:
        """The cost of an ask, before anything is encoded; raises InputError(sequence_too_long)."""
        rows, cols = target_grid(clip.width, clip.height, self._pixel_rule.target_patches)
        num_tubelets = -(-len(clip.indices) // self._pixel_rule.temporal_patch_size)
        per_tubelet = rows // 2 * (cols // 2)
        num_tokens = num_kept(num_tubelets, per_tubelet, self._options.media.rate(ask.media))
        # Which tubelet a token is kept in does not change the length.
        counts = [num_tokens] + [0] * (num_tubelets - 1)
        num_input_tokens = len(self._lay_out(ask, clip.indices, clip.source_fps, counts).ids)
        check_prompt_fits(num_input_tokens, self._max_context)
        video = video_facts(
            clip,
            frames_planned(clip),
            num_vision_tokens=num_tubelets * per_tubelet,
            num_kept_tokens=num_tokens,
        )
        return Inspection(video, num_input_tokens, self._max_context)

    def _encode(self, clip: ClipReader, seen: FramesSeen, report: Report) -> Tensor:
        rule = self._pixel_rule
        rows, cols = target_grid(clip.facts.width, clip.facts.height, rule.target_patches)
        frames = _watched(clip, seen, report)
        batches = []
        for tubelets in tubelet_batches(frames, rows, cols, rule, max_tubelets=self._options.max_tubelets):
            batches.append(self._model.encode_video(tubelets))
            share = len(seen.indices) / len(clip.facts.indices)
            report(Progress("encoding", f"{share:.0%} of the frames encoded", share))
        return torch.cat(batches)

    def _lay_out(self, ask: Ask, indices: Sequence[int], source_fps: float, num_kept: list[int]) -> Prompt:
        messages = video_messages(ask.prompt, system_prompt=ask.system_prompt, thinking=ask.thinking)
        pieces = self._template.render(messages, enable_thinking=ask.thinking)
        labels = time_labels(indices, source_fps, self._pixel_rule.temporal_patch_size)
        return lay_out_prompt(pieces, labels, num_kept, self._tokenizer)

    def _request(self, ask: Ask, prompt: Prompt, kept: Tensor) -> Request:
        is_vision = torch.zeros(len(prompt.ids), dtype=torch.bool)
        for start, length in prompt.spans:
            is_vision[start : start + length] = True
        embeddings = self._model.embed_prompt(torch.tensor(prompt.ids), kept, is_vision)
        sequence_id = next(self._sequence_ids)
        return Request(sequence_id, embeddings, ask.sampling, frozenset(self._tokenizer.stop_ids))

    async def _answer(self, prepared: Prepared, *, thinking: bool) -> AsyncGenerator[Event, None]:
        request = prepared.request
        events: Mailbox[TokenEvent] = Mailbox()
        text = AnswerText(self._tokenizer, thinking=thinking)
        clock = AnswerClock(request.num_prompt_tokens)
        self._engine.submit(request, events.post)
        finish_reason: FinishReason | None = None
        try:
            while finish_reason is None:
                event = await events.get()
                finish_reason = event.finish_reason
                _raise_failure(event)
                if note := clock.token():
                    yield note
                if delta := _delta(text, event):
                    yield Delta(delta)
        finally:
            self._engine.abort(request.id)
        yield clock.done()
        yield Answer(
            output=text.output,
            reasoning=text.reasoning,
            finish_reason=finish_reason,
            input_tokens=request.num_prompt_tokens,
            output_tokens=clock.num_tokens,
            video=prepared.video,
        )


def _delta(text: AnswerText, event: TokenEvent) -> str:
    delta = ""
    if event.token_id is not None and event.finish_reason != FinishReason.stop:
        delta = text.push(event.token_id)
    return delta if event.finish_reason is None else delta + text.finish()


def _raise_failure(event: TokenEvent) -> None:
    if isinstance(event.error, InputError):
        raise event.error
    if event.error is not None:
        message = "the model failed while it was answering"
        raise GenerationError(message, kind="internal_server_error", status=500) from event.error


def _watched(clip: ClipReader, seen: FramesSeen, report: Report) -> Iterator[NDArray[np.uint8]]:
    for frame in clip.read_frames():
        seen.add(frame)
        report(frame_note(seen, clip.facts))
        yield frame.rgb


def _pruning_note(kept: Tensor) -> Progress:
    before, after = kept.numel(), int(kept.sum())
    return Progress("vision tokens", f"{before} vision tokens, {after} kept where the picture changes")


def _pixel_rule(model: Omni) -> PixelRule:
    vision = model.config.vision
    return PixelRule(
        target_patches=vision.target_patches,
        patch_size=vision.patch_size,
        temporal_patch_size=vision.temporal_patch_size,
        mean=model.config.norm_mean,
        std=model.config.norm_std,
    )
