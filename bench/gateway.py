"""The time that the endpoint adds to a backend's: HTTP, checks, durable commits, leases, the response.

    python -m bench.gateway [--repeats 5] [--scale 1]

Each contender runs in its own processes, one after the other; medians of all repeats are reported:

  sync           one POST, answered on the same connection; the backend answers at once without opening the video
  queue          submit, status stream until COMPLETED, result: three requests; the same backend
  echo-sync      sync with the echo backend, which reads the video in a child process as every backend does
  video          reading the same video without HTTP and without a store: the lower bound of echo-sync
  procrastinate  a well-known durable queue, with a real PostgreSQL and a worker process: defer a job and wait for
                 its end. It has no HTTP, validation, log or charges, and one query every 2 ms finds the ends of all
                 jobs. All of this is in its favour.

All of them commit each job to disk before they confirm its submission. `commits` is the limit of the disk: 4 KiB
appended and flushed, one after another. Latency is that of one request, measured by its caller.
"""

import argparse
import asyncio
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from bench._connection import Call, KeepAliveConnection, NewCaller
from bench._tiny import clip_uri, read_alone

ENDPOINT = "/nvidia/nemotron-3-nano-omni/video"
CONCURRENCIES = (1, 16, 128)
NUM_CALLS = {1: 200, 16: 1600, 128: 3200}
# Each call starts a process to read the video, and fewer calls give figures as stable.
SLOW = {"echo-sync": 0.1, "video": 0.1}
GOAL_CASE, GOAL_MS = ("sync", 16), {"p50": 5.0, "p99": 25.0}

Contender = Callable[[Path], AbstractAsyncContextManager[NewCaller]]


@dataclass(frozen=True)
class Figures:
    """Latencies in ms and throughput of one run."""

    p50: float
    p99: float
    per_s: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--scale", type=float, default=1.0, help="share of the usual number of calls")
    parser.add_argument("--only", choices=CONTENDERS, action="append")
    parser.add_argument("--at-once", type=int, choices=CONCURRENCIES, action="append")
    parser.add_argument("--serve", choices=("instant", "echo"), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        from bench._gateway_server import serve  # noqa: PLC0415  only the server process needs it

        serve(arguments.serve, arguments.folder)
        return
    names = arguments.only or list(CONTENDERS)
    results: dict[tuple[str, int], list[Figures]] = {}
    for _ in range(arguments.repeats):
        for name in names:
            for concurrency in arguments.at_once or CONCURRENCIES:
                num_calls = int(NUM_CALLS[concurrency] * arguments.scale * SLOW.get(name, 1))
                with tempfile.TemporaryDirectory() as folder:
                    run = measure(CONTENDERS[name], Path(folder), concurrency, max(num_calls, concurrency))
                    results.setdefault((name, concurrency), []).append(asyncio.run(run))
    report(results, arguments.repeats)


@asynccontextmanager
async def running_server(folder: Path, backend: str) -> AsyncIterator[int]:
    """Run a server in its own process. Yields its port."""
    command = [sys.executable, "-m", "bench.gateway", "--serve", backend, "--folder", str(folder)]
    with (folder / "log").open("wb") as log:
        server = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE, stderr=log)
    try:
        assert server.stdout is not None
        yield int(await server.stdout.readline())
    finally:
        server.terminate()
        await server.wait()


@asynccontextmanager
async def sync_calls(folder: Path, backend: str = "instant") -> AsyncIterator[NewCaller]:
    async with running_server(folder, backend) as port:
        yield lambda: sync_caller(port)


async def sync_caller(port: int) -> Call:
    connection, body = await KeepAliveConnection.open(port), run_body()

    async def call() -> None:
        answer = json.loads(await connection.request("POST", f"/sync{ENDPOINT}", body))
        assert answer["output"] == "echo: hello there", answer

    return call


def echo_calls(folder: Path) -> AbstractAsyncContextManager[NewCaller]:
    return sync_calls(folder, "echo")


@asynccontextmanager
async def queue_calls(folder: Path) -> AsyncIterator[NewCaller]:
    async with running_server(folder, "instant") as port:
        yield lambda: _queue_caller(port)


async def _queue_caller(port: int) -> Call:
    connection, body = await KeepAliveConnection.open(port), run_body()
    requests = f"/queue{ENDPOINT.rpartition('/')[0]}/requests"

    async def call() -> None:
        job = json.loads(await connection.request("POST", f"/queue{ENDPOINT}", body))["request_id"]
        events = await connection.request("GET", f"{requests}/{job}/status/stream")
        assert b'"COMPLETED"' in events
        answer = json.loads(await connection.request("GET", f"{requests}/{job}"))
        assert answer["output"] == "echo: hello there", answer

    return call


@asynccontextmanager
async def video_calls(_: Path) -> AsyncIterator[NewCaller]:
    yield read_alone


def procrastinate_calls(folder: Path) -> AbstractAsyncContextManager[NewCaller]:
    from bench._procrastinate import calls  # noqa: PLC0415  an optional dependency of this benchmark

    return calls(folder)


CONTENDERS: dict[str, Contender] = {
    "sync": sync_calls,
    "queue": queue_calls,
    "echo-sync": echo_calls,
    "video": video_calls,
    "procrastinate": procrastinate_calls,
}


def run_body() -> bytes:
    return json.dumps({"prompt": "hello there", "video_url": clip_uri()}).encode()


async def measure(contender: Contender, folder: Path, concurrency: int, num_calls: int) -> Figures:
    """Run `concurrency` callers. Each sends its next call when the last one has been answered."""
    async with AsyncExitStack() as stack:
        new_caller = await stack.enter_async_context(contender(folder))
        callers = [await new_caller() for _ in range(concurrency)]
        await asyncio.gather(*(call() for call in callers))  # warms up connections and caches
        left, seconds = num_calls, []

        async def call_until_done(call: Call) -> None:
            nonlocal left
            while left > 0:
                left -= 1
                started = time.perf_counter()
                await call()
                seconds.append(time.perf_counter() - started)

        started = time.perf_counter()
        await asyncio.gather(*map(call_until_done, callers))
        total = time.perf_counter() - started
    seconds.sort()
    last = len(seconds) - 1
    return Figures(1e3 * seconds[last // 2], 1e3 * seconds[round(0.99 * last)], num_calls / total)


def commits_per_s(seconds: float = 1.0) -> float:
    """How many times a second this disk can append and flush 4 KiB."""
    with tempfile.TemporaryFile() as file:
        number, started = 0, time.perf_counter()
        while time.perf_counter() - started < seconds:
            os.write(file.fileno(), b"x" * 4096)
            os.fdatasync(file.fileno())
            number += 1
        return number / (time.perf_counter() - started)


def report(results: dict[tuple[str, int], list[Figures]], repeats: int) -> None:
    commits = commits_per_s()
    print(f"medians of {repeats} alternating runs; {commits:.0f} commits/s, one after another")
    print(f"{'contender':<16}{'at once':>8}{'p50 ms':>10}{'p99 ms':>10}{'requests/s':>12}")
    summary: dict[str, dict[str, float]] = {}
    for (name, concurrency), runs in results.items():
        row = {key: statistics.median(getattr(run, key) for run in runs) for key in ("p50", "p99", "per_s")}
        summary[f"{name}@{concurrency}"] = {key: round(value, 3) for key, value in row.items()}
        print(f"{name:<16}{concurrency:>8}{row['p50']:>10.2f}{row['p99']:>10.2f}{row['per_s']:>12.0f}")
    for line in remarks(summary):
        print(line)
    machine = f"{platform.machine()}, {os.cpu_count()} cores"
    print(
        json.dumps(
            {
                "bench": "gateway",
                "machine": machine,
                "repeats": repeats,
                "commits_per_s": round(commits, 1),
                "results": summary,
            }
        )
    )


def remarks(summary: dict[str, dict[str, float]]) -> list[str]:
    """Whether the goal is met, and the share of time that reading the video takes."""
    lines = []
    judged = summary.get("{}@{}".format(*GOAL_CASE))
    if judged is not None:
        met = all(judged[key] <= limit for key, limit in GOAL_MS.items())
        lines.append(
            f"goal, {GOAL_CASE[0]} at {GOAL_CASE[1]} at once: p50 ≤ {GOAL_MS['p50']:g} ms,"
            f" p99 ≤ {GOAL_MS['p99']:g} ms: {'met' if met else 'missed'}"
        )
    if {"video@1", "echo-sync@1"} <= set(summary):
        share = summary["video@1"]["p50"] / summary["echo-sync@1"]["p50"]
        lines.append(f"reading the video is {100 * share:.0f} % of echo-sync, one at a time")
    return lines


if __name__ == "__main__":
    main()
