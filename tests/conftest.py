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


# Each needs an environment or an extra of its own, which a target of the Makefile makes.
NAMED_FOLDERS = ("gguf", "vllm_server")


def pytest_ignore_collect(collection_path, config):
    """Folders that are collected only where they are named: `make test-gguf`, `make test-vllm`."""
    named = {part for argument in config.args for part in Path(argument.partition("::")[0]).parts}
    folder = collection_path.name
    is_unnamed = folder in NAMED_FOLDERS and folder not in named
    return True if is_unnamed and collection_path.parent == Path(__file__).parent else None
