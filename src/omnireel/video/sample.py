"""Chooses which frames of a clip the model sees: numbers in, frame indices out.

Nothing here depends on files, decoders or pixels. The algorithm is the one that NVIDIA serves the model with
(vLLM's OpenCV loader): the first and the last frame are always taken, so the spacing is slightly more than 1/fps.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence

# Containers round times: a frame at 0.999999 s belongs to a window that starts at 1 s.
_ROUNDING_S = 1e-4


def choose_frames(
    num_frames: int, source_fps: float, *, fps: float | None, max_frames: int | None
) -> list[int]:
    """Indices of the frames to read, ascending, at least one.

    num_frames: frames in the clip, at least 1
    source_fps: frames per second of the clip, above 0
    fps:        frames per second to choose; None sets no limit
    max_frames: inclusive limit on the count; None sets no limit
    Example: 300 frames at 30 per second, fps 2 → 20 indices: 0 15 31 47 … 283 299.
    Source: vllm v0.32.0 multimodal/video.py (OpenCV dynamic loader).
    """
    count = num_frames
    if max_frames is not None:
        count = min(count, max_frames)
    if fps is not None:
        count = min(count, int(num_frames / source_fps * fps))
    return _spread(num_frames, max(count, 1))


def choose_frames_between(
    first: int, num_frames: int, source_fps: float, *, fps: float | None, max_frames: int | None
) -> list[int]:
    """As `choose_frames`, among num_frames frames of which the first has the index `first`."""
    chosen = choose_frames(num_frames, source_fps, fps=fps, max_frames=max_frames)
    return [first + index for index in chosen]


def window(times_s: Sequence[float], start_s: float | None, end_s: float | None) -> tuple[int, int]:
    """First index and number of the frames shown from start_s to end_s, both inclusive.

    times_s: when each frame appears, ascending, not empty
    A window between two frames holds one frame: the one on the screen when the window starts.
    """
    first = 0 if start_s is None else bisect_left(times_s, start_s - _ROUNDING_S)
    stop = len(times_s) if end_s is None else bisect_right(times_s, end_s + _ROUNDING_S)
    if stop <= first:
        return max(first - 1, 0), 1
    return first, stop - first


def _spread(num_frames: int, count: int) -> list[int]:
    """`count` evenly spaced indices from 0 to num_frames − 1, truncated as numpy's linspace does."""
    if count == 1:
        return [0]
    step = (num_frames - 1) / (count - 1)
    return [int(i * step) for i in range(count - 1)] + [num_frames - 1]
