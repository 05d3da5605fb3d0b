"""Runs the command line as a person does: a process with its streams and its exit code."""

import io
import os
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest

COMMAND = (sys.executable, "-c", "import omnireel.cli; omnireel.cli.main()")


@pytest.fixture(scope="session")
def clip(tmp_path_factory) -> Path:
    """An mp4 of two seconds."""
    path = tmp_path_factory.mktemp("clips") / "clip.mp4"
    sink = io.BytesIO()
    with av.open(sink, "w", format="mp4") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height = 64, 48
        stream.pix_fmt = "yuv420p"
        for index in range(20):
            picture = np.full((48, 64, 3), index, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    path.write_bytes(sink.getvalue())
    return path


@pytest.fixture
def environment() -> dict[str, str]:
    """The environment of a person's shell, with the echo backend as the only setting."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("OMNIREEL_", "MAKE"))}
    return kept | {"OMNIREEL_BACKEND": "echo"}


@pytest.fixture
def omnireel(environment, tmp_path):
    """Runs `omnireel` with the echo backend in an empty directory."""

    def run(*arguments, **variables):
        return subprocess.run(
            [*COMMAND, *map(str, arguments)],
            capture_output=True,
            encoding="utf-8",
            cwd=tmp_path,
            env=environment | variables,
            timeout=120,
            check=False,
        )

    return run
