"""Checks the decode sandbox, and runs the fork server of a process that decodes videos."""

import platform
from collections.abc import Iterator
from contextlib import contextmanager

import structlog
import typer

from omnireel.errors import OmnireelError
from omnireel.settings import Settings
from omnireel.video.decoder.sandbox import missing
from omnireel.video.reader.children import start_fork_server, stop_fork_server

log = structlog.get_logger()


def require_linux() -> None:
    """Raise OmnireelError on another system: no clip can be read there (docs/macos.md)."""
    system = platform.system()
    if system != "Linux":
        raise OmnireelError(
            f"Videos are read on Linux only; this is {system}.",
            hint="Run the container image, or a virtual machine with Linux.",
        )


def require_sandbox(settings: Settings) -> None:
    """Raise OmnireelError if the decoder cannot be confined and the settings do not accept that."""
    require_linux()
    absent = missing()
    if not absent:
        return
    if not settings.allow_weak_sandbox:
        raise OmnireelError(
            _unconfined(absent),
            hint="Run on Linux 5.13 or newer, or use --allow-weak-sandbox if you trust every video.",
        )
    log.warning("weak sandbox", missing=list(absent))


def warn_of_weak_sandbox(settings: Settings) -> None:
    """Print a warning if the decoder cannot be confined and the settings do not accept that.

    For commands that read one video: the person who runs them decides whether to trust it.
    Raises OmnireelError on another system than Linux.
    """
    require_linux()
    absent = missing()
    if absent and not settings.allow_weak_sandbox:
        typer.echo(f"warning: {_unconfined(absent)} Use only videos that you trust.", err=True)


def _unconfined(absent: tuple[str, ...]) -> str:
    return f"This kernel cannot confine the video decoder: it lacks {' and '.join(absent)}."


@contextmanager
def fork_server_running() -> Iterator[None]:
    """Run the fork server of the decoding processes while the context is open."""
    start_fork_server()
    try:
        yield
    finally:
        stop_fork_server()
