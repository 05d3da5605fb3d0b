"""From a clip and a question to what the model is fed: everything that happens before the first token."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from omnireel.backends.base import Ask, Inspection, Progress, SoundUse, VideoFacts
from omnireel.backends.thread_work import Report
from omnireel.engine.request import check_prompt_fits
from omnireel.engine.thinking import ThinkingLimit
from omnireel.errors import CheckpointError
from omnireel.model.audio.encoder import num_sound_tokens
from omnireel.model.audio.mel import SAMPLE_RATE
from omnireel.model.checkpoint.load import load_checkpoint
from omnireel.model.omni import Omni
from omnireel.model.vision.prune import keep_mask, num_kept
from omnireel.prompting.clip import (
    FramesSeen,
    MediaDefaults,
    frame_note,
    frames_planned,
    opening_note,
    video_facts,
    warning_notes,
    with_sound,
)
from omnireel.prompting.layout import IMAGE, SOUND, Prompt, lay_out_prompt, max_label_tokens, time_labels
from omnireel.text.chat import ChatTemplate, video_messages
from omnireel.text.reasoning import CLOSE, TOOL_CALL
from omnireel.text.tokenizer import Tokenizer
from omnireel.video.limits import VideoLimits
from omnireel.video.reader.frames import ClipFacts, ClipReader, open_clip
from omnireel.video.tubelets import PixelSpec, most_patches, target_grid, tubelet_batches

See = Callable[[Tensor], None]


@dataclass(frozen=True)
class PreparationOptions:
    """What a request that does not say gets, and what it may not exceed.

    max_tubelets: encoded at once; it bounds memory and how late an abort is heard
    """

    media: MediaDefaults = field(default_factory=MediaDefaults)
    limits: VideoLimits = field(default_factory=VideoLimits)
    max_tubelets: int = 8


@dataclass(frozen=True, eq=False)
class Prepared:
    """What a clip and a question became.

    video:         what was seen of the clip
    vision_tokens: [n, h, w, D], before pruning
    kept:          bool [n, h, w]
    sound_tokens:  [A, D], none where nothing is heard
    prompt:        laid out around the kept tokens
    embeddings:    [S, D], what the language model reads
    """

    video: VideoFacts
    vision_tokens: Tensor
    kept: Tensor
    sound_tokens: Tensor
    prompt: Prompt
    embeddings: Tensor


@dataclass(frozen=True, eq=False)
class AudioInput:
    """What became of a clip's sound. samples: [L] fp32 at 16 kHz, where it is used"""

    use: SoundUse
    samples: Tensor | None = None

    @property
    def num_tokens(self) -> int:
        """Of the prompt."""
        return 0 if self.samples is None else num_sound_tokens(len(self.samples))


class Preparation:
    """The stages before the engine, with one checkpoint. Blocks; safe for one thread at a time."""

    def __init__(
        self,
        model: Omni,
        tokenizer: Tokenizer,
        template: ChatTemplate,
        options: PreparationOptions | None = None,
    ) -> None:
        if tokenizer.id_of(IMAGE) != model.config.image_token_id:
            raise CheckpointError(f"config.json and the tokenizer disagree on the id of {IMAGE}")
        self._has_audio_encoder = model.config.sound is not None
        if self._has_audio_encoder and tokenizer.id_of(SOUND) != model.config.sound_token_id:
            raise CheckpointError(f"config.json and the tokenizer disagree on the id of {SOUND}")
        self.model = model
        self.tokenizer = tokenizer
        self.max_context = model.config.language.max_positions
        self._template = template
        self._options = options or PreparationOptions()
        self._pixel_spec = _pixel_spec(model)

    @classmethod
    def load(cls, directory: Path, *, dtype: torch.dtype) -> Preparation:
        """Read a checkpoint's directory. Raises CheckpointError."""
        tokenizer = Tokenizer.from_directory(directory)
        template = ChatTemplate.from_directory(directory)
        return cls(load_checkpoint(directory, dtype), tokenizer, template)

    @torch.inference_mode()
    def prepare(self, ask: Ask, report: Report, *, see_pixels: See | None = None) -> Prepared:
        """Clip → vision tokens → kept tokens → prompt → embeddings.

        see_pixels: is shown each batch of tubelets as the encoder gets it, [n, T·3, H, W] fp32
        Raises InputError where the ask cannot be met.
        """
        seen = FramesSeen()
        with open_clip(ask.video, self._options.media.sampling(ask.media), self._options.limits) as clip:
            report(opening_note(clip.facts))
            audio_input = self._read_audio(ask, clip)
            self._plan(ask, clip.facts, audio_input)
            sound_tokens = self._encoded_sound(audio_input, report)
            tokens = torch.cat(list(self._encoded(clip, seen, report, see_pixels)))  # [n, h, w, D]
            for note in warning_notes(clip.facts):
                report(note)
        kept = keep_mask(tokens, self._options.media.rate(ask.media))  # [n, h, w]
        report(_pruning_note(kept))
        counts = kept.flatten(1).sum(1).tolist()
        prompt = self._lay_out(ask, clip.facts.source_fps, seen.indices, counts, len(sound_tokens))
        video = video_facts(clip.facts, seen, num_vision_tokens=kept.numel(), num_kept_tokens=int(kept.sum()))
        video = with_sound(video, audio_input.use, len(sound_tokens))
        embeddings = self._embed(prompt, tokens[kept], sound_tokens)
        return Prepared(video, tokens, kept, sound_tokens, prompt, embeddings)

    def inspect(self, ask: Ask) -> Inspection:
        """What `prepare` would make of the ask, without encoding."""
        with open_clip(ask.video, self._options.media.sampling(ask.media), self._options.limits) as clip:
            return self._plan(ask, clip.facts, self._read_audio(ask, clip))

    def most_input_tokens(self, ask: Ask) -> int:
        """No prompt of this ask is longer, whatever its clip holds."""
        spec, options = self._pixel_spec, self._options
        max_frames = options.media.sampling(ask.media).max_frames or options.limits.max_num_packets
        num_tubelets = -(-max_frames // spec.temporal_patch_size)
        most_tokens = most_patches(spec.target_patches, options.limits) // 4
        vision = num_kept(num_tubelets, most_tokens, options.media.rate(ask.media))
        labels = num_tubelets * max_label_tokens(spec.temporal_patch_size)
        text = len(self._lay_out(ask, 1.0, (), []).ids)
        sound = (
            num_sound_tokens(round(options.limits.max_duration_s * SAMPLE_RATE)) + 2
            if self._has_audio_encoder
            else 0
        )
        return text + labels + vision + sound

    def _read_audio(self, ask: Ask, clip: ClipReader) -> AudioInput:
        """The clip's own sound, where the model hears, the caller wants it and there is some."""
        if not self._has_audio_encoder:
            return AudioInput("unheard")
        if ask.media.use_audio is False:
            return AudioInput("off")
        if not clip.facts.has_audio:
            return AudioInput("absent")
        sound = clip.read_sound()
        if sound is None or not len(sound.samples):
            return AudioInput("failed")
        return AudioInput("cut" if sound.is_cut else "used", torch.from_numpy(sound.samples))

    def _encoded_sound(self, audio_input: AudioInput, report: Report) -> Tensor:
        if audio_input.samples is None:
            return torch.zeros(0, self.model.config.language.hidden_size, dtype=self.model.dtype)
        tokens = self.model.encode_sound(audio_input.samples)
        seconds = len(audio_input.samples) / SAMPLE_RATE
        report(Progress("encoding", f"{seconds:.1f} s of sound heard: {len(tokens)} tokens"))
        return tokens

    def thinking_limit(self, ask: Ask) -> ThinkingLimit | None:
        """What the ask allows its chain of thought; None where it has none, or no limit."""
        budget = ask.sampling.reasoning_budget
        if not ask.thinking or budget is None:
            return None
        tokenizer = self.tokenizer
        calls = [tokenizer.id_of(TOOL_CALL)] if TOOL_CALL in tokenizer.added_tokens else []
        return ThinkingLimit(
            budget=budget,
            grace=ask.sampling.grace_period,
            end_ids=frozenset({tokenizer.id_of(CLOSE), *calls}),
            line_end_ids=tokenizer.line_end_ids,
            closing=tuple(tokenizer.encode_markup(f"\n{CLOSE}\n")),
            closing_line=tuple(tokenizer.encode_markup(f"{CLOSE}\n")),
        )

    def _plan(self, ask: Ask, clip: ClipFacts, audio_input: AudioInput) -> Inspection:
        """The cost of an ask, before anything is encoded; raises InputError(sequence_too_long)."""
        rows, cols = target_grid(clip.width, clip.height, self._pixel_spec.target_patches)
        num_tubelets = -(-len(clip.indices) // self._pixel_spec.temporal_patch_size)
        per_tubelet = rows // 2 * (cols // 2)
        num_tokens = num_kept(num_tubelets, per_tubelet, self._options.media.rate(ask.media))
        # Which tubelet a token is kept in does not change the length.
        counts = [num_tokens] + [0] * (num_tubelets - 1)
        num_audio_tokens = audio_input.num_tokens
        num_input_tokens = len(
            self._lay_out(ask, clip.source_fps, clip.indices, counts, num_audio_tokens).ids
        )
        check_prompt_fits(num_input_tokens, self.max_context)
        video = video_facts(
            clip,
            frames_planned(clip),
            num_vision_tokens=num_tubelets * per_tubelet,
            num_kept_tokens=num_tokens,
        )
        return Inspection(
            with_sound(video, audio_input.use, num_audio_tokens), num_input_tokens, self.max_context
        )

    def _encoded(
        self, clip: ClipReader, seen: FramesSeen, report: Report, see_pixels: See | None
    ) -> Iterator[Tensor]:
        spec = self._pixel_spec
        rows, cols = target_grid(clip.facts.width, clip.facts.height, spec.target_patches)
        frames = _watched(clip, seen, report)
        for tubelets in tubelet_batches(frames, rows, cols, spec, max_tubelets=self._options.max_tubelets):
            if see_pixels is not None:
                see_pixels(tubelets)
            yield self.model.encode_video(tubelets)
            share = len(seen.indices) / len(clip.facts.indices)
            report(Progress("encoding", f"{share:.0%} of the frames encoded", share))

    def _lay_out(
        self,
        ask: Ask,
        source_fps: float,
        indices: Sequence[int],
        num_kept: list[int],
        num_audio_tokens: int = 0,
    ) -> Prompt:
        messages = video_messages(ask.prompt, system_prompt=ask.system_prompt, thinking=ask.thinking)
        budget = ask.sampling.reasoning_budget
        pieces = self._template.render(messages, enable_thinking=ask.thinking, reasoning_budget=budget)
        labels = time_labels(indices, source_fps, self._pixel_spec.temporal_patch_size)
        return lay_out_prompt(pieces, labels, num_kept, self.tokenizer, num_sound_tokens=num_audio_tokens)

    def _embed(self, prompt: Prompt, kept: Tensor, sound_tokens: Tensor) -> Tensor:
        is_vision = torch.zeros(len(prompt.ids), dtype=torch.bool)
        for start, length in prompt.spans:
            is_vision[start : start + length] = True
        embeddings = self.model.embed_prompt(torch.tensor(prompt.ids), kept, is_vision)
        start, length = prompt.sound_span
        embeddings[start : start + length] = sound_tokens.to(embeddings.dtype)
        return embeddings


def _watched(clip: ClipReader, seen: FramesSeen, report: Report) -> Iterator[NDArray[np.uint8]]:
    for frame in clip.read_frames():
        seen.add(frame)
        report(frame_note(seen, clip.facts))
        yield frame.rgb


def _pruning_note(kept: Tensor) -> Progress:
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
