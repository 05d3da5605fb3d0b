import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from omnireel.video.limits import VideoLimits
from omnireel.video.patch_grid import most_patches, target_grid
from omnireel.video.tubelets import PixelSpec, frame_pixels, tubelet_batches

SPEC = PixelSpec(
    target_patches=16, patch_size=8, temporal_patch_size=2, mean=(0.48, 0.46, 0.41), std=(0.27, 0.26, 0.28)
)
GOLDEN = [
    *(
        ((w, h), (24, 42))
        for w, h in [(1920, 1080), (1280, 720), (854, 480), (640, 360), (320, 180), (3840, 2160)]
    ),
    ((1080, 1920), (42, 24)),
    ((720, 1280), (42, 24)),
    *((size, (28, 36)) for size in [(640, 480), (1440, 1080), (720, 576)]),
    ((500, 500), (32, 32)),
    ((2560, 1080), (20, 48)),
    ((4096, 2160), (22, 44)),
    ((1000, 100), (10, 102)),
]


def random_frames(count, height=30, width=50):
    rng = np.random.default_rng(7)
    return [rng.integers(0, 256, (height, width, 3), dtype=np.uint8) for _ in range(count)]


def batches_of(frames, **options):
    return [batch.pixels for batch in tubelet_batches(frames, 4, 4, SPEC, **options)]


@pytest.mark.parametrize(("size", "grid"), GOLDEN)
def test_the_reference_grids_are_reproduced(size, grid):
    assert target_grid(*size, 1024) == grid


def test_a_grid_is_even_and_at_least_two_by_two():
    for width, height in [(1, 5000), (5000, 1), (7, 3), (16, 16)]:
        rows, cols = target_grid(width, height, 4)
        assert rows >= 2
        assert cols >= 2
        assert rows % 2 == cols % 2 == 0


def test_pixels_are_filtered_without_clamping_and_then_normalised():
    frame = np.zeros((64, 64, 3), np.uint8)
    frame[:, 32:] = 255
    pixels = frame_pixels(frame, 4, 4, SPEC)
    expected = F.interpolate(
        torch.from_numpy(frame).permute(2, 0, 1).contiguous()[None].float(),
        size=(32, 32),
        mode="bicubic",
        antialias=True,
        align_corners=False,
    )[0]
    mean, std = torch.tensor(SPEC.mean)[:, None, None], torch.tensor(SPEC.std)[:, None, None]
    assert torch.equal(pixels, (expected / 255 - mean) / std)
    assert expected.max() > 255
    assert pixels.is_contiguous()


def test_a_frame_of_the_right_size_is_not_filtered():
    frame = random_frames(1, 32, 32)[0]
    pixels = frame_pixels(frame, 4, 4, SPEC)
    restored = pixels * torch.tensor(SPEC.std)[:, None, None] + torch.tensor(SPEC.mean)[:, None, None]
    assert torch.equal((restored * 255).round().permute(1, 2, 0).to(torch.uint8), torch.from_numpy(frame))


def test_a_tubelet_holds_all_channels_of_its_first_frame_before_the_second():
    frames = random_frames(4)
    (batch,) = batches_of(frames)
    assert batch.shape == (2, 6, 32, 32)
    for i, frame in enumerate(frames):
        assert torch.equal(batch[i // 2, 3 * (i % 2) :][:3], frame_pixels(frame, 4, 4, SPEC))


@pytest.mark.parametrize("count", [1, 3, 5])
def test_an_odd_tail_repeats_the_last_frame(count):
    frames = random_frames(count)
    assert torch.equal(torch.cat(batches_of(frames)), torch.cat(batches_of([*frames, frames[-1]])))


@pytest.mark.parametrize("max_tubelets", [1, 2, 3, 16])
def test_any_batch_size_gives_the_same_tubelets(max_tubelets):
    frames = random_frames(9)
    batches = batches_of(frames, max_tubelets=max_tubelets)
    assert all(1 <= len(batch) <= max_tubelets for batch in batches)
    assert torch.equal(torch.cat(batches), torch.cat(batches_of(frames, max_tubelets=5)))


def test_no_more_frames_are_taken_than_a_batch_and_the_tubelet_after_it_need():
    taken = []
    source = (taken.append(i) or frame for i, frame in enumerate(random_frames(10)))
    next(iter(tubelet_batches(source, 4, 4, SPEC, max_tubelets=2)))
    assert len(taken) == 6


@pytest.mark.parametrize("max_tubelets", [1, 2, 16])
def test_equal_tubelets_in_a_row_are_in_a_batch_once(max_tubelets):
    a, b, c = random_frames(3)
    in_order = [a, a, a, a, a, b, a, b, c, c, c, c, a, a, a]
    batches = list(tubelet_batches(in_order, 4, 4, SPEC, max_tubelets=max_tubelets))
    assert [count for batch in batches for count in batch.repeats] == [2, 2, 2, 2]
    assert all(len(batch.pixels) == len(batch.repeats) <= max_tubelets for batch in batches)
    frames = [frame_pixels(frame, 4, 4, SPEC) for frame in [*in_order, a]]
    every = torch.stack([torch.cat(frames[n : n + 2]) for n in range(0, len(frames), 2)])
    assert torch.equal(torch.cat([batch.repeated(batch.pixels) for batch in batches]), every)


def test_no_frames_give_no_batches():
    assert batches_of([]) == []


@pytest.mark.parametrize("target", [32, 64, 256, 1024])
def test_no_frame_has_more_patches_than_the_bound(target):
    bound = most_patches(target, VideoLimits())
    sizes = [(w, h) for w in range(16, 1921, 17) for h in range(16, 1081, 13) if max(w, h) <= 120 * min(w, h)]
    assert max(math.prod(target_grid(w, h, target)) for w, h in [*sizes, (1920, 16), (16, 1080)]) <= bound
    assert bound <= 4 * target
