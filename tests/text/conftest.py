import pytest
import toy

from omnireel.text.chat import ChatTemplate
from omnireel.text.tokenizer import Tokenizer


@pytest.fixture(scope="session")
def directory(tmp_path_factory):
    path = tmp_path_factory.mktemp("text")
    toy.write_text_files(path)
    return path


@pytest.fixture(scope="session")
def tokenizer(directory):
    return Tokenizer.from_directory(directory)


@pytest.fixture(scope="session")
def template(directory):
    return ChatTemplate.from_directory(directory)
