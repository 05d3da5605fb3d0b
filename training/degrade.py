"""Pixels of a clip, either clean or with the artefacts of encoders and cameras."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

import torch
from torch import Tensor

from omnireel.video.tubelets import PixelSpec, frame_pixels
from training.paint import Frame, through_jpeg, through_video

CODECS = (("libx264", "crf", (18, 36)), ("libx264", "crf", (18, 36)), ("mpeg4", "qscale", (2, 14)))


# Times, width and height → frames.
Painter = Callable[[Sequence[float], int, int], Frame]


def degraded_pixels(
    painter: Painter, times_s: Sequence[float], grid: tuple[int, int], spec: PixelSpec, rng: Random
) -> Tensor:
    """Pixels of a clip, often with artefacts of encoders and noise of cameras. [F, 3, H, W] normalised."""
    height, width = grid[0] * spec.patch_size, grid[1] * spec.patch_size
    kind = rng.random()
    if kind < 0.72:
        frames = painter(times_s, width, height)
    else:
        tall = rng.choice((90, 120, 144, 180, 240, 288, 360))
        frames = painter(times_s, round(tall * width / height / 2) * 2, tall)
    if kind > 0.82:
        codec, knob, (low, high) = rng.choice(CODECS)
        options = {knob: str(rng.randint(low, high))} | (
            {"preset": "ultrafast"} if codec == "libx264" else {}
        )
        frames = through_video(frames, codec, options)
    elif 0.35 < kind < 0.55:
        frames = through_jpeg(frames, rng.randint(25, 90))
    pixels = _all_pixels(frames, grid, spec)
    if rng.random() < 0.25:
        generator = torch.Generator().manual_seed(rng.randrange(1 << 30))
        pixels += torch.randn(pixels.shape, generator=generator) * rng.uniform(0.01, 0.07)
    return pixels


def _all_pixels(frames: Frame, grid: tuple[int, int], spec: PixelSpec) -> Tensor:
    """`frame_pixels` of every frame. Frames that need no resizing are converted together, which is much faster."""
    if frames.shape[1:3] != (grid[0] * spec.patch_size, grid[1] * spec.patch_size):
        return torch.stack([frame_pixels(frame, grid[0], grid[1], spec) for frame in frames])
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (spec.mean, spec.std))
    planes = torch.from_numpy(frames.transpose(0, 3, 1, 2).copy())
    return planes.float().mul_(1 / (255 * std)).sub_(mean / std)


def clean_pixels(
    painter: Painter, times_s: Sequence[float], grid: tuple[int, int], spec: PixelSpec, _rng: Random
) -> Tensor:
    """Pixels of a clip without artefacts. [F, 3, H, W] normalised."""
    frames = painter(times_s, grid[1] * spec.patch_size, grid[0] * spec.patch_size)
    return _all_pixels(frames, grid, spec)
