"""From RGB frames to the pixel tensors that the vision tower reads.

The only module in video/ that imports torch. model/vision/tower.py cuts the pixels into patches.
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
    """The pixels that a checkpoint expects.

    target_patches:      patches per frame; the grid of a frame comes close to this number
    patch_size:          side of a patch in pixels
    temporal_patch_size: frames per tubelet
    mean, std:           of the channels red, green, blue, for values from 0 to 1
    """

    target_patches: int
    patch_size: int
    temporal_patch_size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


def frame_pixels(rgb: NDArray[np.uint8], rows: int, cols: int, spec: PixelSpec) -> Tensor:
    """One frame, resized and normalised.

    rgb: [H, W, 3] uint8
    Returns [3, rows·p, cols·p] fp32. Values beyond 0 to 1 that the bicubic filter yields are kept: clamping them,
    or using another filter, visibly differs from what the model was trained on. A frame that already has the
    target size is not filtered.
    """
    size = (rows * spec.patch_size, cols * spec.patch_size)
    # Convert to floats before permuting: converting a permuted view is several times slower.
    pixels = torch.from_numpy(rgb).float().permute(2, 0, 1)[None]
    if pixels.shape[2:] != size:
        pixels = F.interpolate(pixels, size=size, mode="bicubic", align_corners=False, antialias=True)
    mean, std = (torch.tensor(values)[:, None, None] for values in (spec.mean, spec.std))
    return pixels[0].div(255).sub_(mean).div_(std).contiguous()


def tubelet_batches(
    frames: Iterable[NDArray[np.uint8]], rows: int, cols: int, spec: PixelSpec, *, max_tubelets: int = 16
) -> Iterator[Tensor]:
    """Tubelets in batches: [n, T·3, rows·p, cols·p] fp32, 1 ≤ n ≤ max_tubelets, channels of frame 0 first.

    Memory holds one batch at a time, however many frames there are. An incomplete last tubelet is filled by
    repeating the last frame.
    """
    source = iter(frames)
    while (batch := _next_batch(source, rows, cols, spec, max_tubelets)) is not None:
        yield batch
        del batch  # otherwise two batches would be in memory while the next one is made


def _next_batch(
    frames: Iterator[NDArray[np.uint8]], rows: int, cols: int, spec: PixelSpec, max_tubelets: int
) -> Tensor | None:
    """The next batch, or None at the end. Frames are written directly into it, so no frame is held twice."""
    frames_per_tubelet = spec.temporal_patch_size
    size = (rows * spec.patch_size, cols * spec.patch_size)
    batch = torch.empty(max_tubelets * frames_per_tubelet, 3, *size)  # [n·T, 3, H, W]
    num_frames = 0
    for rgb in islice(frames, len(batch)):
        batch[num_frames] = frame_pixels(rgb, rows, cols, spec)
        num_frames += 1
    if num_frames == 0:
        return None
    num_tubelets = -(-num_frames // frames_per_tubelet)
    batch[num_frames : num_tubelets * frames_per_tubelet] = batch[num_frames - 1]
    return batch[: num_tubelets * frames_per_tubelet].view(num_tubelets, frames_per_tubelet * 3, *size)
