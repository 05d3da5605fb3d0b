"""The log of a server or a worker, on stderr: JSON lines, or text on a terminal.

JSON has every event with all that is known about it. The text is for a person who watches: one line for a request,
without what only programs need.
"""

import logging
import re
import sys

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

_UUID = re.compile(r"\b([0-9a-f]{8})-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b")


def configure_log() -> None:
    """Write one line per event to stderr: JSON, or coloured text on a terminal. Warnings of libraries as well."""
    is_text = sys.stderr.isatty()
    shared: tuple[Processor, ...] = (
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="%H:%M:%S" if is_text else "iso", utc=not is_text),
    )
    renderer: Processor = structlog.processors.JSONRenderer()
    if is_text:
        shared = (*shared, for_a_person)
        renderer = structlog.dev.ConsoleRenderer(pad_event_to=0)
    exceptions = structlog.processors.format_exc_info
    structlog.configure(
        processors=[*shared, exceptions, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO if is_text else logging.DEBUG),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, exceptions, renderer],
            foreign_pre_chain=shared,
        )
    )
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)


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
    printable = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in value)
    return _UUID.sub(r"\1…", printable) if shorten else printable


def configure_warnings() -> None:
    """For commands that print an answer: warnings of the program's parts on stderr, as text, and nothing else."""
    structlog.configure(
        processors=[structlog.processors.add_log_level, structlog.dev.ConsoleRenderer(colors=False)],
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
    )
