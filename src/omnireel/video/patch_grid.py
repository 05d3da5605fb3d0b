"""The grid of patches that a frame is resized to, in plain numbers. Free of torch."""

import math

from omnireel.video.limits import VideoLimits

# Rows and columns are even because the projector joins 2×2 patches.
_DIVISOR = 2


def target_grid(width: int, height: int, target_patches: int) -> tuple[int, int]:
    """Rows and columns of patches that a frame is resized to, both even.

    Small frames are enlarged; the aspect ratio is only nearly kept.
    Example: 1920×1080 and 1024 patches → 24 rows of 42.
    Source: vllm v0.32.0 nano_nemotron_vl.py, transformers v5.23 Nemotron Omni video processor.
    """
    ratio = width / height
    rows = max(round(math.sqrt(target_patches / ratio)), 1)
    cols = max(round(math.sqrt(target_patches * ratio)), 1)
    up = rows + rows % _DIVISOR, cols + cols % _DIVISOR
    if up[0] * up[1] <= target_patches:
        return up
    return max(rows - rows % _DIVISOR, _DIVISOR), max(cols - cols % _DIVISOR, _DIVISOR)


def most_patches(target_patches: int, limits: VideoLimits) -> int:
    """No `target_grid` of an admitted clip has more patches.

    Rounding to even numbers adds most where there are few rows, so the longest frame is the worst.
    """
    rows = math.sqrt(target_patches * limits.min_side / limits.max_long_side)
    columns = target_patches / rows
    return max(target_patches, math.ceil(max(rows + 0.5, 2) * (columns + 0.5)))
