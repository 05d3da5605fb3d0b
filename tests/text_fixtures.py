"""Fixtures: the toy tokenizer and template."""

import pytest

from omnireel.text.chat import ChatTemplate
from omnireel.text.tokenizer import Tokenizer


@pytest.fixture(scope="session")
def directory(text_directory):
    return text_directory


@pytest.fixture(scope="session")
def tokenizer(directory):
    return Tokenizer.from_directory(directory)


@pytest.fixture(scope="session")
def template(directory):
    return ChatTemplate.from_directory(directory)
