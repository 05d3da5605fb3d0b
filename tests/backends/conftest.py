import asyncio
from fractions import Fraction

import pytest
from clips import ClipSpec, write_clip
from tiny import local_backend, tiny_encoder, tiny_model


@pytest.fixture(scope="session")
def clip(tmp_path_factory):
    """Three seconds at 10 frames a second: six frames at 2 a second."""
    spec = ClipSpec(codec="mpeg4", num_frames=30, rate=Fraction(10))
    return write_clip(tmp_path_factory.mktemp("clips") / "square.mp4", spec)


@pytest.fixture
def model():
    return tiny_model()


@pytest.fixture
def local(model, text_directory):
    """The local backend with a small model of random weights."""
    backend = local_backend(tiny_encoder(model, text_directory))
    yield backend
    asyncio.run(backend.close())
