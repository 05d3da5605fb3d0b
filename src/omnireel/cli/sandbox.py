"""How a server decodes strangers' videos: whether this machine may, and the children that wait for them."""

from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from omnireel.errors import OmnireelError
from omnireel.settings import Settings
from omnireel.video.children import keep_children_waiting
from omnireel.video.sandbox import missing

_NUM_WAITING = 2

log = structlog.get_logger()


def require_sandbox(settings: Settings) -> None:
    """Raises OmnireelError where the decoder cannot be confined and the settings do not accept that."""
    absent = missing()
    if not absent:
        return
    if not settings.allow_weak_sandbox:
        raise OmnireelError(
            f"this kernel cannot confine the video decoder: {' and '.join(absent)} missing",
            hint="run on Linux 5.13 or newer, or say --allow-weak-sandbox if you trust every video",
        )
    log.warning("weak sandbox", missing=list(absent))


@contextmanager
def children_waiting() -> Iterator[None]:
    """Have decoding children started ahead of the requests that need them."""
    keep_children_waiting(_NUM_WAITING)
    try:
        yield
    finally:
        keep_children_waiting(0)
