import numpy as np
import pytest
import torch
from oracle import TOLERANCE, VideoProcessor, oracle_vision_tokens

from omnireel.video.patch_grid import target_grid
from omnireel.video.tubelets import PixelSpec, frame_pixels, tubelet_batches

MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
GRIDS = [(6, 10), (10, 6), (8, 8), (2, 20), (16, 16), (24, 4)]


def noise_frames(count, height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize(("rows", "cols"), GRIDS)
def test_vision_tokens_are_those_of_transformers(model, oracle, rows, cols):
    """The grids are smaller than, as large as and larger than the position table. Few are square."""
    frames = torch.randn(4, 3, 16 * rows, 16 * cols, generator=torch.Generator().manual_seed(0))
    ours = model.encode_video(frames.reshape(2, 6, 16 * rows, 16 * cols))
    assert ours.shape[1:3] == (rows // 2, cols // 2)
    torch.testing.assert_close(ours.flatten(1, 2), oracle_vision_tokens(oracle, frames), **TOLERANCE)


def test_vision_tokens_of_an_odd_number_of_frames_are_those_of_transformers(model, oracle):
    spec = PixelSpec(target_patches=64, patch_size=16, temporal_patch_size=2, mean=MEAN, std=STD)
    frames = noise_frames(3, 90, 160)
    rows, cols = target_grid(160, 90, 64)
    ours = torch.cat(
        [model.encode_video(batch.pixels) for batch in tubelet_batches(frames, rows, cols, spec)]
    )
    pixels = torch.stack([frame_pixels(frame, rows, cols, spec) for frame in frames])
    torch.testing.assert_close(ours.flatten(1, 2), oracle_vision_tokens(oracle, pixels), **TOLERANCE)


@pytest.mark.parametrize("target", [64, 1024])
@pytest.mark.parametrize(
    ("width", "height"), [(160, 90), (90, 160), (100, 100), (640, 480), (97, 61), (512, 512), (300, 30)]
)
def test_pixels_are_those_of_transformers_video_processor(width, height, target):
    spec = PixelSpec(target_patches=target, patch_size=16, temporal_patch_size=2, mean=MEAN, std=STD)
    frames = noise_frames(2, height, width)
    rows, cols = target_grid(width, height, target)
    ours = torch.stack([frame_pixels(frame, rows, cols, spec) for frame in frames])
    processor = VideoProcessor(norm_mean=list(MEAN), norm_std=list(STD), video_target_num_patches=target)
    # Only _preprocess is called: the steps before it convert file formats and need torchvision.
    theirs = processor._preprocess([torch.from_numpy(frames).permute(0, 3, 1, 2)])
    torch.testing.assert_close(ours, theirs["pixel_values_videos"], **TOLERANCE)
    assert theirs["num_tokens"] == [rows * cols // 4] * 2
