"""Fixtures for the tests of several parts."""

import signal
from pathlib import Path

import pytest
import toy_text


@pytest.fixture(scope="session")
def text_directory(tmp_path_factory):
    """A checkpoint's text files: tokenizer, chat template, generation config."""
    path = tmp_path_factory.mktemp("text")
    toy_text.write_text_files(path)
    return path


def pytest_configure() -> None:
    """Stop ignoring SIGINT: a shell's background job ignores it, and the processes that tests start would as well."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_ignore_collect(collection_path, config):
    """tests/gguf needs the extra omnireel[gguf], so it is collected only where it is named: `make test-gguf`."""
    named = any("gguf" in Path(argument.partition("::")[0]).parts for argument in config.args)
    return True if collection_path == Path(__file__).parent / "gguf" and not named else None
