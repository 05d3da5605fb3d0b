"""Clips that several tests look at; encoded once per run."""

from fractions import Fraction

import pytest
from clips import ClipSpec, write_clip


@pytest.fixture(scope="session")
def clip_folder(tmp_path_factory):
    return tmp_path_factory.mktemp("clips")


@pytest.fixture(scope="session")
def clip(clip_folder):
    """Two seconds of h264 at 30 fps, with sound."""
    return write_clip(clip_folder / "clip.mp4", ClipSpec(with_audio=True))


@pytest.fixture(scope="session")
def slow_clip(clip_folder):
    """Ten pictures, one each second: long but quick to make."""
    return write_clip(clip_folder / "slow.mp4", ClipSpec(num_frames=10, rate=Fraction(1)))
