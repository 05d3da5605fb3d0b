"""From a clip on disk to the chosen RGB frames with their times.

The reader owns the decoding child, the memory they share and all waiting. It never imports PyAV: hostile bytes
are parsed in decoder/child.py only. Resizing is in tubelets.py.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import numpy as np
from numpy.typing import NDArray

from omnireel.video import errors
from omnireel.video.limits import SUPPORTED_CODECS, VideoLimits
from omnireel.video.messages import End, Facts, Failure, Flag, FrameReady, Mode, Reason, Record, Request
from omnireel.video.reader.boxes import ContainerInfo, read_container
from omnireel.video.reader.budget import decoding_s, reading_s
from omnireel.video.reader.hdr import Transfer, tone_mapped
from omnireel.video.reader.process import Child, ChildDiedError, ChildTimeoutError, SandboxViolationError
from omnireel.video.reader.sound import Sound, receive_sound
from omnireel.video.sample import choose_frames_between

TRUNCATED = "video_truncated"
FRAMES_SKIPPED = "frames_skipped"
DOLBY_VISION = "dolby_vision_profile_5"


@dataclass(frozen=True)
class Sampling:
    """Which frames to read; sample.py has the algorithm.

    fps:            frames per second of the clip; None sets no limit
    max_frames:     inclusive; None sets no limit
    start_s, end_s: the part of the clip, in seconds from its first frame; None for the clip's own start and end
    """

    fps: float | None = 2.0
    max_frames: int | None = 256
    start_s: float | None = None
    end_s: float | None = None


@dataclass(frozen=True)
class ClipFacts:
    """A clip as measured; its headers may claim something else.

    width, height: the upright picture with square pixels
    duration_s:    from the first frame to the end of the last
    indices:       the chosen frames, numbered in display order; after all frames are read, those that were decoded
    warnings:      "video_truncated" when the file ends early; "frames_skipped" when chosen frames are damaged, or a
                   frame's time is far from all others; "dolby_vision_profile_5" when the colours are wrong
    """

    width: int
    height: int
    codec: str
    source_fps: float
    duration_s: float
    num_source_frames: int
    has_audio: bool
    indices: tuple[int, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Frame:
    """One chosen frame: rgb [H, W, 3] uint8, upright; time_s counts from the clip's first frame."""

    index: int
    time_s: float
    rgb: NDArray[np.uint8]


_DEFAULT_SAMPLING = Sampling()
_DEFAULT_LIMITS = VideoLimits()


def open_clip(
    path: Path, sampling: Sampling = _DEFAULT_SAMPLING, limits: VideoLimits = _DEFAULT_LIMITS
) -> "ClipReader":
    """Measure a clip and start to decode it; the reader's `facts` are known when this returns.

    Raises InputError when the file is not a video or exceeds a limit, OSError when the file cannot be read.
    Example: with open_clip(path) as clip: times = [frame.time_s for frame in clip.read_frames()]
    """
    return ClipReader(path, sampling, limits)


class ClipReader:
    """Reads one clip; a context manager. The child ends with the context, and with this process."""

    def __init__(self, path: Path, sampling: Sampling, limits: VideoLimits) -> None:
        self._sampling = sampling
        self._limits = limits
        self._wait_left_s = limits.timeout_s
        self._may_retry = True
        self._last_index = -1
        self._num_records = 0
        self._delivered: list[int] = []
        self._file = open(path, "rb")  # noqa: SIM115  open until close()
        self._child: Child | None = None
        try:
            self._container = _check_file(self._file, limits)
            self._reading_s = reading_s(os.fstat(self._file.fileno()).st_size)
            self._cpu_s = self._reading_s
            self._stored = self._expect_facts()
            self._cpu_s += decoding_s(self._stored)
            self.facts = self._describe(self._stored)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def child_pid(self) -> int | None:
        """Process id of the decoding child; None after close()."""
        return self._child.pid if self._child else None

    def close(self) -> None:
        """End the child and free the shared memory. Further calls do nothing."""
        if self._child:
            self._child.end()
            self._child = None
        self._file.close()

    def read_frames(self) -> Iterator[Frame]:
        """The chosen frames in display order, each once. A second call continues where the first one stopped.

        At most NUM_SLOTS frames are decoded ahead of the caller. Damaged frames are left out, and `facts` then has
        a warning. Raises InputError when the clip cannot be decoded.
        """
        while self._child is not None:
            record = self._next_record()
            self._num_records += 1
            # Two children send at most their facts and each frame once. A compromised child could send for ever.
            if self._num_records > 2 * len(self.facts.indices) + 2:
                raise errors.decode_failed()
            if isinstance(record, End):
                self._finish()
                return
            if isinstance(record, FrameReady):
                frame = self._copy_frame(record)
                if frame is not None:
                    yield frame

    def read_sound(self) -> Sound | None:
        """The clip's sound between start_s and end_s, decoded by a second child; None where it cannot be decoded.

        Call it before all frames are read, because that closes the clip.
        """
        child = self._spawn(Mode.SOUND)
        try:
            return receive_sound(child, self._limits, cpu_s=self._reading_s)
        finally:
            child.end()

    def _copy_frame(self, ready: FrameReady) -> Frame | None:
        """Copy a frame out of its slot; None when the child that was replaced had already delivered it."""
        assert self._child is not None
        if ready.frame_index not in self.facts.indices:
            raise errors.decode_failed()
        pixels = self._child.slot(ready.slot, self._stored.num_bytes)
        is_new = ready.frame_index > self._last_index
        rgb = _upright(pixels, self._stored) if is_new else None
        self._child.release_slot()
        if rgb is None:
            return None
        self._last_index = ready.frame_index
        self._delivered.append(ready.frame_index)
        return Frame(ready.frame_index, ready.time_s, rgb)

    def _finish(self) -> None:
        if not self._delivered:
            raise errors.corrupt()
        if len(self._delivered) < len(self.facts.indices):
            others = tuple(warning for warning in self.facts.warnings if warning != FRAMES_SKIPPED)
            self.facts = replace(
                self.facts, indices=tuple(self._delivered), warnings=(*others, FRAMES_SKIPPED)
            )
        self.close()

    def _next_record(self) -> Record:
        """The next record of the child, or of a second child when the first one died."""
        assert self._child is not None
        try:
            record, waited_s = self._child.receive(self._wait_left_s, cpu_s=self._cpu_s)
        except ChildTimeoutError:
            raise errors.decode_timeout(self._limits) from None
        except SandboxViolationError:
            raise errors.decode_failed() from None
        except ChildDiedError:
            if not self._may_retry:
                raise errors.decode_failed() from None
            self._may_retry = False
            self._child.end()
            self._child = self._spawn()
            return self._next_record()
        self._wait_left_s -= waited_s
        if isinstance(record, Failure):
            is_unknown = record.reason == Reason.NO_VIDEO or record.codec == "unknown"
            if is_unknown and self._container.is_incomplete:
                raise errors.corrupt()  # the part of the file that describes its tracks is missing
            raise errors.failure_error(record, self._sampling.start_s, self._limits)
        return record

    def _expect_facts(self) -> Facts:
        self._child = self._spawn()
        record = self._next_record()
        if not isinstance(record, Facts) or not _is_within(record, self._limits):
            raise errors.decode_failed()
        return record

    def _spawn(self, mode: Mode = Mode.FRAMES) -> Child:
        limits, sampling = self._limits, self._sampling
        return Child(
            self._file.fileno(),
            lambda slot_bytes: Request(
                mode=mode,
                slot_bytes=slot_bytes,
                container=self._container.container,
                max_duration_s=limits.max_duration_s if mode is Mode.SOUND else limits.max_file_s,
                max_long_side=limits.max_long_side,
                max_short_side=limits.max_short_side,
                min_side=limits.min_side,
                max_num_packets=limits.max_num_packets,
                timeout_s=limits.timeout_s,
                fps=_or_nan(sampling.fps),
                max_frames=sampling.max_frames or 0,
                start_s=_or_nan(sampling.start_s),
                end_s=_or_nan(sampling.end_s),
            ),
            # Enough for the largest picture of 16 bits; pages that are never written take no memory.
            slot_bytes=6 * limits.max_long_side * limits.max_short_side,
        )

    def _describe(self, facts: Facts) -> ClipFacts:
        chosen = choose_frames_between(
            facts.first_index,
            facts.num_in_window,
            facts.source_fps,
            fps=self._sampling.fps,
            max_frames=self._sampling.max_frames,
        )
        width, height = (facts.width, facts.height)[:: -1 if facts.turns % 2 else 1]
        warnings = {
            TRUNCATED: self._container.is_truncated or bool(facts.flags & Flag.TRUNCATED),
            FRAMES_SKIPPED: bool(facts.flags & Flag.STRAYS),
            DOLBY_VISION: bool(facts.flags & Flag.DOLBY_5),
        }
        return ClipFacts(
            width=width,
            height=height,
            codec=SUPPORTED_CODECS[facts.codec],
            source_fps=facts.source_fps,
            duration_s=facts.duration_s,
            num_source_frames=facts.num_source_frames,
            has_audio=bool(facts.flags & Flag.HAS_AUDIO),
            indices=tuple(chosen),
            warnings=tuple(warning for warning, holds in warnings.items() if holds),
        )


def _is_within(facts: Facts, limits: VideoLimits) -> bool:
    """Whether facts are within the limits. The child checks them too, so False means that it was compromised."""
    sides = (max(facts.width, facts.height), min(facts.width, facts.height))
    is_small = sides[0] <= limits.max_long_side and sides[1] <= limits.max_short_side
    return is_small and facts.num_source_frames <= limits.max_num_packets


def _check_file(file: BinaryIO, limits: VideoLimits) -> ContainerInfo:
    num_bytes = os.fstat(file.fileno()).st_size
    if num_bytes == 0:
        raise errors.empty()
    if num_bytes > limits.max_bytes:
        raise errors.file_too_large(num_bytes, limits)
    container = read_container(file.fileno(), num_bytes)
    if container is None:
        raise errors.unsupported_format()
    return container


def _upright(pixels: NDArray[np.uint8], facts: Facts) -> NDArray[np.uint8]:
    """A copy of the packed pixels in a slot, in display orientation and with 8 bits."""
    plain = pixels
    if facts.flags & (Flag.PQ | Flag.HLG):
        transfer: Transfer = "pq" if facts.flags & Flag.PQ else "hlg"
        plain = tone_mapped(pixels.view(np.uint16).reshape(-1, 3), transfer)
    picture = plain.reshape(facts.height, facts.width, 3)
    if facts.mirrored:
        picture = picture[:, ::-1]
    return np.rot90(picture, facts.turns).copy()


def _or_nan(value: float | None) -> float:
    return float("nan") if value is None else value
