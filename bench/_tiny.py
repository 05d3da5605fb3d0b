"""A very small video, and a caller that reads it without HTTP and without a store."""

import base64
import functools
import io
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

import av
import numpy as np

from omnireel.backends.echo import EchoBackend
from omnireel.task import Answer, video_task


@functools.cache
def clip() -> bytes:
    """Half a second of grey frames, 64 × 48. One frame of it is chosen."""
    sink = io.BytesIO()
    with av.open(sink, "w", format="mp4") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for index in range(5):
            picture = np.full((48, 64, 3), index, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return sink.getvalue()


def clip_uri() -> str:
    return f"data:video/mp4;base64,{base64.b64encode(clip()).decode()}"


async def read_alone() -> Callable[[], Awaitable[None]]:
    """A call that passes the video to the echo backend, without HTTP and without a store."""
    backend, path = _echo(), _clip_file()
    task = video_task("bench", prompt="hello there", video=str(path))

    async def call() -> None:
        events = [event async for event in backend.generate(task, [path])]
        assert isinstance(events[-1], Answer)

    return call


@functools.cache
def _echo() -> EchoBackend:
    return EchoBackend()


@functools.cache
def _clip_file() -> Path:
    path = Path(tempfile.mkdtemp(prefix="omnireel-bench-")) / "clip.mp4"
    path.write_bytes(clip())
    return path
