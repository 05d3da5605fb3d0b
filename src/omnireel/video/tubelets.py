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


@dataclass(frozen=True, eq=False)
class TubeletBatch:
    """Tubelets that differ from the one before.

    pixels:  [n, T·3, rows·p, cols·p] fp32, channels of frame 0 first
    repeats: for each tubelet, how many times it follows itself in the clip, at least 1
    """

    pixels: Tensor
    repeats: tuple[int, ...]

    def repeated(self, values: Tensor) -> Tensor:
        """A value for each tubelet of the clip, from one for each of `pixels`. [n, ...] → [sum(repeats), ...]"""
        return values.repeat_interleave(torch.tensor(self.repeats), dim=0)


def tubelet_batches(
    frames: Iterable[NDArray[np.uint8]], rows: int, cols: int, spec: PixelSpec, *, max_tubelets: int = 16
) -> Iterator[TubeletBatch]:
    """The clip's tubelets, at most `max_tubelets` in a batch; of equal ones in a row only the first.

    Memory holds one batch and one tubelet, however many frames there are. An incomplete last tubelet is filled by
    repeating the last frame.
    """
    shape = (spec.temporal_patch_size * 3, rows * spec.patch_size, cols * spec.patch_size)
    batch = torch.empty(max_tubelets, *shape)
    repeats: list[int] = []
    for tubelet in _tubelets(frames, rows, cols, spec):
        if repeats and torch.equal(tubelet, batch[len(repeats) - 1]):
            repeats[-1] += 1
            continue
        if len(repeats) == max_tubelets:
            yield TubeletBatch(batch, tuple(repeats))
            batch, repeats = torch.empty(max_tubelets, *shape), []
        batch[len(repeats)] = tubelet
        repeats.append(1)
    if repeats:
        yield TubeletBatch(batch[: len(repeats)], tuple(repeats))


def _tubelets(frames: Iterable[NDArray[np.uint8]], rows: int, cols: int, spec: PixelSpec) -> Iterator[Tensor]:
    """Each tubelet, [T·3, rows·p, cols·p]."""
    source = iter(frames)
    while pixels := [frame_pixels(rgb, rows, cols, spec) for rgb in islice(source, spec.temporal_patch_size)]:
        pixels += pixels[-1:] * (spec.temporal_patch_size - len(pixels))
        yield torch.cat(pixels)
