"""Small pictures of frames: their size, and that any PNG reader gets the same pixels."""

import io

import numpy as np
import pytest
from PIL import Image

from omnireel.video.thumbnails import MAX_SIDE, png, thumbnail


def noise(height, width):
    return np.random.default_rng(1).integers(0, 256, (height, width, 3), np.uint8)


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((90, 160), (90, 160)),
        ((1080, 1920), (90, 160)),
        ((1920, 1080), (160, 90)),
        ((720, 1280), (90, 160)),
        ((270, 480), (90, 160)),
        ((16, 16), (16, 16)),
        ((16, 3840), (1, 160)),
        ((101, 161), (50, 80)),
    ],
)
def test_no_side_is_longer_than_the_limit_and_the_shape_stays(size, expected):
    small = thumbnail(noise(*size))
    assert small.shape == (*expected, 3)
    assert small.dtype == np.uint8
    assert max(small.shape) <= MAX_SIDE


def test_each_pixel_is_the_mean_of_its_block():
    rgb = np.zeros((320, 480, 3), np.uint8)
    rgb[:150, 240:] = (200, 100, 50)
    small = thumbnail(rgb)
    assert small.shape == (106, 160, 3)
    assert small[10, 100].tolist() == [200, 100, 50]
    assert small[10, 10].tolist() == small[80, 100].tolist() == [0, 0, 0]


def test_a_png_holds_six_bits_of_every_colour():
    for size in ((1, 1), (7, 5), (90, 160)):
        rgb = noise(*size)
        picture = Image.open(io.BytesIO(png(rgb)))
        assert (picture.format, picture.mode) == ("PNG", "RGB")
        assert np.array_equal(np.asarray(picture), rgb & 0b1111_1100)
