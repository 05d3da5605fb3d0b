"""One time line from the times that packets carry: they may be missing, far from all others, or start again.

Runs in the decoding child only. Times are in ticks of the stream's time base. The times of an ordinary clip are left
as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

# H.264 and HEVC decoders hold back at most 16 pictures, so no picture is decoded further ahead of its time.
_MAX_REORDERED = 16
# A time is a stray only when it is further away than this from those around it.
_STRAY_S = 10.0
# A key frame that is this much earlier than a frame before it begins another recording.
_RESTART_S = 0.5
# Without times, durations and a rate, as FFmpeg assumes.
_DEFAULT_FRAME_S = 0.04


class Stamp(NamedTuple):
    """When a frame is shown, as the container says.

    pts:      in ticks; None where the container has none
    duration: in ticks; 0 where it is unknown
    is_key:   decoding can begin here
    """

    pts: int | None
    duration: int
    is_key: bool


class TimeLine(NamedTuple):
    """The frames of a clip, put in order.

    pts:     of each frame, in file order; None for a frame that is left out because its time is a stray
    ticks:   when each frame is shown, ascending, without strays
    end:     the end of the frame that ends last, as far as durations are known
    has_pts: pts identify the frames: none is missing, and no two are equal
    """

    pts: list[int | None]
    ticks: list[float]
    end: float
    has_pts: bool

    @property
    def num_strays(self) -> int:
        """How many frames are left out."""
        return len(self.pts) - len(self.ticks)

    def times_s(self, time_base: float) -> list[float]:
        """Seconds from the first shown frame, ascending. time_base: seconds in a tick"""
        return [(tick - self.ticks[0]) * time_base for tick in self.ticks]

    def duration_s(self, time_base: float, frame_s: float) -> float:
        """From the first frame to the end of the last one. frame_s: how long a frame of unknown duration is shown"""
        first, last = self.ticks[0], self.ticks[-1]
        if self.end > last:
            return (self.end - first) * time_base
        return (last - first) * time_base + frame_s


def time_line(stamps: Sequence[Stamp], time_base: float, frame_s: float, *, is_reordered: bool) -> TimeLine:
    """The time line of a stream's frames.

    stamps:       of every frame in file order, at least one
    time_base:    seconds in a tick
    frame_s:      how long a frame of unknown duration is shown
    is_reordered: frames may be decoded before others that are shown earlier
    Example, one tick a second: frames of 1 s at 0 1 90 3 4 → the third is a stray; at 0 1 0 1, where the third is a
    key frame → 0 1 2 3; at None None 0 1 → -2 -1 0 1.
    """
    known = [stamp.pts for stamp in stamps if stamp.pts is not None]
    if len(known) < len(stamps):
        return _filled(stamps, (frame_s or _DEFAULT_FRAME_S) / time_base)
    strays = _strays(known, _STRAY_S / time_base, _MAX_REORDERED if is_reordered else 1)
    pts: list[int | None] = list(known)
    kept = [number for number in range(len(stamps)) if number not in strays]
    for number in strays:
        pts[number] = None
    end = known[kept[0]]
    for number, offset in zip(kept, _offsets([stamps[i] for i in kept], time_base, frame_s), strict=True):
        pts[number] = known[number] + offset
        end = max(end, known[number] + offset + stamps[number].duration)
    shown = sorted(time for time in pts if time is not None)
    return TimeLine(pts, list(map(float, shown)), end, len(set(shown)) == len(shown))


def _filled(stamps: Sequence[Stamp], frame_ticks: float) -> TimeLine:
    """The frames without a time follow the one before them, or lie before the first that has one."""
    first = next((i for i, stamp in enumerate(stamps) if stamp.pts is not None), 0)
    tick = (stamps[first].pts or 0) - (first + 1) * frame_ticks
    ticks = [tick := tick + frame_ticks if stamp.pts is None else float(stamp.pts) for stamp in stamps]
    durations = [
        stamp.duration if stamp.pts is not None and stamp.duration else frame_ticks for stamp in stamps
    ]
    end = max(tick + duration for tick, duration in zip(ticks, durations, strict=True))
    return TimeLine([stamp.pts for stamp in stamps], sorted(ticks), end, has_pts=False)


def _strays(times: Sequence[int], gap: float, depth: int) -> set[int]:
    """Positions of single times far ahead of or far behind those around them in the file.

    depth: how many pictures may be decoded between a picture and its turn to be shown. A picture after a pause is
    decoded before the ones that are shown before the pause, so a time is a stray only when none that comes more than
    `depth` pictures later, or earlier, reaches it.
    """
    latest_from = list(accumulate(reversed(times), max))[::-1]
    earliest_to = list(accumulate(times, min))
    strays: set[int] = set()
    for i, time in enumerate(times[:-1]):
        before, after = times[i - 1] if i else None, times[i + 1]
        is_ahead = time - after > gap and (before is None or time - before > gap)
        is_behind = before is not None and before - time > gap and after - time > gap
        stays_ahead = is_ahead and i + depth < len(times) and time - latest_from[i + depth] > gap
        stays_behind = is_behind and i >= depth and earliest_to[i - depth] - time > gap
        if stays_ahead or stays_behind:
            strays.add(i)
    return strays


def _offsets(stamps: Sequence[Stamp], time_base: float, frame_s: float) -> list[int]:
    """What to add to each time so that recordings that were joined follow each other; every stamp has a time."""
    offsets: list[int] = []
    offset = num_in_part = 0
    first = latest = end = stamps[0].pts or 0
    for pts, duration, is_key in stamps:
        assert pts is not None
        is_back = pts < latest - _RESTART_S / time_base or (num_in_part > _MAX_REORDERED and pts <= first)
        if is_key and is_back:
            offset, num_in_part, first, latest = end - pts, 0, pts, pts
        latest = max(latest, pts)
        end = max(end, pts + offset + (duration or round(frame_s / time_base) or 1))
        offsets.append(offset)
        num_in_part += 1
    return offsets
