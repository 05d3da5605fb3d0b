import asyncio
from fractions import Fraction

import pytest
from clips import ClipSpec, write_clip
from tiny import tiny_model

from omnireel.backends.local import LocalBackend
from omnireel.prompting.counts import TokenCounter
from omnireel.prompting.encoding import PromptEncoder
from omnireel.text.chat import ChatTemplate
from omnireel.text.tokenizer import Tokenizer


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
    """The real path with a model that has random weights."""
    tokenizer = Tokenizer.from_directory(text_directory)
    template = ChatTemplate.from_directory(text_directory)
    backend = LocalBackend(
        PromptEncoder(model, TokenCounter(model.config, tokenizer, template)), model_name="tiny"
    )
    yield backend
    asyncio.run(backend.close())
