"""Sends many requests with bodies of up to 64 MiB, and watches the server's memory and how long `/health` waits.

    python tests/load.py --requests 2000

A run depends on its seed: kinds and sizes of the requests, in order. Clients are in this process, and `/health` is
asked from another one.
"""

import argparse
import base64
import contextlib
import json
import math
import random
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from served import ENDPOINT_ID, Server, make_clip

MIB = 1024 * 1024
MAX_BYTES = 64 * MIB
VARIABLES = {
    "OMNIREEL_MAX_BODY_BYTES": str(MAX_BYTES),
    "OMNIREEL_MAX_DATA_URI_BYTES": str(32 * MIB),
    "OMNIREEL_MAX_REQUESTS": "64",
}
KINDS = ("", "/stream", "/estimate", "queue", "upload", "cut", "prompt", "fields")
# Asks for the page of health until its standard input is closed, then prints the longest wait in seconds, and the
# longest that it was itself kept from running, which says how busy the machine is.
POLLER = """
import http.client, select, sys, time
host, port = sys.argv[1:]
longest = late = 0.0
began = time.monotonic()
while not select.select([sys.stdin], [], [], 0.02)[0]:
    late = max(late, time.monotonic() - began - 0.02)
    began = time.monotonic()
    connection = http.client.HTTPConnection(host, int(port), timeout=60)
    connection.request("GET", "/health")
    assert connection.getresponse().read()
    connection.close()
    longest = max(longest, time.monotonic() - began)
    began = time.monotonic()
print(longest, late)
"""


@dataclass(frozen=True)
class Measured:
    """What a run did to the server.

    idle_mib, peak_mib: resident memory before, and the most of it
    longest_s:          the longest wait for `/health`
    late_s:             the longest that the process which waited was not run by this machine
    statuses:           how many requests of each kind got which status; "cut" ones get none
    """

    idle_mib: float
    peak_mib: float
    longest_s: float
    late_s: float
    statuses: Counter[str]

    @property
    def more_mib(self) -> float:
        """Memory at the peak beyond that of the idle server."""
        return self.peak_mib - self.idle_mib


def padded_clip(num_bytes: int) -> bytes:
    """A clip with a box behind it that no reader looks into."""
    clip = make_clip(seconds=0.3)
    room = max(8, num_bytes - len(clip))
    return clip + room.to_bytes(4, "big") + b"free" + bytes(room - 8)


def body_of(kind: str, size: int) -> bytes:
    """A body of about `size` bytes."""
    if kind == "upload":
        return padded_clip(size)
    clip = f"data:video/mp4;base64,{base64.b64encode(padded_clip(size * 3 // 4)).decode()}"
    if kind == "prompt":
        return json.dumps({"prompt": "word " * (size // 5), "video_url": "data:,x"}).encode()
    if kind == "fields":
        return json.dumps(
            {"prompt": "hi", "video_url": "data:,x", "extra": ["é" * (size // 12)] * 2}
        ).encode()
    return json.dumps({"prompt": "hello", "video_url": clip}).encode()


def send(server: Server, kind: str, body: bytes) -> str:
    """Send one request. Returns its status."""
    parts = urlsplit(server.url)
    path = f"/{ENDPOINT_ID}{kind}" if kind in ("", "/stream", "/estimate") else f"/queue/{ENDPOINT_ID}"
    path = "/cdn/files/upload" if kind == "upload" else path
    media = "video/mp4" if kind == "upload" else "application/json"
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: {media}\r\n"
    with socket.create_connection((parts.hostname, parts.port), timeout=300) as connection:
        connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode())
        if kind == "cut":
            connection.sendall(body[: len(body) // 2])
            return "cut"
        with contextlib.suppress(ConnectionError):
            connection.sendall(body)
        received = b""
        while chunk := connection.recv(65536):
            received = received or chunk
    return received[9:12].decode()


def memory_mib(server: Server, name: str) -> float:
    """VmRSS or VmHWM of the server, in MiB."""
    lines = Path(f"/proc/{server.process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(name))


def run(folder: Path, *, num_requests: int, num_callers: int, max_bytes: int, seed: int) -> Measured:
    """Send all requests to a new server."""
    rng = random.Random(seed)
    sizes = [int(math.exp(rng.uniform(math.log(10_000), math.log(max_bytes)))) for _ in range(num_requests)]
    kinds = [rng.choice(KINDS) for _ in range(num_requests)]
    statuses: Counter[str] = Counter()
    with Server(folder, **VARIABLES) as server, ThreadPoolExecutor(num_callers) as callers:
        for kind in KINDS:
            send(server, kind, body_of(kind, 10_000))
        idle = memory_mib(server, "VmRSS")
        poller = start_poller(server)
        answers = callers.map(
            lambda plan: (plan[0], send(server, plan[0], body_of(*plan))), zip(kinds, sizes, strict=True)
        )
        for kind, status in answers:
            statuses[f"{kind or 'sync'} {status}"] += 1
        longest_s, late_s = map(float, poller.communicate("\n")[0].split())
        peak = memory_mib(server, "VmHWM")
    return Measured(idle, peak, longest_s, late_s, statuses)


def start_poller(server: Server) -> subprocess.Popen[str]:
    """A process that asks for the page of health again and again."""
    parts = urlsplit(server.url)
    command = [sys.executable, "-c", POLLER, str(parts.hostname), str(parts.port)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def main() -> None:
    """Print what was measured. Exit with 1 if the server took too much memory or a status is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=200)
    parser.add_argument("--callers", type=int, default=24)
    parser.add_argument("--max-more-mib", type=float, default=400.0)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        measured = run(
            Path(folder),
            num_requests=options.requests,
            num_callers=options.callers,
            max_bytes=MAX_BYTES,
            seed=options.seed,
        )
    print(
        f"{options.requests} requests in {time.monotonic() - began:.0f} s: {dict(sorted(measured.statuses.items()))}"
    )
    print(f"memory: {measured.idle_mib:.0f} MiB idle, {measured.more_mib:.0f} MiB more at the peak")
    print(f"longest wait for /health: {measured.longest_s:.3f} s; for the machine: {measured.late_s:.3f} s")
    has_failed = any(status.endswith(" ") or " 5" in status for status in measured.statuses)
    sys.exit(1 if has_failed or measured.more_mib > options.max_more_mib else 0)


if __name__ == "__main__":
    main()
