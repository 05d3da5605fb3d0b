"""The time that this side adds to a model server's, and what a dead and a slow server do to 200 requests.

    python -m bench.model_servers [--requests 200]

Servers of the tests stand in for the model: they run none, and stream an answer of seven words at once. So latency is
reading the clip, encoding its frames, counting and the request itself. Clip: 2 s of 64×48.

  overhead   p50 and p99 of a request at 1 and 16 together, one server
  direct     the same body sent again to the same server, without us: the lower bound
  faults     three servers with 50 ms a word, nine clips, 16 requests together; after a quarter of them one server dies
             before the third word of an answer, and another is slowed to 200 ms a word. A request whose answer broke
             off runs again, as a job of the queue would. Lost are requests without an answer.
"""

import argparse
import asyncio
import itertools
import logging
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import ExitStack, aclosing
from pathlib import Path

import structlog

from omnireel.backends.remote.backend import RemoteBackend, RemoteOptions
from omnireel.backends.remote.chat_request import body_for, encoded
from omnireel.backends.remote.servers import SERVERS
from omnireel.backends.remote.stream import Patience, chunks_of
from omnireel.backends.remote.upstreams import UpstreamPool, upstream_at
from omnireel.cli.backend import DEMO
from omnireel.cli.sandbox import fork_server_running
from omnireel.engine.params import SamplingParams
from omnireel.errors import AttemptError
from omnireel.net.operator_server import sent
from omnireel.prompting.clip import MediaDefaults
from omnireel.prompting.counts import TokenCounter
from omnireel.task import Answer, Task, video_task

sys.path.append(str(Path(__file__).parents[1] / "tests"))

from model_server import ModelServer, Script  # type: ignore[import-not-found]
from served import make_clip  # type: ignore[import-not-found]

TOGETHER = (1, 16)
NUM_CLIPS = 9
_PATIENCE = Patience(60, 60)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--requests", type=int, default=200)
    arguments = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    with tempfile.TemporaryDirectory() as folder:
        clips = [Path(folder) / f"{number}.mp4" for number in range(NUM_CLIPS)]
        for number, clip in enumerate(clips):
            clip.write_bytes(make_clip(seconds=2.0 + number / 10))
        with fork_server_running():
            for together in TOGETHER:
                asyncio.run(overhead(clips[0], together, max(arguments.requests // 4, together)))
            asyncio.run(faults(clips, arguments.requests))


def open_backend(servers: list[ModelServer]) -> RemoteBackend:
    pool = UpstreamPool(
        [upstream_at(server.url) for server in servers], max_running=64, accepts=lambda _: True
    )
    media = MediaDefaults()
    counter = TokenCounter.from_directory(DEMO, media=media)
    return RemoteBackend(SERVERS["vllm"], pool, counter, RemoteOptions(_PATIENCE, media))


def make_task(clip: Path, prompt: str) -> Task:
    return video_task("", prompt=prompt, video=str(clip), sampling=SamplingParams(max_tokens=16))


async def overhead(clip: Path, together: int, num_requests: int) -> None:
    with ModelServer() as server:
        backend = open_backend([server])

        async def ask() -> None:
            await answer_of(backend, make_task(clip, "What moves?"), clip)

        async def direct() -> None:
            upstream = upstream_at(server.url)
            call = upstream.call("/chat/completions", connect_s=5, reply_s=60, body=body_for("m", rest))
            async with sent(call) as reply:
                async for _ in chunks_of(reply, _PATIENCE, lambda: 60.0):
                    pass

        await ask()
        fields = {name: value for name, value in server.requests[0].items() if name != "model"}
        rest = encoded(fields)
        show(f"overhead at {together}", await timed(ask, together, num_requests))
        show(f"direct at {together}", await timed(direct, together, num_requests))
        await backend.close()


async def faults(clips: list[Path], num_requests: int) -> None:
    with ExitStack() as stack:
        servers = [stack.enter_context(ModelServer(Script(token_s=0.05))) for _ in range(3)]
        backend = open_backend(servers)
        numbers = itertools.count()
        lost: list[str] = []
        again: list[int] = []

        async def ask() -> None:
            number = next(numbers)
            if number == num_requests // 4:
                by_load = sorted(servers, key=lambda server: server.num_running)
                by_load[-1].script = Script(token_s=0.05, kill_at=2)
                by_load[0].script = Script(token_s=0.2)
            try:
                clip = clips[number % len(clips)]
                task = make_task(clip, f"What moves in {number}?")
                try:
                    await answer_of(backend, task, clip)
                except AttemptError:
                    again.append(number)
                    await answer_of(backend, task, clip)
            except Exception as error:  # noqa: BLE001  whatever it is, the request has no answer
                lost.append(repr(error))

        show("faults", await timed(ask, 16, num_requests))
        shares = [len(server.requests) for server in servers]
        print(f"lost {len(lost)} of {num_requests}, ran again {len(again)}; each server got {shares}")
        for line in sorted(set(lost)):
            print(" ", line)
        await backend.close()


async def answer_of(backend: RemoteBackend, task: Task, clip: Path) -> Answer:
    async with aclosing(backend.generate(task, [clip])) as events:
        async for event in events:
            if isinstance(event, Answer):
                return event
    raise AssertionError("no answer")


async def timed(ask: Callable[[], Awaitable[None]], together: int, num_requests: int) -> list[float]:
    """Seconds of each request, `together` at a time."""
    left = iter(range(num_requests))
    found: list[float] = []

    async def caller() -> None:
        for _ in left:
            started = time.perf_counter()
            await ask()
            found.append(time.perf_counter() - started)

    await asyncio.gather(*(caller() for _ in range(together)))
    return found


def show(name: str, seconds: list[float]) -> None:
    p99 = sorted(seconds)[int(len(seconds) * 0.99) - 1]
    print(f"{name:<16} p50 {statistics.median(seconds) * 1e3:8.1f} ms  p99 {p99 * 1e3:8.1f} ms")


if __name__ == "__main__":
    main()
