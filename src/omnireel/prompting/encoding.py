"""A task and its clip become what the language model reads: ids, vision and sound tokens. Needs the model's weights."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from omnireel.engine.rates import Rates
from omnireel.engine.request import MediaSpan
from omnireel.engine.runner import Rows
from omnireel.model.checkpoint.encoders import load_encoders
from omnireel.model.checkpoint.load import load_checkpoint
from omnireel.model.config import VisionConfig
from omnireel.model.omni import Encoders
from omnireel.model.out_of_memory import as_out_of_memory
from omnireel.model.token_counts import SAMPLE_RATE
from omnireel.model.vision.prune import keep_mask
from omnireel.prompting.clip import (
    FramesRead,
    clip_progress,
    frame_progress,
    video_facts,
    warning_progress,
    with_sound,
)
from omnireel.prompting.counts import AudioInput, TokenCounter
from omnireel.prompting.expected import expected_progress, expected_time, remaining_text
from omnireel.prompting.layout import Prompt
from omnireel.task import Progress, Report, Task, VideoFacts
from omnireel.video.limits import VideoLimits
from omnireel.video.reader.frames import ClipReader
from omnireel.video.tubelets import PixelSpec, tubelet_batches

# Of the matrix products of one batch: two tubelets of the published tower at its usual number of patches.
_MAX_OPERATIONS = 2_600_000_000_000

OnPixels = Callable[[Tensor], None]


@dataclass(frozen=True, eq=False)
class EncodedPrompt:
    """A task's prompt, ready for the engine.

    video:         facts of the clip
    vision_tokens: [n, h, w, D], before pruning
    kept:          bool [n, h, w]
    sound_tokens:  [A, D]; A is 0 where no sound is used
    prompt:        laid out around the kept tokens
    media:         the spans of the prompt with the tokens that fill them
    """

    video: VideoFacts
    vision_tokens: Tensor
    kept: Tensor
    sound_tokens: Tensor
    prompt: Prompt
    media: tuple[MediaSpan, ...]


class PromptEncoder:
    """The stages before the engine, with one model. Blocks; may be used by one thread at a time.

    counter:      of the same checkpoint
    rates:        measured speeds; the engine of the same checkpoint adds its own
    max_tubelets: most encoded at once, fewer where the tower is large; limits the memory used and how long a
                  cancelled task keeps running
    """

    def __init__(self, model: Encoders, counter: TokenCounter, *, max_tubelets: int = 8) -> None:
        self.model = model
        self.counter = counter
        self.rates = Rates()
        self._max_tubelets = max_tubelets
        self._pixel_spec = _pixel_spec(model)
        # Clips are decoded at the same time and encoded in turn: each batch uses all processors.
        self._encoding = threading.Lock()

    @classmethod
    def load(
        cls,
        directory: Path,
        *,
        dtype: torch.dtype,
        limits: VideoLimits | None = None,
        max_context: int | None = None,
    ) -> PromptEncoder:
        """Read a checkpoint's directory. Raises CheckpointError.

        limits:      what a clip may be
        max_context: most tokens of prompt and answer together, where that is less than the model's own limit
        """
        counter = TokenCounter.from_directory(directory, limits=limits, max_context=max_context)
        return cls(load_checkpoint(directory, dtype), counter)

    @classmethod
    def load_without_language(
        cls, directory: Path, *, dtype: torch.dtype, limits: VideoLimits | None, max_context: int | None
    ) -> PromptEncoder:
        """Read only the encoders of a checkpoint's directory: its language model is in a GGUF. As `load`."""
        counter = TokenCounter.from_directory(directory, limits=limits, max_context=max_context)
        return cls(load_encoders(directory, dtype), counter)

    @torch.inference_mode()
    def encode(
        self, task: Task, files: Sequence[Path], report: Report, *, on_pixels: OnPixels | None = None
    ) -> EncodedPrompt:
        """Clip → vision tokens → kept tokens → prompt and what fills its spans.

        on_pixels: called with each batch of tubelets as the vision encoder gets it, [n, T·3, H, W] fp32
        Raises InputError where the task cannot be done, before its first frame is encoded where possible, and
        GenerationError(out_of_memory).
        """
        try:
            return self._encode(task, files, report, on_pixels)
        except (MemoryError, RuntimeError) as error:
            named = as_out_of_memory(error)
            if named is None:
                raise
            raise named from error

    def _encode(
        self, task: Task, files: Sequence[Path], report: Report, on_pixels: OnPixels | None
    ) -> EncodedPrompt:
        self.counter.check_length(task)
        frames = FramesRead()
        with self.counter.open_clip(task, files) as clip:
            report(clip_progress(clip.facts))
            audio = self.counter.read_audio(task, clip)
            counted = self.counter.count(task, clip.facts, audio)
            report(expected_progress(expected_time(counted, self.rates)))
            sound_tokens = self._encode_sound(audio, report)
            batches = self._encode_frames(task, clip, frames, report, on_pixels=on_pixels)
            vision_tokens = torch.cat(list(batches))  # [n, h, w, D]
            for warning in warning_progress(clip.facts):
                report(warning)
        kept = keep_mask(vision_tokens, self.counter.pruning_rate(task))  # [n, h, w]
        report(_pruning_progress(kept))
        per_tubelet = kept.flatten(1).sum(1).tolist()
        prompt = self.counter.lay_out(
            task, clip.facts.source_fps, frames.indices, per_tubelet, num_sound_tokens=len(sound_tokens)
        )
        video = video_facts(
            clip.facts,
            frames,
            num_vision_tokens=kept.numel(),
            num_kept_tokens=sum(per_tubelet),
            num_kept_per_tubelet=per_tubelet,
        )
        video = with_sound(video, audio.use, len(sound_tokens))
        media = _media(prompt, vision_tokens[kept], sound_tokens)
        return EncodedPrompt(video, vision_tokens, kept, sound_tokens, prompt, media)

    def _encode_sound(self, audio: AudioInput, report: Report) -> Tensor:
        if audio.samples is None:
            return torch.zeros(0, self.model.config.language.hidden_size, dtype=self.model.dtype)
        with self._encoding:
            tokens = self.model.encode_sound(torch.from_numpy(audio.samples))
        seconds = len(audio.samples) / SAMPLE_RATE
        report(Progress("encoding", f"{seconds:.1f} s of sound encoded: {len(tokens)} tokens"))
        return tokens

    def _encode_frames(
        self, task: Task, clip: ClipReader, frames: FramesRead, report: Report, *, on_pixels: OnPixels | None
    ) -> Iterator[Tensor]:
        rows, cols = self.counter.patch_grid(clip.facts, task.media.detail)
        pictures = _read_frames(clip, frames, report)
        num_tubelets = -(-len(clip.facts.indices) // self._pixel_spec.temporal_patch_size)
        num_encoded = 0
        max_tubelets = min(self._max_tubelets, _most_at_once(self.model.config.vision, rows * cols))
        for batch in tubelet_batches(pictures, rows, cols, self._pixel_spec, max_tubelets=max_tubelets):
            if on_pixels is not None:
                on_pixels(batch.repeated(batch.pixels))
            yield batch.repeated(self._encode_batch(batch.pixels))
            num_encoded += sum(batch.repeats)
            num_left = num_tubelets - num_encoded
            left = remaining_text(self.rates.vision.seconds_for(num_left * rows * cols))
            message = f"{num_encoded} of {num_tubelets} tubelets encoded{left}"
            report(Progress("encoding", message, num_encoded / num_tubelets))

    def _encode_batch(self, tubelets: Tensor) -> Tensor:
        """Vision tokens of [n, T·3, H, W]; adds the time to the rates."""
        num_patches = tubelets.shape[2] * tubelets.shape[3] // self._pixel_spec.patch_size**2
        with self._encoding:
            started = time.perf_counter()
            tokens = self.model.encode_video(tubelets)
            self.rates.vision.add(len(tubelets) * num_patches, time.perf_counter() - started)
        return tokens


def _most_at_once(vision: VisionConfig, num_patches: int) -> int:
    """Tubelets of so many patches in one batch, at least one.

    Batches make a small tower faster and a large one hardly, whose batches take seconds (docs/log.md, 2026-11-30).
    """
    per_patch = 4 * vision.num_layers * vision.width * (2 * vision.width + vision.mlp_width)
    return max(1, _MAX_OPERATIONS // (per_patch * num_patches))


def _media(prompt: Prompt, kept: Tensor, sound_tokens: Tensor) -> tuple[MediaSpan, ...]:
    """Each span of the prompt with its tokens; a tubelet without kept tokens has none.

    kept: [K, D]; sound_tokens: [A, D]
    """
    lengths = [length for _, length in prompt.spans]
    assert sum(lengths) == len(kept), "prompt layout and kept tokens disagree"
    filled = [*zip(prompt.spans, kept.split(lengths), strict=True), (prompt.sound_span, sound_tokens)]
    return tuple(_media_span(start, tokens) for (start, length), tokens in filled if length)


def _media_span(start: int, tokens: Tensor) -> MediaSpan:
    content = tokens.contiguous().view(torch.uint8).numpy().data
    return MediaSpan(Rows(start, tokens), hashlib.sha256(content).hexdigest())


def _read_frames(clip: ClipReader, frames: FramesRead, report: Report) -> Iterator[NDArray[np.uint8]]:
    for frame in clip.read_frames():
        frames.add(frame)
        report(frame_progress(frames, clip.facts))
        yield frame.rgb


def _pruning_progress(kept: Tensor) -> Progress:
    before, after = kept.numel(), int(kept.sum())
    return Progress("vision tokens", f"{before} vision tokens, {after} kept where the picture changes")


def _pixel_spec(model: Encoders) -> PixelSpec:
    vision = model.config.vision
    return PixelSpec(
        target_patches=vision.target_patches,
        patch_size=vision.patch_size,
        temporal_patch_size=vision.temporal_patch_size,
        mean=model.config.norm_mean,
        std=model.config.norm_std,
    )
