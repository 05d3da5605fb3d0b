"""Fixtures for the tests of several parts."""

import signal

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
