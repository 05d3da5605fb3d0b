"""What more than one part's tests stand on."""

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
    """A shell's background job ignores SIGINT, and so would every process that a test interrupts."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
