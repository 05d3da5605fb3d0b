"""RGB frames become the pixels the vision tower reads.

The only place in video/ with torch. Knows nothing of files; model/vision/tower.py cuts the patches.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True)
class PixelSpec:
    """How a checkpoint wants its frames.

    target_patches: patches per frame to come close to
    mean, std:      of the channels red, green, blue, for values from 0 to 1
    """

    target_patches: int
    patch_size: int
    temporal_patch_size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


def frame_pixels(rgb: NDArray[np.uint8], rows: int, cols: int, spec: PixelSpec) -> Tensor:
    """One frame, resized and normalised.

    rgb: [H, W, 3] uint8
    Returns [3, rows·p, cols·p] fp32. The overshoot of the bicubic filter is kept: clamping it, or another
    filter, visibly changes what the model was trained on. A frame that has the size already is not filtered.
    """
    size = (rows * spec.patch_size, cols * spec.patch_size)
    # To floats first: torch converts a permuted view several times slower.
    pixels = torch.from_numpy(rgb).float().permute(2, 0, 1)[None]
    if pixels.shape[2:] != size:
        pixels = F.interpolate(pixels, size=size, mode="bicubic", align_corners=False, antialias=True)
    mean, std = (torch.tensor(values)[:, None, None] for values in (spec.mean, spec.std))
    return pixels[0].div(255).sub_(mean).div_(std).contiguous()


def tubelet_batches(
    frames: Iterable[NDArray[np.uint8]], rows: int, cols: int, spec: PixelSpec, *, max_tubelets: int = 16
) -> Iterator[Tensor]:
    """Tubelets in batches: [n, T·3, rows·p, cols·p] fp32, 1 ≤ n ≤ max_tubelets, channels of frame 0 first.

    Holds one batch at a time, whatever the number of frames. A last tubelet that is not full repeats the
    last frame.
    """
    source = iter(frames)
    while (batch := _next_batch(source, rows, cols, spec, max_tubelets)) is not None:
        yield batch
        del batch  # or two batches would be alive while the next one is made


def _next_batch(
    frames: Iterator[NDArray[np.uint8]], rows: int, cols: int, spec: PixelSpec, max_tubelets: int
) -> Tensor | None:
    """Frames go straight to their place: nothing is held twice."""
    num_together = spec.temporal_patch_size
    size = (rows * spec.patch_size, cols * spec.patch_size)
    batch = torch.empty(max_tubelets * num_together, 3, *size)  # [n·T, 3, H, W]
    num_frames = 0
    for rgb in islice(frames, len(batch)):
        batch[num_frames] = frame_pixels(rgb, rows, cols, spec)
        num_frames += 1
    if num_frames == 0:
        return None
    num_tubelets = -(-num_frames // num_together)
    batch[num_frames : num_tubelets * num_together] = batch[num_frames - 1]
    return batch[: num_tubelets * num_together].view(num_tubelets, num_together * 3, *size)
