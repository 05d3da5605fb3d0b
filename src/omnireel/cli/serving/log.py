"""The log of a server or a worker: one line for each event, on stderr."""

import logging
import sys

import structlog


def configure_log() -> None:
    """Write one line per event to stderr: JSON, or coloured text on a terminal. Warnings of libraries as well."""
    shared = (
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    )
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer() if sys.stderr.isatty() else structlog.processors.JSONRenderer()
    )
    exceptions = structlog.processors.format_exc_info
    structlog.configure(
        processors=[*shared, exceptions, renderer], logger_factory=structlog.WriteLoggerFactory(sys.stderr)
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, exceptions, renderer],
            foreign_pre_chain=shared,
        )
    )
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
