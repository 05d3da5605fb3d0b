"""What every backend does with a clip: choose its frames, read it, report what was read. Free of torch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from omnireel.errors import InputError
from omnireel.task import (
    FramePicture,
    Inspection,
    MediaOptions,
    Progress,
    Report,
    SoundUse,
    Task,
    VideoFacts,
)
from omnireel.video.errors import too_long
from omnireel.video.limits import DURATION_TOLERANCE_S, VideoLimits
from omnireel.video.reader.frames import (
    DOLBY_VISION,
    FRAMES_SKIPPED,
    TRUNCATED,
    ClipFacts,
    ClipReader,
    Frame,
    Sampling,
    open_clip,
)
from omnireel.video.thumbnails import png, thumbnail

SOUND_CUT = "sound_cut"
SOUND_FAILED = "sound_failed"
_SOUND_WARNINGS: dict[SoundUse, str] = {"cut": SOUND_CUT, "failed": SOUND_FAILED}
_WARNING_TEXTS = {
    SOUND_CUT: "The sound is longer than the limit; the rest is left out.",
    SOUND_FAILED: "The sound cannot be decoded; only the frames are used.",
    TRUNCATED: "The file ends early; only the part that is there is used.",
    FRAMES_SKIPPED: "Some frames are damaged or have times far from all others, and were left out.",
    DOLBY_VISION: "The clip is in profile 5 of Dolby Vision; its colours are wrong here.",
}


def only_clip(task: Task, files: Sequence[Path]) -> Path:
    """The file of the task's clip.

    files: one for each of the task's media parts
    Raises InputError(feature_not_supported) unless the task has exactly one media part.
    """
    num_clips = len(task.references)
    if num_clips != 1:
        raise InputError(
            f"The request has {num_clips} videos. This model reads exactly one.",
            kind="feature_not_supported",
            about="media",
            hint="Send one video with each request.",
        )
    (file,) = files
    return file


@dataclass(frozen=True)
class MediaDefaults:
    """The media options of a task that does not set them.

    fps:          frames looked at per second
    max_frames:   most frames looked at
    pruning_rate: share of vision tokens to drop, 0 ≤ rate < 1
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


def open_part(path: Path, sampling: Sampling, limits: VideoLimits) -> ClipReader:
    """Start reading a clip whose chosen part is within the limits; see `open_clip`.

    Raises InputError, video_duration_too_long where the part is longer than allowed.
    """
    clip = open_clip(path, sampling, limits)
    start_s = sampling.start_s or 0.0
    end_s = clip.facts.duration_s if sampling.end_s is None else min(sampling.end_s, clip.facts.duration_s)
    if end_s - start_s > limits.max_duration_s + DURATION_TOLERANCE_S:
        clip.close()
        is_part = (sampling.start_s, sampling.end_s) != (None, None)
        raise too_long(end_s - start_s, limits.max_duration_s, is_part=is_part)
    return clip


@dataclass
class FramesRead:
    """Index and time of each frame that was read, in order."""

    indices: list[int] = field(default_factory=list)
    times_s: list[float] = field(default_factory=list)

    def add(self, frame: Frame) -> None:
        """Append one frame."""
        self.indices.append(frame.index)
        self.times_s.append(frame.time_s)


def planned_frames(clip: ClipFacts) -> FramesRead:
    """The chosen frames before they are read; times are index / frame rate."""
    return FramesRead(list(clip.indices), [index / clip.source_fps for index in clip.indices])


def with_pictures(inspection: Inspection, clip: ClipReader, report: Report) -> Inspection:
    """The same inspection with pictures of the chosen frames, all of which are read, and with their own times.

    Raises InputError when the clip cannot be decoded.
    """
    frames = FramesRead()
    pictures = []
    for frame in clip.read_frames():
        frames.add(frame)
        small = thumbnail(frame.rgb)
        pictures.append(FramePicture(frame.index, frame.time_s, small.shape[1], small.shape[0], png(small)))
        report(frame_progress(frames, clip.facts))
    new_warnings = tuple(name for name in clip.facts.warnings if name not in inspection.video.warnings)
    video = replace(
        inspection.video,
        frame_indices=tuple(frames.indices),
        frame_times_s=tuple(frames.times_s),
        warnings=(*inspection.video.warnings, *new_warnings),
    )
    return replace(inspection, video=video, pictures=tuple(pictures))


def video_facts(
    clip: ClipFacts,
    frames: FramesRead,
    *,
    num_vision_tokens: int = 0,
    num_kept_tokens: int = 0,
    num_kept_per_tubelet: Sequence[int] = (),
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
        num_kept_per_tubelet=tuple(num_kept_per_tubelet),
    )


def with_sound(facts: VideoFacts, sound: SoundUse, num_tokens: int) -> VideoFacts:
    """The same facts with how the clip's sound was used; a cut or failed sound adds its warning."""
    added = (_SOUND_WARNINGS[sound],) if sound in _SOUND_WARNINGS else ()
    return replace(facts, sound=sound, num_sound_tokens=num_tokens, warnings=(*facts.warnings, *added))


def clip_progress(clip: ClipFacts) -> Progress:
    """The first log line: what kind of clip this is and how many frames are chosen."""
    size = f"{clip.width}x{clip.height} {clip.codec} at {clip.source_fps:.4g} fps"
    frames = f"{len(clip.indices)} of {clip.num_source_frames} frames chosen"
    return Progress("video", f"{clip.duration_s:.1f} s of {size}, {frames}", 0.0)


def frame_progress(frames: FramesRead, clip: ClipFacts) -> Progress:
    """How many of the chosen frames have been read."""
    num_read, num_chosen = len(frames.indices), len(clip.indices)
    return Progress("video", f"{num_read} of {num_chosen} frames read", num_read / num_chosen)


def warning_progress(clip: ClipFacts | VideoFacts) -> Iterable[Progress]:
    """One log line for each warning about the clip; complete once all frames are read."""
    return [
        Progress("video", f"warning: {_WARNING_TEXTS.get(warning, warning)}") for warning in clip.warnings
    ]
