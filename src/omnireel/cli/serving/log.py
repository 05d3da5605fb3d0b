"""The log of a server or a worker, on stderr: JSON lines, or text on a terminal. No program waits for its reader.

JSON has every event with all that is known about it. The text is for a person who watches: one line for a request,
without what only programs need.
"""

import logging
import os
import re
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import TextIOBase
from typing import TextIO, cast

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from omnireel.cli.failures import FAILED, printable
from omnireel.cli.serving.bounded_writer import BoundedWriter

_UUID = re.compile(r"\b([0-9a-f]{8})-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b")
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
    is_text = sys.stderr is not None and sys.stderr.isatty()
    processors = _processors(is_text=is_text)
    renderer: Processor = _for_terminal if is_text else structlog.processors.JSONRenderer()
    writer = BoundedWriter(
        descriptor_of(sys.stderr), lambda num_dropped: _note([*processors[1:], renderer], num_dropped)
    )
    lines = _Lines(writer)
    exceptions = structlog.processors.format_exc_info
    structlog.configure(
        processors=[*processors, exceptions, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO if is_text else logging.DEBUG),
        logger_factory=lambda *_: lines,
    )
    handler = logging.StreamHandler(cast(TextIO, lines))
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, exceptions, renderer],
            foreign_pre_chain=processors,
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
        log.critical("this process ends", reason="a background task failed, see above")
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


def for_a_person(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """The event as a line of text shows it: a request in one phrase, and ids cut to their first eight digits.

    Warnings and errors keep whole ids: their reader searches for them. What a caller wrote, such as a path, cannot
    move the cursor or begin a line of its own.
    """
    if event["event"] == "request":
        event = _request_in_words(event)
    shorten = event["level"] == "info"
    return {name: _shown(value, shorten=shorten) for name, value in event.items()}


def _request_in_words(event: EventDict) -> EventDict:
    words = f"{event['method']} {event['path']} {event['status']} in {event['seconds']:g} s"
    if "output_tokens" in event:
        words += f", {event['input_tokens']} tokens in, {event['output_tokens']} out"
    if "target" in event:
        words += f", as {event['target']}"
    shown = ("level", "timestamp", "key_id")
    return {"event": words} | {name: event[name] for name in shown if name in event}


def _shown(value: object, *, shorten: bool) -> object:
    if not isinstance(value, str):
        return value
    shown = printable(value, kept="")
    return _UUID.sub(r"\1…", shown) if shorten else shown


def _for_terminal(logger: WrappedLogger, name: str, event: EventDict) -> str:
    """The event in colours. A traceback may quote what callers wrote, and a terminal obeys control characters."""
    return _CONSOLE(logger, name, _printable_values(logger, name, event))


def _printable_values(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    return {key: printable(value) if isinstance(value, str) else value for key, value in event.items()}


def _note(processors: Sequence[Processor], num_dropped: int) -> str:
    event: object = {"event": "log entries dropped", "num_dropped": num_dropped}
    for processor in processors:
        event = processor(None, "warning", cast(EventDict, event))
    return f"{event}\n"


def _processors(*, is_text: bool) -> tuple[Processor, ...]:
    """What completes an event before it is written."""
    processors: tuple[Processor, ...] = (
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="%H:%M:%S" if is_text else "iso", utc=not is_text),
    )
    return (*processors, for_a_person) if is_text else processors


_CONSOLE = structlog.dev.ConsoleRenderer(pad_event_to=0)


def configure_warnings(lowest: int = logging.WARNING) -> None:
    """For commands that print an answer: warnings of the program's parts on stderr, as text, and nothing else.

    lowest: the level from which lines are printed

    They may quote a server's text, and a terminal obeys control characters.
    """
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.format_exc_info,
            _printable_values,
            structlog.dev.ConsoleRenderer(colors=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(lowest),
        logger_factory=lambda *_: structlog.WriteLogger(sys.stderr),  # the stderr of the moment
    )
