"""The token counts of a prompt, from config.json, the tokenizer and the chat template: no weights, no torch.

Admission, estimates and the encoder all use these counts, so an estimate is what a request really costs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from omnireel.engine.request import check_prompt_fits
from omnireel.errors import CheckpointError
from omnireel.model.config import OmniConfig, read_config
from omnireel.model.token_counts import SAMPLE_RATE, num_kept, num_sound_tokens
from omnireel.prompting.clip import (
    MediaDefaults,
    only_clip,
    open_part,
    planned_frames,
    video_facts,
    with_pictures,
    with_sound,
)
from omnireel.prompting.layout import IMAGE, SOUND, Prompt, lay_out_prompt, max_label_tokens, time_labels
from omnireel.task import Detail, Inspection, Progress, Report, SoundUse, Task
from omnireel.text.chat import ChatTemplate, video_messages
from omnireel.text.reasoning import OPEN
from omnireel.text.tokenizer import Tokenizer
from omnireel.video.limits import VideoLimits
from omnireel.video.patch_grid import most_patches, target_grid
from omnireel.video.reader.frames import ClipFacts, ClipReader

_PATCHES_PER_TOKEN = 4  # the projector joins 2×2 patches
_DETAIL: dict[Detail, float] = {"low": 0.25, "auto": 1.0, "high": 4.0}  # half and twice the sides of auto


def _unreported(_: Progress) -> None:
    pass


@dataclass(frozen=True, eq=False)
class AudioInput:
    """A clip's sound as the model gets it.

    samples: [L] fp32 at 16 kHz; None where no sound is used
    """

    use: SoundUse
    samples: NDArray[np.float32] | None = None

    @property
    def num_tokens(self) -> int:
        """Sound tokens of the prompt."""
        return 0 if self.samples is None else num_sound_tokens(len(self.samples))


class TokenCounter:
    """Counts the tokens of tasks for one checkpoint, and lays out their prompts.

    media:  options of a task that does not set them
    limits: what a clip may be
    Raises CheckpointError when config.json and the tokenizer disagree about a placeholder's id.
    """

    def __init__(
        self,
        config: OmniConfig,
        tokenizer: Tokenizer,
        template: ChatTemplate,
        *,
        media: MediaDefaults | None = None,
        limits: VideoLimits | None = None,
        max_context: int | None = None,
    ) -> None:
        _check_id(tokenizer, IMAGE, config.image_token_id)
        if config.sound is not None:
            _check_id(tokenizer, SOUND, config.sound_token_id)
        self.config = config
        self.tokenizer = tokenizer
        longest = config.language.max_positions
        self._longest = longest if max_context is None else min(max_context, longest)
        self.max_context = self._longest
        self._template = template
        self._media = media or MediaDefaults()
        self._limits = limits or VideoLimits()

    @classmethod
    def from_directory(
        cls,
        directory: Path,
        *,
        media: MediaDefaults | None = None,
        limits: VideoLimits | None = None,
        max_context: int | None = None,
    ) -> TokenCounter:
        """Read config.json, the tokenizer and the template. Raises CheckpointError."""
        tokenizer = Tokenizer.from_directory(directory)
        template = ChatTemplate.from_directory(directory)
        config = read_config(directory)
        return cls(config, tokenizer, template, media=media, limits=limits, max_context=max_context)

    def limit_context(self, max_context: int | None) -> None:
        """Let prompt and answer have at most so many tokens, where the model itself takes more; None: no limit."""
        longest = self._longest
        self.max_context = longest if max_context is None else min(longest, max_context)

    def inspect(
        self, task: Task, files: Sequence[Path], report: Report = _unreported, *, pictures: bool = False
    ) -> Inspection:
        """The prompt that encoding the task would give. The clip is opened and its sound decoded.

        pictures: also read the chosen frames and return small pictures of them
        Raises InputError as the encoder does, such as sequence_too_long.
        """
        self.check_length(task)
        with self.open_clip(task, files) as clip:
            inspection = self.count(task, clip.facts, self.read_audio(task, clip))
            return with_pictures(inspection, clip, report) if pictures else inspection

    def check_length(self, task: Task) -> None:
        """Raise InputError(sequence_too_long) where the texts alone are certain not to fit into the context.

        Tokenising a text of megabytes takes gigabytes of memory, so this comes first.
        """
        # A template may drop white space around a text.
        texts = [text.strip() for text in (task.system_prompt or "", task.prompt)]
        check_prompt_fits(sum(map(self.tokenizer.fewest_tokens, texts)), self.max_context, is_exact=False)

    def most_tokens(self, task: Task) -> int:
        """The most tokens that prompt and answer can have together, whatever the clip holds.

        Raises InputError(sequence_too_long) as `check_length`.
        """
        return min(self.most_input_tokens(task) + task.sampling.max_tokens, self.max_context)

    def most_input_tokens(self, task: Task) -> int:
        """The most tokens that the prompt can have, whatever the clip holds."""
        vision, limits = self.config.vision, self._limits
        max_frames = self._media.sampling(task.media).max_frames or limits.max_num_packets
        num_tubelets = -(-max_frames // vision.temporal_patch_size)
        most_per_tubelet = most_patches(self.target_patches(task.media.detail), limits) // _PATCHES_PER_TOKEN
        num_vision = num_kept(num_tubelets, most_per_tubelet, self.pruning_rate(task))
        num_labels = num_tubelets * max_label_tokens(vision.temporal_patch_size)
        num_text = len(self.lay_out(task, 1.0, (), []).ids)
        if self.config.sound is None:
            return num_text + num_labels + num_vision
        num_sound = num_sound_tokens(round(limits.max_duration_s * SAMPLE_RATE)) + 2
        return num_text + num_labels + num_vision + num_sound

    def open_clip(self, task: Task, files: Sequence[Path]) -> ClipReader:
        """Start reading the task's clip. Raises InputError for a clip that cannot be used."""
        return open_part(only_clip(task, files), self._media.sampling(task.media), self._limits)

    def read_audio(self, task: Task, clip: ClipReader) -> AudioInput:
        """The clip's own sound, where the model has an audio encoder, the task wants it and there is some."""
        if self.config.sound is None:
            return AudioInput("unheard" if clip.facts.has_audio else "absent")
        if task.media.use_audio is False:
            return AudioInput("off")
        if not clip.facts.has_audio:
            return AudioInput("absent")
        sound = clip.read_sound()
        if sound is None or not len(sound.samples):
            return AudioInput("failed")
        return AudioInput("cut" if sound.is_cut else "used", sound.samples)

    def count(self, task: Task, clip: ClipFacts, audio: AudioInput) -> Inspection:
        """The prompt's tokens before anything is encoded; raises InputError(sequence_too_long)."""
        rows, cols = self.patch_grid(clip, task.media.detail)
        per_tubelet = rows * cols // _PATCHES_PER_TOKEN
        num_tubelets = -(-len(clip.indices) // self.config.vision.temporal_patch_size)
        num_vision = num_kept(num_tubelets, per_tubelet, self.pruning_rate(task))
        # Which tubelet a token is kept in does not change the length.
        per_span = [num_vision] + [0] * (num_tubelets - 1)
        prompt = self.lay_out(
            task, clip.source_fps, clip.indices, per_span, num_sound_tokens=audio.num_tokens
        )
        check_prompt_fits(len(prompt.ids), self.max_context)
        video = video_facts(
            clip,
            planned_frames(clip),
            num_vision_tokens=num_tubelets * per_tubelet,
            num_kept_tokens=num_vision,
        )
        video = with_sound(video, audio.use, audio.num_tokens)
        start_s = task.media.start_s or 0.0
        span_s = None if audio.samples is None else (start_s, start_s + len(audio.samples) / SAMPLE_RATE)
        return Inspection(video, len(prompt.ids), self.max_context, span_s)

    def patch_grid(self, clip: ClipFacts, detail: Detail | None = None) -> tuple[int, int]:
        """Rows and columns of patches that the clip's frames are resized to."""
        return target_grid(clip.width, clip.height, self.target_patches(detail))

    def target_patches(self, detail: Detail | None) -> int:
        """The patches of a frame that are aimed at."""
        return round(self.config.vision.target_patches * _DETAIL[detail or "auto"])

    def pruning_rate(self, task: Task) -> float:
        """The share of vision tokens to drop."""
        return self._media.rate(task.media)

    def lay_out(
        self,
        task: Task,
        source_fps: float,
        indices: Sequence[int],
        num_kept_per_tubelet: Sequence[int],
        *,
        num_sound_tokens: int = 0,
    ) -> Prompt:
        """The prompt of a task.

        indices: source frames that were read, in order
        num_kept_per_tubelet: kept vision tokens of each tubelet
        Raises InputError(sequence_too_long) as `check_length`.
        """
        self.check_length(task)
        messages = video_messages(task.prompt, system_prompt=task.system_prompt, thinking=task.thinking)
        budget = task.sampling.reasoning_budget
        pieces = self._template.render(messages, enable_thinking=task.thinking, reasoning_budget=budget)
        labels = time_labels(indices, source_fps, self.config.vision.temporal_patch_size)
        return lay_out_prompt(
            pieces, labels, num_kept_per_tubelet, self.tokenizer, num_sound_tokens=num_sound_tokens
        )

    def num_opening_tokens(self, task: Task) -> int:
        """Tokens of the prompt after the tag that opens the chain of thought, such as a line break."""
        ids = self.lay_out(task, 1.0, (), []).ids
        opening = self.tokenizer.added_tokens.get(OPEN)
        return ids[::-1].index(opening) if opening in ids else 0


def _check_id(tokenizer: Tokenizer, token: str, configured_id: int | None) -> None:
    if tokenizer.id_of(token) != configured_id:
        raise CheckpointError(f"config.json and the tokenizer have different ids for {token}.")
