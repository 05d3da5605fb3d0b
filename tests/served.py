"""Real servers and workers in processes of their own, and real clips to send to them."""

import base64
import io
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Self

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


class Process:
    """A process that runs an `omnireel` command. Its log is in `log_path`."""

    backend = "echo"
    code = "import omnireel.cli; omnireel.cli.main()"

    def __init__(self, folder: Path, *arguments: str, log_name: str = "log", **variables: str) -> None:
        self.folder = folder
        self.log_path = folder / log_name
        environment = {key: value for key, value in os.environ.items() if not key.startswith("OMNIREEL_")}
        command = [sys.executable, "-c", self.code, *arguments]
        command += ["--backend", self.backend, "--data-dir", str(folder)]
        with self.log_path.open("wb") as log:
            self.process = subprocess.Popen(
                command, stdout=subprocess.DEVNULL, stderr=log, cwd=folder, env=environment | variables
            )

    def wait_for(self, event: str) -> dict:
        """Wait for an event in the log. Returns the first line with it; fails if the process ends before."""
        while self.process.poll() is None:
            found = [line for line in self.log() if line["event"] == event]
            if found:
                return found[0]
            time.sleep(0.02)
        raise AssertionError(self.log_path.read_text())

    def log(self) -> list[dict]:
        """All complete entries of the log. Lines of the command itself, such as its error, are left out."""
        text = self.log_path.read_text()
        lines = text[: text.rfind("\n") + 1].splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def kill(self) -> None:
        """Kill the process, which cannot react to that."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """Ask the process to end and wait for it. Returns its exit code."""
        self.process.terminate()
        return self.process.wait(60)


class Server(Process):
    """A process with `omnireel serve` that is listening."""

    def __init__(self, folder: Path, *, port: int = 0, **variables: str) -> None:
        limits = {
            "OMNIREEL_MAX_BODY_BYTES": str(MAX_BODY),
            "OMNIREEL_MAX_DATA_URI_BYTES": str(MAX_DATA_URI),
        }
        super().__init__(folder, "serve", "--port", str(port), **(limits | variables))
        listening = self.wait_for("listening")
        self.url: str = listening["url"]
        self.tls_url: str | None = listening.get("tls_url")


class DemoServer(Server):
    """`omnireel serve` with the demo model."""

    backend = "local"


class Worker(Process):
    """A process with `omnireel worker` that has started, beside the server of the same folder."""

    def __init__(self, folder: Path, *, log_name: str = "worker.log", **variables: str) -> None:
        super().__init__(folder, "worker", log_name=log_name, **variables)
        self.name: str = self.wait_for("working")["worker"]


def fal_client_environment(server: Server) -> dict[str, str]:
    """The environment that `serve --tls dev` recommends for fal's Python client."""
    assert server.tls_url is not None
    authority = server.tls_url.removeprefix("https://")
    return os.environ | {
        "FAL_RUN_HOST": f"{authority}/sync",
        "FAL_QUEUE_RUN_HOST": f"{authority}/queue",
        "SSL_CERT_FILE": str(server.folder / "tls" / "ca.pem"),
        "FAL_KEY": "any:key",
    }
