"""What more than one part's tests stand on."""

import pytest
import toy_text


@pytest.fixture(scope="session")
def text_directory(tmp_path_factory):
    """A checkpoint's text files: tokenizer, chat template, generation config."""
    path = tmp_path_factory.mktemp("text")
    toy_text.write_text_files(path)
    return path
