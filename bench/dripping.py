"""The latency of a normal caller beside hundreds of very slow connections.

    python -m bench.dripping [--repeats 5] [--drips 500]

One caller sends synchronous requests to a backend that answers at once. It does so alone, and then beside slow
connections. Each of these sends one byte of a header or of a body every second, and connects again when the server
closes it. Both are measured in turn on one server; the ratio is the median of the pairs. Goal: p99 at most doubles.
"""

import argparse
import asyncio
import json
import os
import platform
import statistics
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from bench._connection import KeepAliveConnection
from bench.gateway import run_body, running_server, sync_caller

NUM_CALLS = 300
GAP_S = 1.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--drips", type=int, default=500)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        pairs = asyncio.run(measure(Path(folder), arguments.repeats, arguments.drips))
    report(pairs, arguments.drips)


async def measure(folder: Path, repeats: int, num_drips: int) -> list[tuple[list[float], list[float]]]:
    """Milliseconds of each call, alone and beside the slow connections: one pair per repeat."""
    pairs = []
    async with running_server(folder, "instant") as port:
        await call_times(port)
        for _ in range(repeats):
            alone = await call_times(port)
            dripping = [asyncio.create_task(drip(port, in_body=n % 2 == 0)) for n in range(num_drips)]
            await asyncio.sleep(2 * GAP_S)
            beside = await call_times(port)
            for task in dripping:
                task.cancel()
            await asyncio.gather(*dripping, return_exceptions=True)
            pairs.append((alone, beside))
    return pairs


async def call_times(port: int) -> list[float]:
    call = await sync_caller(port)
    times = []
    for _ in range(NUM_CALLS):
        started = time.perf_counter()
        await call()
        times.append(1000 * (time.perf_counter() - started))
    return times


async def drip(port: int, *, in_body: bool) -> None:
    """Send an endless request, slowly. Connect again when the server closes the connection."""
    head = (
        b"POST /nvidia/nemotron-3-nano-omni/video HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
    )
    start = head + b"content-length: %d\r\n\r\n" % len(run_body()) if in_body else head + b"x-slow: "
    while True:
        with suppress(OSError):
            connection = await KeepAliveConnection.open(port)
            try:
                connection.writer.write(start)
                while not connection.writer.is_closing() and not connection.reader.at_eof():
                    await asyncio.sleep(GAP_S)
                    connection.writer.write(b" ")
                    await connection.writer.drain()
            finally:
                connection.writer.close()


def report(pairs: list[tuple[list[float], list[float]]], num_drips: int) -> None:
    results = {}
    print(f"one caller; medians of {len(pairs)} pairs")
    print(f"{'':<8}{'alone, ms':>12}{f'{num_drips} drip, ms':>16}{'ratio':>8}")
    for name, hundredth in (("p50", 50), ("p99", 99)):
        alone, beside = (
            [statistics.quantiles(run, n=100)[hundredth - 1] for run in runs]
            for runs in zip(*pairs, strict=True)
        )
        ratio = statistics.median(b / a for a, b in zip(alone, beside, strict=True))
        results[name] = {
            "alone_ms": statistics.median(alone),
            "beside_ms": statistics.median(beside),
            "ratio": ratio,
        }
        print(f"{name:<8}{results[name]['alone_ms']:>12.2f}{results[name]['beside_ms']:>16.2f}{ratio:>8.2f}")
    machine = f"{platform.machine()}, {os.cpu_count()} cores"
    rounded = {name: {k: round(v, 3) for k, v in row.items()} for name, row in results.items()}
    print(json.dumps({"bench": "dripping", "machine": machine, "drips": num_drips, "results": rounded}))


if __name__ == "__main__":
    main()
