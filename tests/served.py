"""A real server in a process of its own, and real clips to send to it."""

import base64
import io
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import av
import numpy as np

ENDPOINT_ID = "nvidia/nemotron-3-nano-omni/video"
MAX_BODY = 2 * 1024 * 1024
MAX_DATA_URI = 1024 * 1024


def make_clip(*, seconds: float = 2.0, codec: str = "mpeg4", size: tuple[int, int] = (64, 48)) -> bytes:
    """An mp4 of a grey picture that grows brighter."""
    sink = io.BytesIO()
    with av.open(sink, "w", format="mp4") as container:
        stream = container.add_stream(codec, rate=10)
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        for index in range(int(seconds * 10)):
            picture = np.full((size[1], size[0], 3), index % 250, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return sink.getvalue()


def data_uri(content: bytes, media_type: str = "video/mp4") -> str:
    """`content` as a data: URI."""
    return f"data:{media_type};base64,{base64.b64encode(content).decode()}"


class Server:
    """`omnireel serve --backend echo` in a process of its own."""

    def __init__(self, folder: Path, **variables: str) -> None:
        self.folder = folder
        self.log_path = folder / "log"
        environment = {key: value for key, value in os.environ.items() if not key.startswith("OMNIREEL_")}
        environment |= {
            "OMNIREEL_MAX_BODY_BYTES": str(MAX_BODY),
            "OMNIREEL_MAX_DATA_URI_BYTES": str(MAX_DATA_URI),
        }
        environment |= variables
        command = [sys.executable, "-c", "import omnireel.cli; omnireel.cli.main()", "serve"]
        command += ["--backend", "echo", "--port", "0", "--data-dir", str(folder)]
        with self.log_path.open("wb") as log:
            self.process = subprocess.Popen(
                command, stdout=subprocess.DEVNULL, stderr=log, cwd=folder, env=environment
            )
        listening = self._wait_until_listening()
        self.url: str = listening["url"]
        self.tls_url: str | None = listening.get("tls_url")

    def _wait_until_listening(self) -> dict:
        while self.process.poll() is None:
            listening = [event for event in self.log() if event["event"] == "listening"]
            if listening:
                return listening[0]
            time.sleep(0.02)
        raise AssertionError(self.log_path.read_text())

    def log(self) -> list[dict]:
        """Every complete line of the log."""
        text = self.log_path.read_text()
        return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """Ask it to end and wait; its exit code."""
        self.process.terminate()
        return self.process.wait(60)
