"""How videos are decoded: whether this machine may, and what a server's decoders are forked from."""

from collections.abc import Iterator
from contextlib import contextmanager

import structlog
import typer

from omnireel.errors import OmnireelError
from omnireel.settings import Settings
from omnireel.video.decoder.sandbox import missing
from omnireel.video.reader.children import start_fork_server, stop_fork_server

log = structlog.get_logger()


def require_sandbox(settings: Settings) -> None:
    """Raises OmnireelError where the decoder cannot be confined and the settings do not accept that."""
    absent = missing()
    if not absent:
        return
    if not settings.allow_weak_sandbox:
        raise OmnireelError(
            _unconfined(absent),
            hint="run on Linux 5.13 or newer, or say --allow-weak-sandbox if you trust every video",
        )
    log.warning("weak sandbox", missing=list(absent))


def warn_of_weak_sandbox(settings: Settings) -> None:
    """A line on stderr where the decoder cannot be confined and the settings do not accept that.

    For commands that read one video, which the person who gives it may trust.
    """
    absent = missing()
    if absent and not settings.allow_weak_sandbox:
        typer.echo(f"warning: {_unconfined(absent)}; give it only videos that you trust", err=True)


def _unconfined(absent: tuple[str, ...]) -> str:
    return f"this kernel cannot confine the video decoder: {' and '.join(absent)} missing"


@contextmanager
def fork_server_running() -> Iterator[None]:
    """Have ready what decoding children are forked from."""
    start_fork_server()
    try:
        yield
    finally:
        stop_fork_server()
