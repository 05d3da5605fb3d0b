"""The server of the gateway benchmark: as `omnireel serve` runs it, with limits above the number of callers."""

import asyncio
import socket
from collections.abc import AsyncGenerator, Sequence
from functools import partial
from pathlib import Path

import uvicorn

from omnireel.api.app import create_app
from omnireel.backends.base import Backend, Health
from omnireel.backends.echo import EchoBackend, words_of
from omnireel.cli.serving.connection import Connection
from omnireel.cli.serving.connections import ConnectionLimits, Connections
from omnireel.cli.serving.log import logging_to_stderr
from omnireel.engine.params import FinishReason
from omnireel.settings import Settings
from omnireel.task import Answer, Delta, Event, Inspection, Progress, Task, Usage, VideoFacts

_MAX_REQUESTS = 256
_LIMITS = ConnectionLimits(10_000, 1, 60.0)
_VIDEO = VideoFacts(64, 48, "mpeg4", 10.0, 0.5, False, (0,), (0.0,), 0, 0, ())


class Instant:
    """A backend that gives the echo backend's answer without reading the video."""

    name = "instant"

    async def generate(self, task: Task, _: Sequence[Path]) -> AsyncGenerator[Event, None]:
        """Yield as many events as the echo backend does for a video of one frame."""
        yield Progress("video", "0.5 s of 64x48 mpeg4 at 10 fps, 1 of 5 frames chosen", 0.0)
        yield Progress("video", "1 of 1 frames read", 1.0)
        words = words_of(task.prompt)
        for number, word in enumerate(words, start=1):
            yield Delta(word, Usage(2, number))
        yield Progress("done", f"wrote {len(words)} tokens", 1.0)
        yield Answer("".join(words), None, FinishReason.stop, 2, len(words), _VIDEO)

    async def inspect(self, task: Task, _: Sequence[Path], *, pictures: bool = False) -> Inspection:
        raise NotImplementedError

    def check_length(self, task: Task) -> None:
        raise NotImplementedError

    def most_tokens(self, task: Task) -> int:
        raise NotImplementedError

    async def health(self) -> Health:
        return Health(is_ready=True, model="instant")

    async def close(self) -> None:
        pass


class _Server(uvicorn.Server):
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        assert sockets is not None
        print(sockets[0].getsockname()[1], flush=True)


def serve(name: str, folder: Path) -> None:
    """Print the port, then serve until a signal arrives."""
    with logging_to_stderr():
        _serve(name, folder)


def _serve(name: str, folder: Path) -> None:
    backend: Backend = EchoBackend() if name == "echo" else Instant()
    app = create_app(
        backend, Settings(data_dir=folder, max_requests=_MAX_REQUESTS, max_running=_MAX_REQUESTS)
    )
    config = uvicorn.Config(
        app,
        http=partial(Connection, open=Connections(_LIMITS)),  # type: ignore[arg-type]  # uvicorn only calls it
        ws="none",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        timeout_keep_alive=600,
    )
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # as `omnireel serve` sets it
        asyncio.run(_Server(config).serve([listener]))
