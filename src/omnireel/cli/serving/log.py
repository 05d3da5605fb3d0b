"""The log of a server or a worker: one line for each event, on stderr. Nothing that logs waits for its reader."""

import logging
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOBase
from typing import TextIO, cast

import structlog
from structlog.typing import Processor

from omnireel.cli.failures import FAILED, printable
from omnireel.cli.serving.bounded_writer import BoundedWriter

# How long a process that ends waits for a slow reader of its log.
FLUSH_S = 1.0

log = structlog.get_logger()


class _Lines(TextIOBase):
    """A writer as a text stream, for the handlers of the standard library, and as a logger for structlog."""

    def __init__(self, writer: BoundedWriter) -> None:
        self._writer = writer

    def write(self, text: str) -> int:
        """Queue one entry."""
        self._writer.write(text)
        return len(text)

    def msg(self, message: str) -> None:
        """Queue one event."""
        self._writer.write(f"{message}\n")

    debug = info = warning = error = critical = msg


@contextmanager
def logging_to_stderr() -> Iterator[BoundedWriter]:
    """Write one line per event to stderr: JSON, or coloured text on a terminal. Warnings of libraries as well.

    Leaving the block waits FLUSH_S at most for what is not written yet.
    """
    renderer: Processor = (
        _for_terminal if sys.stderr and sys.stderr.isatty() else structlog.processors.JSONRenderer()
    )
    writer = BoundedWriter(descriptor_of(sys.stderr), lambda num_dropped: _note(renderer, num_dropped))
    lines = _Lines(writer)
    exceptions = structlog.processors.format_exc_info
    structlog.configure(processors=[*_PROCESSORS, exceptions, renderer], logger_factory=lambda *_: lines)
    handler = logging.StreamHandler(cast(TextIO, lines))
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, exceptions, renderer],
            foreign_pre_chain=_PROCESSORS,
        )
    )
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.captureWarnings(capture=True)
    try:
        with _lost_exceptions_logged():
            yield writer
    finally:
        logging.captureWarnings(capture=False)
        writer.flush(FLUSH_S)


def end_process(writer: BoundedWriter) -> None:
    """End this process with exit code 1 as soon as its log is written. Returns at once.

    Nothing is waited for, as after a kill: all that must not be lost is in the store.
    """

    def end() -> None:
        writer.write("error: A background task failed, so this process ends. The log has the reason.\n")
        writer.flush(FLUSH_S)
        os._exit(FAILED)

    threading.Thread(target=end, name="end", daemon=True).start()


def descriptor_of(stream: TextIO | None) -> int | None:
    """The file descriptor of stdout or stderr; None if it was closed before Python started.

    Its number may then belong to any other file, such as the store.
    """
    return None if stream is None else stream.fileno()


@contextmanager
def _lost_exceptions_logged() -> Iterator[None]:
    """Python prints exceptions that nothing can catch on stderr, and would wait for its reader."""

    def of_thread(failed: threading.ExceptHookArgs) -> None:
        log.error("a thread failed", thread=failed.thread and failed.thread.name, exc_info=failed.exc_value)

    def of_finalizer(failed: "sys.UnraisableHookArgs") -> None:
        log.error("an exception was ignored", where=repr(failed.object), exc_info=failed.exc_value)

    before = threading.excepthook, sys.unraisablehook
    threading.excepthook, sys.unraisablehook = of_thread, of_finalizer
    try:
        yield
    finally:
        threading.excepthook, sys.unraisablehook = before


def _for_terminal(logger: object, name: str, event: structlog.typing.EventDict) -> str:
    """The event in colours. Texts of callers are in it, and a terminal obeys control characters."""
    safe = {key: printable(value) if isinstance(value, str) else value for key, value in event.items()}
    return _CONSOLE(logger, name, safe)


def _note(renderer: Processor, num_dropped: int) -> str:
    event: structlog.typing.EventDict = {"event": "log entries dropped", "num_dropped": num_dropped}
    for processor in _PROCESSORS[1:]:
        event = cast(structlog.typing.EventDict, processor(None, "warning", event))
    text = renderer(None, "warning", event)
    assert isinstance(text, str)
    return f"{text}\n"


_CONSOLE = structlog.dev.ConsoleRenderer()
_PROCESSORS: tuple[Processor, ...] = (
    structlog.contextvars.merge_contextvars,
    structlog.processors.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
)
