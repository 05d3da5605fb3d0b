"""`make demo`: make a clip, start a server, ask with fal's unchanged Python client, print the answer as JSON.

Progress goes to stderr; the last line on stdout is the answer. The exit code is 1 unless the server answers 200.
"""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import httpx
import numpy as np

from omnireel.cli.failures import typed

ENDPOINT_ID = "nvidia/nemotron-3-nano-omni/video"
PROMPT = "Which way does the red circle move?"
WIDTH, HEIGHT, FPS, SECONDS = 1280, 720, 30, 10
START_DEADLINE_S = 180
LOG_LINES = 10
CLIP = Path("clip.mp4")


@dataclass(frozen=True)
class Address:
    """The two ports on this machine that the server listens on, and the certificate authority to trust."""

    port: int
    tls_port: int
    ca: Path


def main() -> int:
    """Run the demo. Returns the exit code."""
    with tempfile.TemporaryDirectory(prefix="omnireel-demo-") as folder:
        clip = Path(folder, "clip.mp4")
        print_progress(f"Making a {SECONDS} s clip: a red circle moves right, a blue square stays.")
        make_clip(clip)
        keep(clip)
        print_progress("Starting omnireel serve.")
        with running_server(Path(folder)) as address:
            print_progress(f"Asking https://127.0.0.1:{address.tls_port}: {PROMPT}")
            return ask(address, clip)


def keep(clip: Path) -> None:
    """Leave the clip in the working directory, for the commands of the README; an existing file stays."""
    if not CLIP.exists():
        shutil.copyfile(clip, CLIP)
        question = typed("ask", str(CLIP), "What is moving, and which way?")
        print_progress(f"The clip is in {CLIP}. To ask about it: {question}")


def print_progress(line: str) -> None:
    """Write one line of progress to stderr."""
    print(f"demo: {line}", file=sys.stderr, flush=True)


def make_clip(path: Path) -> None:
    """Write the clip as H.264."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS, options={"preset": "veryfast", "crf": "20"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for index in range(FPS * SECONDS):
            picture = av.VideoFrame.from_ndarray(draw(index / (FPS * SECONDS)), format="rgb24")
            container.mux(stream.encode(picture))
        container.mux(stream.encode())


def draw(progress: float) -> np.ndarray:
    """One frame of the clip. progress: position in the clip, 0 to 1."""
    picture = np.full((HEIGHT, WIDTH, 3), 205, np.uint8)
    y, x = np.ogrid[:HEIGHT, :WIDTH]
    centre = 160 + 900 * progress
    picture[(x - centre) ** 2 + (y - 230) ** 2 < 90**2] = (215, 35, 35)
    picture[480:630, 560:710] = (40, 70, 215)
    return picture


@contextlib.contextmanager
def running_server(folder: Path) -> Iterator[Address]:
    """Run `omnireel serve` on free ports. Yields its address when it is ready for requests."""
    port, tls_port = free_ports()
    address = Address(port, tls_port, folder / "tls" / "ca.pem")
    command = [str(Path(sys.executable).with_name("omnireel")), "serve", "--data-dir", str(folder)]
    command += ["--port", str(address.port), "--tls", "dev", "--tls-port", str(address.tls_port)]
    log = folder / "server.log"
    with log.open("wb") as file, subprocess.Popen(command, stdout=file, stderr=file) as server:
        try:
            wait_until_ready(f"http://127.0.0.1:{address.port}", server, log)
            yield address
        finally:
            server.terminate()


def free_ports() -> tuple[int, int]:
    """Two ports that no process listens on."""
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        return int(one.getsockname()[1]), int(other.getsockname()[1])


def wait_until_ready(
    url: str, server: subprocess.Popen[bytes], log: Path, deadline_s: float = START_DEADLINE_S
) -> None:
    """Return when the server is ready. Exits with the reason and the end of its log if it has ended or takes longer.

    log: the file that the server writes to
    """
    deadline = time.monotonic() + deadline_s
    while server.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(httpx.TransportError):
            if httpx.get(f"{url}/health/ready", trust_env=False).status_code == 200:
                return
        time.sleep(0.1)
    reason = f"did not start within {deadline_s:g} s (a busy machine? run it again)"
    if server.returncode is not None:
        reason = f"ended with code {server.returncode}"
    lines = log.read_text("utf-8", "replace").splitlines()[-LOG_LINES:]
    sys.exit("\n".join([f"demo: The server {reason}. The end of its log:", *lines]))


def ask(address: Address, clip: Path) -> int:
    """Send a request with the official client and print the answer. Returns the exit code."""
    os.environ |= {
        "FAL_RUN_HOST": f"127.0.0.1:{address.tls_port}/sync",
        "SSL_CERT_FILE": str(address.ca),
        "FAL_KEY": "demo:demo",  # the client requires a key, although the server does not
        "no_proxy": "127.0.0.1",
    }
    import fal_client.client  # noqa: PLC0415  # it reads the variables at import

    arguments = {
        "prompt": PROMPT,
        "video_url": fal_client.encode_file(clip),
        "temperature": 0,
    }
    started = time.monotonic()
    try:
        answer = fal_client.run(ENDPOINT_ID, arguments=arguments)
    except fal_client.client.FalClientHTTPError as error:
        print_progress(f"The server answered {error.status_code}: {error.message}")
        return 1
    print_progress(f"Answered in {time.monotonic() - started:.1f} s.")
    print(json.dumps(answer, ensure_ascii=False))
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print_progress("Interrupted.")
        sys.exit(130)
