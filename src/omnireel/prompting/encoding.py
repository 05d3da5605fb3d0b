"""A task and its clip become the embeddings that the language model reads. Needs the model's weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from omnireel.model.checkpoint.load import load_checkpoint
from omnireel.model.omni import Omni
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
from omnireel.prompting.layout import Prompt
from omnireel.task import Progress, Report, Task, VideoFacts
from omnireel.video.limits import VideoLimits
from omnireel.video.reader.frames import ClipReader
from omnireel.video.tubelets import PixelSpec, tubelet_batches

OnPixels = Callable[[Tensor], None]


@dataclass(frozen=True, eq=False)
class EncodedPrompt:
    """A task's prompt, ready for the engine.

    video:         facts of the clip
    vision_tokens: [n, h, w, D], before pruning
    kept:          bool [n, h, w]
    sound_tokens:  [A, D]; A is 0 where no sound is used
    prompt:        laid out around the kept tokens
    embeddings:    [S, D], what the language model reads
    """

    video: VideoFacts
    vision_tokens: Tensor
    kept: Tensor
    sound_tokens: Tensor
    prompt: Prompt
    embeddings: Tensor


class PromptEncoder:
    """The stages before the engine, with one model. Blocks; may be used by one thread at a time.

    counter:      of the same checkpoint
    max_tubelets: encoded at once; limits the memory used and how long a cancelled task keeps running
    """

    def __init__(self, model: Omni, counter: TokenCounter, *, max_tubelets: int = 8) -> None:
        self.model = model
        self.counter = counter
        self._max_tubelets = max_tubelets
        self._pixel_spec = _pixel_spec(model)

    @classmethod
    def load(cls, directory: Path, *, dtype: torch.dtype, limits: VideoLimits | None = None) -> PromptEncoder:
        """Read a checkpoint's directory; limits: what a clip may be. Raises CheckpointError."""
        counter = TokenCounter.from_directory(directory, limits=limits)
        return cls(load_checkpoint(directory, dtype), counter)

    @torch.inference_mode()
    def encode(
        self, task: Task, files: Sequence[Path], report: Report, *, on_pixels: OnPixels | None = None
    ) -> EncodedPrompt:
        """Clip → vision tokens → kept tokens → prompt → embeddings.

        on_pixels: called with each batch of tubelets as the vision encoder gets it, [n, T·3, H, W] fp32
        Raises InputError where the task cannot be done, before its first frame is encoded where possible.
        """
        self.counter.check_length(task)
        frames = FramesRead()
        with self.counter.open_clip(task, files) as clip:
            report(clip_progress(clip.facts))
            audio = self.counter.read_audio(task, clip)
            self.counter.count(task, clip.facts, audio)
            sound_tokens = self._encode_sound(audio, report)
            batches = self._encode_frames(clip, frames, report, on_pixels)
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
        embeddings = self._embed(prompt, vision_tokens[kept], sound_tokens)
        return EncodedPrompt(video, vision_tokens, kept, sound_tokens, prompt, embeddings)

    def _encode_sound(self, audio: AudioInput, report: Report) -> Tensor:
        if audio.samples is None:
            return torch.zeros(0, self.model.config.language.hidden_size, dtype=self.model.dtype)
        tokens = self.model.encode_sound(torch.from_numpy(audio.samples))
        seconds = len(audio.samples) / SAMPLE_RATE
        report(Progress("encoding", f"{seconds:.1f} s of sound encoded: {len(tokens)} tokens"))
        return tokens

    def _encode_frames(
        self, clip: ClipReader, frames: FramesRead, report: Report, on_pixels: OnPixels | None
    ) -> Iterator[Tensor]:
        rows, cols = self.counter.patch_grid(clip.facts)
        pictures = _read_frames(clip, frames, report)
        for tubelets in tubelet_batches(
            pictures, rows, cols, self._pixel_spec, max_tubelets=self._max_tubelets
        ):
            if on_pixels is not None:
                on_pixels(tubelets)
            yield self.model.encode_video(tubelets)
            share = len(frames.indices) / len(clip.facts.indices)
            report(Progress("encoding", f"{share:.0%} of the frames encoded", share))

    def _embed(self, prompt: Prompt, kept: Tensor, sound_tokens: Tensor) -> Tensor:
        is_vision = torch.zeros(len(prompt.ids), dtype=torch.bool)
        for start, length in prompt.spans:
            is_vision[start : start + length] = True
        embeddings = self.model.embed_prompt(torch.tensor(prompt.ids), kept, is_vision)
        start, length = prompt.sound_span
        embeddings[start : start + length] = sound_tokens.to(embeddings.dtype)
        return embeddings


def _read_frames(clip: ClipReader, frames: FramesRead, report: Report) -> Iterator[NDArray[np.uint8]]:
    for frame in clip.read_frames():
        frames.add(frame)
        report(frame_progress(frames, clip.facts))
        yield frame.rgb


def _pruning_progress(kept: Tensor) -> Progress:
    before, after = kept.numel(), int(kept.sum())
    return Progress("vision tokens", f"{before} vision tokens, {after} kept where the picture changes")


def _pixel_spec(model: Omni) -> PixelSpec:
    vision = model.config.vision
    return PixelSpec(
        target_patches=vision.target_patches,
        patch_size=vision.patch_size,
        temporal_patch_size=vision.temporal_patch_size,
        mean=model.config.norm_mean,
        std=model.config.norm_std,
    )
