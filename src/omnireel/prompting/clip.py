"""What every backend does with a clip: sample it, look at it, say what was seen. Free of torch."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from omnireel.backends.base import MediaOptions, Progress, SoundUse, VideoFacts
from omnireel.video.reader.frames import FRAMES_SKIPPED, TRUNCATED, ClipFacts, Frame, Sampling

SOUND_CUT = "sound_cut"
SOUND_FAILED = "sound_failed"
_WARNINGS = {
    SOUND_CUT: "the sound goes on past the limit; the rest is left out",
    SOUND_FAILED: "the sound cannot be decoded; the pictures are used alone",
    TRUNCATED: "the file ends early; what is there is used",
    FRAMES_SKIPPED: "some of the chosen frames are damaged and were left out",
}


@dataclass(frozen=True)
class MediaDefaults:
    """What a request that does not say gets.

    pruning_rate: share of vision tokens to drop
    """

    fps: float = 2.0
    max_frames: int = 256
    pruning_rate: float = 0.5

    def sampling(self, media: MediaOptions) -> Sampling:
        """Which frames to look at."""
        return Sampling(
            fps=self.fps if media.fps is None else media.fps,
            max_frames=self.max_frames if media.max_frames is None else media.max_frames,
            start_s=media.start_s,
            end_s=media.end_s,
        )

    def rate(self, media: MediaOptions) -> float:
        """Which share of vision tokens to drop."""
        return self.pruning_rate if media.video_pruning_rate is None else media.video_pruning_rate


@dataclass
class FramesSeen:
    """Index and time of each frame that was delivered, in order."""

    indices: list[int] = field(default_factory=list)
    times_s: list[float] = field(default_factory=list)

    def add(self, frame: Frame) -> None:
        """Note one more."""
        self.indices.append(frame.index)
        self.times_s.append(frame.time_s)


def frames_planned(clip: ClipFacts) -> FramesSeen:
    """The chosen frames before they are read; times are index / frame rate."""
    return FramesSeen(list(clip.indices), [index / clip.source_fps for index in clip.indices])


def video_facts(
    clip: ClipFacts, frames: FramesSeen, *, num_vision_tokens: int = 0, num_kept_tokens: int = 0
) -> VideoFacts:
    """The clip as an answer reports it."""
    return VideoFacts(
        width=clip.width,
        height=clip.height,
        codec=clip.codec,
        source_fps=clip.source_fps,
        duration_s=clip.duration_s,
        has_audio=clip.has_audio,
        frame_indices=tuple(frames.indices),
        frame_times_s=tuple(frames.times_s),
        num_vision_tokens=num_vision_tokens,
        num_kept_tokens=num_kept_tokens,
        warnings=clip.warnings,
    )


def with_sound(facts: VideoFacts, sound: SoundUse, num_tokens: int) -> VideoFacts:
    """The same clip, and what became of its sound."""
    told: dict[SoundUse, str] = {"cut": SOUND_CUT, "failed": SOUND_FAILED}
    more = (told[sound],) if sound in told else ()
    return replace(facts, sound=sound, num_sound_tokens=num_tokens, warnings=(*facts.warnings, *more))


def opening_note(clip: ClipFacts) -> Progress:
    """One line on the clip."""
    size = f"{clip.width}x{clip.height} {clip.codec} at {clip.source_fps:.4g} fps"
    frames = f"{len(clip.indices)} of {clip.num_source_frames} frames chosen"
    return Progress("video", f"{clip.duration_s:.1f} s of {size}, {frames}", 0.0)


def frame_note(frames: FramesSeen, clip: ClipFacts) -> Progress:
    """How many of the chosen frames have been read."""
    num_read, num_chosen = len(frames.indices), len(clip.indices)
    return Progress("video", f"{num_read} of {num_chosen} frames read", num_read / num_chosen)


def warning_notes(clip: ClipFacts | VideoFacts) -> Iterable[Progress]:
    """One line per thing that was wrong with the clip; complete once all frames are read."""
    return [Progress("video", f"warning: {_WARNINGS.get(warning, warning)}") for warning in clip.warnings]
