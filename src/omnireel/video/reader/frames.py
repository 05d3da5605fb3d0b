"""A clip on disk becomes chosen RGB frames with their times.

Owns the decoding child, the shared memory between the two processes and the waiting. Never imports PyAV:
hostile bytes are only looked at in child.py. Not here: fetching a URL, resizing (tubelets.py).
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import numpy as np
from numpy.typing import NDArray

from omnireel.video import limits as refuse
from omnireel.video.limits import SUPPORTED_CODECS, VideoLimits
from omnireel.video.messages import End, Facts, Failure, Flag, FrameReady, Reason, Record, Request, Wanted
from omnireel.video.reader.boxes import Outline, outline
from omnireel.video.reader.errors import refusal
from omnireel.video.reader.hdr import Transfer, tone_mapped
from omnireel.video.reader.process import Child, ChildDiedError, ChildTimeoutError, SandboxViolationError
from omnireel.video.reader.sound import Sound, receive_sound
from omnireel.video.sample import choose_frames_between

TRUNCATED = "video_truncated"
FRAMES_SKIPPED = "frames_skipped"


@dataclass(frozen=True)
class Sampling:
    """Which frames are wanted; see sample.py for the rule.

    fps:            frames per second of the clip; None sets no bound
    max_frames:     inclusive; None sets no bound
    start_s, end_s: part of the clip, in seconds from its first frame; None for its own ends
    """

    fps: float | None = 2.0
    max_frames: int | None = 256
    start_s: float | None = None
    end_s: float | None = None


@dataclass(frozen=True)
class ClipFacts:
    """A clip as measured, not as its headers claim.

    width, height: the upright picture with square pixels
    duration_s:    from the first frame to the end of the last
    indices:       the chosen frames, numbered in the order shown; once all frames are read, those that came
    warnings:      "video_truncated" when the file ends early, "frames_skipped" when chosen frames are damaged
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
    """Measure a clip and start decoding it; `facts` is known when this returns.

    Raises InputError when the clip is not a video or breaks a limit, OSError when the file cannot be read.
    Example: with open_clip(path) as clip: times = [frame.time_s for frame in clip.read_frames()]
    """
    return ClipReader(path, sampling, limits)


class ClipReader:
    """A clip being decoded; a context manager. Leaving it, or losing this process, ends the child."""

    def __init__(self, path: Path, sampling: Sampling, limits: VideoLimits) -> None:
        self._sampling = sampling
        self._limits = limits
        self._wait_left_s = limits.timeout_s
        self._may_retry = True
        self._last_index = -1
        self._num_records = 0
        self._delivered: list[int] = []
        self._file = open(path, "rb")  # noqa: SIM115  held until close()
        self._child: Child | None = None
        try:
            self._outline = _inspect(self._file, limits)
            self._shape = self._expect_facts()
            self.facts = self._describe(self._shape)
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
        """The process that decodes, None once closed."""
        return self._child.pid if self._child else None

    def close(self) -> None:
        """End the child and free the shared memory; may be called more than once."""
        if self._child:
            self._child.end()
            self._child = None
        self._file.close()

    def read_frames(self) -> Iterator[Frame]:
        """The chosen frames in the order shown, each once; a second call continues where the first stopped.

        At most NUM_SLOTS frames are decoded ahead, however slowly they are taken. Damaged frames are left
        out; `facts` then says so. Raises InputError when the clip turns out to be undecodable.
        """
        while self._child is not None:
            record = self._next_record()
            self._num_records += 1
            # Two children, facts and each frame once: who says more would keep this process busy for ever.
            if self._num_records > 2 * len(self.facts.indices) + 2:
                raise refuse.refuse_undecodable()
            if isinstance(record, End):
                self._finish()
                return
            if isinstance(record, FrameReady):
                frame = self._take(record)
                if frame is not None:
                    yield frame

    def read_sound(self) -> Sound | None:
        """The clip's own sound in the wanted part, by a child of its own; before its frames have been read.

        None where there is none that can be decoded.
        """
        child = self._spawn(Wanted.SOUND)
        try:
            return receive_sound(child, self._limits)
        finally:
            child.end()

    def _take(self, ready: FrameReady) -> Frame | None:
        """Copy a frame out of its slot; None when it was delivered before the child was replaced."""
        assert self._child is not None
        if ready.frame_index not in self.facts.indices:
            raise refuse.refuse_undecodable()
        pixels = self._child.slot(ready.slot, self._shape.num_bytes)
        is_new = ready.frame_index > self._last_index
        rgb = _upright(pixels, self._shape) if is_new else None
        self._child.release_slot()
        if rgb is None:
            return None
        self._last_index = ready.frame_index
        self._delivered.append(ready.frame_index)
        return Frame(ready.frame_index, ready.time_s, rgb)

    def _finish(self) -> None:
        if not self._delivered:
            raise refuse.refuse_corrupt()
        if len(self._delivered) < len(self.facts.indices):
            self.facts = replace(
                self.facts,
                indices=tuple(self._delivered),
                warnings=(*self.facts.warnings, FRAMES_SKIPPED),
            )
        self.close()

    def _next_record(self) -> Record:
        """The next record of the child, or of a second one if the first died."""
        assert self._child is not None
        try:
            record, waited_s = self._child.receive(self._wait_left_s)
        except ChildTimeoutError:
            raise refuse.refuse_timeout(self._limits) from None
        except SandboxViolationError:
            raise refuse.refuse_undecodable() from None
        except ChildDiedError:
            if not self._may_retry:
                raise refuse.refuse_undecodable() from None
            self._may_retry = False
            self._child.end()
            self._child = self._spawn()
            return self._next_record()
        self._wait_left_s -= waited_s
        if isinstance(record, Failure):
            is_unknown = record.reason == Reason.NO_VIDEO or record.codec == "unknown"
            if is_unknown and self._outline.is_truncated:
                raise refuse.refuse_corrupt()  # what says which track holds which pictures was cut off
            raise refusal(record, self._sampling.start_s, self._limits)
        return record

    def _expect_facts(self) -> Facts:
        self._child = self._spawn()
        record = self._next_record()
        if not isinstance(record, Facts) or not _is_within(record, self._limits):
            raise refuse.refuse_undecodable()
        return record

    def _spawn(self, wanted: Wanted = Wanted.FRAMES) -> Child:
        limits, sampling = self._limits, self._sampling
        return Child(
            self._file.fileno(),
            lambda slot_bytes: Request(
                wanted=wanted,
                slot_bytes=slot_bytes,
                container=self._outline.container,
                max_duration_s=limits.max_duration_s,
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
            # The largest picture of 16 bits; what is not written takes no memory.
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
        is_truncated = self._outline.is_truncated or bool(facts.flags & Flag.TRUNCATED)
        return ClipFacts(
            width=width,
            height=height,
            codec=SUPPORTED_CODECS[facts.codec],
            source_fps=facts.source_fps,
            duration_s=facts.duration_s,
            num_source_frames=facts.num_source_frames,
            has_audio=bool(facts.flags & Flag.HAS_AUDIO),
            indices=tuple(chosen),
            warnings=(TRUNCATED,) if is_truncated else (),
        )


def _is_within(facts: Facts, limits: VideoLimits) -> bool:
    """Whether the child kept to the limits: it says nothing else unless it was taken over."""
    sides = (max(facts.width, facts.height), min(facts.width, facts.height))
    is_small = sides[0] <= limits.max_long_side and sides[1] <= limits.max_short_side
    return is_small and facts.num_source_frames <= limits.max_num_packets


def _inspect(file: BinaryIO, limits: VideoLimits) -> Outline:
    num_bytes = os.fstat(file.fileno()).st_size
    if num_bytes == 0:
        raise refuse.refuse_empty()
    if num_bytes > limits.max_bytes:
        raise refuse.refuse_bytes(num_bytes, limits)
    found = outline(file.fileno(), num_bytes)
    if found is None:
        raise refuse.refuse_format()
    return found


def _upright(pixels: NDArray[np.uint8], facts: Facts) -> NDArray[np.uint8]:
    """A copy, in display orientation and 8 bits, of the packed pixels in a slot."""
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
