"""`omnireel serve`: the endpoint in a process of its own."""

import asyncio
import logging
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import structlog
import typer
import uvicorn
from fastapi import FastAPI

from omnireel.api.app import create_app
from omnireel.api.wire import ENDPOINT_ID
from omnireel.cli.backend import open_backend
from omnireel.cli.failures import INTERRUPTED
from omnireel.errors import OmnireelError
from omnireel.settings import Settings

GRACE_S = 30
_SIGNALS = (signal.SIGINT, signal.SIGTERM)

log = structlog.get_logger()


def serve_forever(settings: Settings) -> None:
    """Serve until a signal comes; running requests then get a while to finish.

    Raises OmnireelError when the address cannot be had, CheckpointError when the model cannot be loaded.
    """
    configure_log()
    with _bound_socket(settings.host, settings.port) as listener:
        url = f"http://{_in_url(settings.host)}:{listener.getsockname()[1]}"
        server = _Server(create_app(open_backend(settings), settings), url, settings.model)
        asyncio.run(server.serve([listener]))
    if server.first_signal == signal.SIGINT:
        raise typer.Exit(INTERRUPTED)


class _Server(uvicorn.Server):
    """Uvicorn's server, which ends a process that was asked to stop with 0 and not with the signal."""

    def __init__(self, app: FastAPI, url: str, model: str) -> None:
        super().__init__(
            uvicorn.Config(app, log_config=None, access_log=False, timeout_graceful_shutdown=GRACE_S)
        )
        self.first_signal: signal.Signals | None = None
        self._url = url
        self._model = model

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, then say so: whoever reads the line may connect."""
        await super().startup(sockets)
        log.info("listening", url=self._url, model=self._model)
        if sys.stderr.isatty():
            typer.echo(_recipe(self._url), err=True)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """The first signal ends the server, a second one its patience."""
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.add_signal_handler(number, self._stop, number)
        yield
        for number in _SIGNALS:
            loop.remove_signal_handler(number)

    def _stop(self, number: signal.Signals) -> None:
        self.force_exit = self.should_exit
        self.should_exit = True
        self.first_signal = self.first_signal or number


def _bound_socket(host: str, port: int) -> socket.socket:
    """A socket that is not listening yet: nobody can connect before the model is there."""
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except socket.gaierror:
        raise OmnireelError(
            f"{host} is not an address of this machine", hint="try --host 127.0.0.1"
        ) from None
    listener = socket.socket(family, kind)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
    except OSError as error:
        listener.close()
        raise OmnireelError(
            f"cannot listen on {host} port {port}: {error.strerror}",
            hint="stop what is listening there, or choose another --port (0 takes a free one)",
        ) from None
    return listener


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _recipe(url: str) -> str:
    """What to paste to try the server."""
    return (
        f'\nTry it:\n  printf \'{{"prompt":"What happens?","video_url":"data:video/mp4;base64,%s"}}\' '
        f'"$(base64 -w0 clip.mp4)" |\n    curl -H "content-type: application/json" -d @- '
        f"{url}/{ENDPOINT_ID}\n"
    )


def configure_log() -> None:
    """One line per event on stderr: JSON, or coloured text on a terminal; other libraries' warnings too."""
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
