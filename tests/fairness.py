"""Ten accounts at a real server: nine ask for half of their share, and one floods one scarce resource after another.

    python tests/fairness.py --json fairness.json

For each resource a new server is asked twice, without the flood and with it. The nine ask in an open loop: at times
that were drawn before, whatever was answered. They must get at least 95 % of what they ask for. The slowest hundredth
may take twice as long as without the flood, and one piece of work that is not interrupted, and the slack of a busy
machine. Finally one account asks for ten times the capacity, and every request must be answered or refused.
"""

import argparse
import asyncio
import contextlib
import io
import json
import math
import random
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import av
import httpx
import numpy as np
from keyed import create_key
from served import ENDPOINT_ID, Server, data_uri, make_clip

NUM_GOOD = 9
MIN_COMPLETED = 0.95
MAX_REQUESTS, MAX_RUNNING = 4, 24
QUEUE = f"/queue/{ENDPOINT_ID}"
VARIABLES = {
    "OMNIREEL_AUTH": "keys",
    "OMNIREEL_MAX_REQUESTS": str(MAX_REQUESTS),
    "OMNIREEL_MAX_RUNNING": str(MAX_RUNNING),
    "OMNIREEL_MAX_BODY_BYTES": str(16 * 1024 * 1024),
    "OMNIREEL_MAX_DATA_URI_BYTES": str(8 * 1024 * 1024),
    "OMNIREEL_FETCH_ALLOW": "127.0.0.1",
    "OMNIREEL_ALLOW_HTTP": "1",
}

Ask = Callable[["Account"], Awaitable[bool]]


@dataclass(frozen=True)
class Times:
    """How long things take; all of them longer for a busy machine.

    slow_s:    the slow host and the slow receiver, for one request of the flood
    timeout_s: after so long a request was not served
    slack_s:   what a busy machine may add
    """

    scale: float

    @property
    def token_s(self) -> float:
        return 0.1 * self.scale

    @property
    def slow_s(self) -> float:
        return min(2.0 * self.scale, 5.0)  # a host that is silent for 10 s is given up

    @property
    def timeout_s(self) -> float:
        return 20.0 * self.scale

    @property
    def slack_s(self) -> float:
        return 2.0 * self.scale

    @property
    def asking_s(self) -> float:
        return 5.0 * self.scale


@dataclass(frozen=True)
class Scenario:
    """A scarce resource.

    ask:      one request of one of the nine; returns whether it was served
    flood:    one request of the flood; it is sent again and again
    num:      requests of the flood at a time
    rate:     requests a second of each of the nine, about half of its share
    longest_s: the longest piece of work that is not interrupted
    """

    ask: Ask
    flood: Ask
    num: int
    rate: float
    longest_s: float


@dataclass(frozen=True)
class Result:
    """What the nine got. p99_alone_s, p99_s: without and with the flood"""

    resource: str
    completed: float
    p99_alone_s: float
    p99_s: float
    allowed_s: float
    num_asked: int
    num_flood: int

    @property
    def is_fair(self) -> bool:
        """Whether the nine got what they had to."""
        return self.completed >= MIN_COMPLETED and self.p99_s <= self.allowed_s


class Account:
    """A client with a key of its own. webhooks: the lab's, which tells when one has arrived"""

    def __init__(self, lab: "Lab", url: str, key: str, *, is_flood: bool) -> None:
        self.lab = lab
        self.is_flood = is_flood
        headers = {"authorization": f"Key {key}"}
        limits = httpx.Limits(max_connections=None)
        self.client = httpx.AsyncClient(
            base_url=url, headers=headers, timeout=lab.times.timeout_s, trust_env=False, limits=limits
        )

    async def post(self, path: str, body: dict[str, object]) -> httpx.Response:
        """Send a request, and wait before another one if it was refused."""
        answer = await self.client.post(path, json=body)
        if answer.status_code == 429:
            await asyncio.sleep(0.5 * self.lab.times.scale)
        return answer

    async def run_job(self, body: dict[str, object], query: str = "") -> bool:
        """Send a job to the queue and wait for its end."""
        sent = await self.post(f"{QUEUE}{query}", body)
        if sent.status_code != 200:
            return False
        status_url = sent.json()["status_url"]
        while (status := await self.client.get(status_url)).status_code == 202:
            await asyncio.sleep((1.0 if self.is_flood else 0.2) * self.lab.times.scale)
        return status.status_code == 200 and not status.json().get("error")


class Lab:
    """A host of clips and a receiver of webhooks, on one port: what concerns the flood is slow."""

    def __init__(self, times: Times) -> None:
        self.times = times
        self.clip = make_clip(seconds=0.3)
        self.arrived: dict[str, asyncio.Event] = {}
        self.port = 0

    @contextlib.asynccontextmanager
    async def serving(self):
        """Serve until the block ends."""
        async with await asyncio.start_server(self._answer, "127.0.0.1", 0) as server:
            self.port = server.sockets[0].getsockname()[1]
            yield

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Cancelled: the run is over.
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            method, path, _ = head.split(" ", 2)
            if path in self.arrived:
                self.arrived[path].set()
            if path.startswith("/slow"):
                await asyncio.sleep(self.times.slow_s)
            content = self.clip if method == "GET" else b""
            writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {len(content)}\r\n\r\n".encode() + content)
            await writer.drain()
        writer.close()


def long_clip(*, num_frames: int) -> bytes:
    """A clip of 720p whose packets are the same few again and again, so that it takes little time to make."""
    sink = io.BytesIO()
    with av.open(sink, "w", format="mp4") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt, stream.gop_size = 1280, 720, "yuv420p", 10
        random_pictures = np.random.default_rng(1)
        packets = []
        for _ in range(10):
            picture = random_pictures.integers(0, 255, (90, 160, 3), np.uint8).repeat(8, 0).repeat(8, 1)
            packets += stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24"))
        packets += stream.encode()
        contents = [(bytes(packet), packet.is_keyframe) for packet in packets]
        for index in range(num_frames):
            content, is_keyframe = contents[index % len(contents)]
            packet = av.Packet(content)
            packet.stream, packet.time_base = stream, stream.codec_context.time_base
            packet.pts = packet.dts = index
            packet.is_keyframe = is_keyframe
            container.mux(packet)
    return sink.getvalue()


def scenarios(times: Times) -> dict[str, Scenario]:
    """Each resource, with requests that are bounded by it and by nothing else."""
    clip = make_clip(seconds=0.3)
    short = {"prompt": "w w w w", "video_url": data_uri(clip)}
    long = {"prompt": "w " * 28, "video_url": data_uri(clip)}
    quick = {"prompt": "w", "video_url": data_uri(clip)}
    heavy = {
        "prompt": "w", "video_url": data_uri(long_clip(num_frames=600)), "fps": 10, "max_frames": 600,
    }  # fmt: skip
    large, small = bytes(4 * 1024 * 1024), bytes(64 * 1024)

    async def sync(account: Account) -> bool:
        return (await account.post(f"/{ENDPOINT_ID}", short)).status_code == 200

    async def stream(account: Account) -> bool:
        return (await account.post(f"/{ENDPOINT_ID}/stream", short)).status_code == 200

    async def queue(account: Account) -> bool:
        return await account.run_job(long)

    async def upload(account: Account) -> bool:
        content = large if account.is_flood else small
        headers = {"content-type": "video/mp4"}
        return (
            await account.client.post("/cdn/files/upload", content=content, headers=headers)
        ).status_code == 200

    async def download(account: Account) -> bool:
        path = "/slow" if account.is_flood else "/clip"
        return await account.run_job({"prompt": "w", "video_url": f"{account.lab.url}{path}"})

    async def webhook(account: Account) -> bool:
        path = f"/{'slow' if account.is_flood else 'hook'}/{random.getrandbits(64):x}"
        arrived = account.lab.arrived[path] = asyncio.Event()
        sent = await account.post(f"{QUEUE}?fal_webhook={account.lab.url}{path}", quick)
        if sent.status_code != 200:
            return False
        if not account.is_flood:
            await asyncio.wait_for(arrived.wait(), account.lab.times.timeout_s)
        return True

    async def decode(account: Account) -> bool:
        if account.is_flood:
            return await account.run_job(heavy)
        return (await account.post(f"/{ENDPOINT_ID}", quick)).status_code == 200

    short_s, long_s = 5 * times.token_s, 29 * times.token_s
    sync_rate = MAX_REQUESTS / short_s / (NUM_GOOD + 1) / 2
    queue_rate = MAX_RUNNING / long_s / (NUM_GOOD + 1) / 2
    return {
        "sync": Scenario(sync, sync, 20, sync_rate, short_s),
        "stream": Scenario(stream, stream, 20, sync_rate, short_s),
        "queue": Scenario(queue, queue, 100, queue_rate, long_s),
        "uploads": Scenario(upload, upload, 12, 0.5 / times.scale, 0.1),
        "downloads": Scenario(download, download, 60, 0.3 / times.scale, times.slow_s),
        "webhooks": Scenario(webhook, webhook, 4, 0.2 / times.scale, times.slow_s),
        "decoding": Scenario(decode, decode, 6, 0.3 / times.scale, 0.5),
    }


@contextlib.asynccontextmanager
async def accounts(folder: Path, lab: Lab):
    """A new server, and the flood's account followed by the nine."""
    names = [f"account-{number}" for number in range(NUM_GOOD + 1)]
    keys = await asyncio.to_thread(lambda: [create_key(folder, account=name) for name in names])
    variables = VARIABLES | {
        "OMNIREEL_FETCH_PORTS": str(lab.port), "OMNIREEL_ECHO_TOKEN_S": str(lab.times.token_s)
    }  # fmt: skip
    with Server(folder, **variables) as server:
        made = [Account(lab, server.url, key, is_flood=not number) for number, key in enumerate(keys)]
        try:
            yield made
        finally:
            for account in made:
                await account.client.aclose()


async def timed(ask: Ask, account: Account) -> float | None:
    """How long a request took; None if it was not served."""
    began = time.monotonic()
    with contextlib.suppress(httpx.HTTPError, TimeoutError):
        async with asyncio.timeout(account.lab.times.timeout_s):
            if await ask(account):
                return time.monotonic() - began
    return None


async def open_loop(
    scenario: Scenario, good: list[Account], seconds: float, rng: random.Random
) -> list[float | None]:
    """Requests of the nine at times that do not depend on the answers."""

    async def later(account: Account, at: float) -> float | None:
        await asyncio.sleep(at)
        return await timed(scenario.ask, account)

    num_each = max(1, round(scenario.rate * seconds))
    plan = [(account, (n + rng.random()) * seconds / num_each) for account in good for n in range(num_each)]
    return await asyncio.gather(*(later(account, at) for account, at in plan))


async def flooding(scenario: Scenario, account: Account, counts: list[int]) -> None:
    while True:
        counts[0] += await timed(scenario.flood, account) is not None


def p99(times: list[float | None]) -> float:
    """The time of the slowest hundredth, at least of the slowest one, of those that were served."""
    ordered = sorted(seconds for seconds in times if seconds is not None) or [math.nan]
    return ordered[math.ceil(0.99 * len(ordered)) - 1]


async def measure(name: str, scenario: Scenario, folder: Path, times: Times, seed: int) -> Result:
    """Ask without the flood, then with it."""
    rng, lab, counts = random.Random(seed), Lab(times), [0]
    async with lab.serving(), accounts(folder, lab) as (flood, *good):
        await asyncio.gather(*(timed(scenario.ask, account) for account in good))
        alone = await open_loop(scenario, good, times.asking_s, rng)
        floods = [asyncio.create_task(flooding(scenario, flood, counts)) for _ in range(scenario.num)]
        await asyncio.sleep(2.0 * times.scale)
        beside = await open_loop(scenario, good, times.asking_s, rng)
        for task in floods:
            task.cancel()
        await asyncio.gather(*floods, return_exceptions=True)
    completed = sum(seconds is not None for seconds in beside) / len(beside)
    allowed_s = 2 * p99(alone) + scenario.longest_s + times.slack_s
    return Result(name, completed, p99(alone), p99(beside), allowed_s, len(beside), counts[0])


@dataclass(frozen=True)
class Overload:
    """What one account got that asked for ten times the capacity.

    goodput:      answers a second over the capacity
    answer_s:     how long one answer takes
    p99_s:        of the refusals
    num_hanging:  requests that were neither answered nor refused
    """

    goodput: float
    answer_s: float
    p99_s: float
    num_answered: int
    num_refused: int
    num_hanging: int

    @property
    def is_good(self) -> bool:
        """Whether all were answered, most of the capacity was used, and refusing was far quicker than answering."""
        return self.goodput >= 0.9 and not self.num_hanging and self.p99_s <= self.answer_s / 4


async def overload(folder: Path, times: Times, seconds: float) -> Overload:
    """Send ten times as many requests a second as the server can answer."""
    lab = Lab(times)
    # 20 words: with so much to wait for, the work around an answer hardly counts.
    body = json.dumps({"prompt": "w " * 19, "video_url": data_uri(make_clip(seconds=0.3))})
    answer_s = 20 * times.token_s
    capacity = MAX_REQUESTS / answer_s
    found: list[tuple[int, float]] = []

    async def one(account: Account, at: float) -> None:
        await asyncio.sleep(at)
        began = time.monotonic()
        with contextlib.suppress(httpx.HTTPError):
            headers = {"content-type": "application/json"}
            answer = await account.client.post(
                f"/{ENDPOINT_ID}", content=body, headers=headers, timeout=60 * times.scale
            )
            found.append((answer.status_code, time.monotonic() - began))

    async with lab.serving(), accounts(folder, lab) as (flood, *_):
        num = round(10 * capacity * seconds)
        began = time.monotonic()
        await asyncio.gather(*(one(flood, n / (10 * capacity)) for n in range(num)))
        took = time.monotonic() - began
    refused = [seconds for status, seconds in found if status == 429]
    num_answered = sum(status == 200 for status, _ in found)
    goodput = num_answered / took / capacity
    return Overload(
        goodput, answer_s, p99(refused), num_answered, len(refused), num - num_answered - len(refused)
    )


async def run(options: argparse.Namespace) -> int:
    """Measure all resources, print a table, and return 1 if something was not fair."""
    results, times = [], Times(options.scale)
    print(
        f"{'resource':10} {'asked':>5} {'served':>7} {'p99 alone':>9} {'beside':>7} {'allowed':>7} {'flood':>6}"
    )
    with tempfile.TemporaryDirectory() as folder:
        for name, scenario in scenarios(times).items():
            if options.only and name not in options.only:
                continue
            place = Path(folder, name)
            place.mkdir(mode=0o700)
            result = await measure(name, scenario, place, times, options.seed)
            results.append(result)
            print(
                f"{name:10} {result.num_asked:5} {result.completed:7.0%} {result.p99_alone_s:8.2f}s"
                f" {result.p99_s:6.2f}s {result.allowed_s:6.2f}s {result.num_flood:6}"
                f"{'' if result.is_fair else '  NOT FAIR'}",
                flush=True,
            )
        at_ten_times = None
        if not options.only or "overload" in options.only:
            place = Path(folder, "overload")
            place.mkdir(mode=0o700)
            at_ten_times = await overload(place, times, options.overload_s)
            print(
                f"ten times the capacity for {options.overload_s:g} s: {at_ten_times.num_answered} answered, "
                f"{at_ten_times.goodput:.0%} of the capacity; {at_ten_times.num_refused} refused, 99 % of them within "
                f"{1000 * at_ten_times.p99_s:.0f} ms; {at_ten_times.num_hanging} without an answer"
                f"{'' if at_ten_times.is_good else '  NOT GOOD'}"
            )
    if options.json:
        written = {"shares": [asdict(result) for result in results]}
        written |= {"overload": asdict(at_ten_times)} if at_ten_times else {}
        Path(options.json).parent.mkdir(parents=True, exist_ok=True)
        Path(options.json).write_text(json.dumps(written, indent=1) + "\n")
    is_good = all(result.is_fair for result in results) and (at_ten_times is None or at_ten_times.is_good)
    return 0 if is_good else 1


def main() -> None:
    """Read the options and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("only", nargs="*", help="resources to measure; all of them if none is named")
    parser.add_argument(
        "--scale", type=float, default=1.0, help="how much longer everything takes, for a busy machine"
    )
    parser.add_argument("--overload-s", type=float, default=15.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", help="a file for the results")
    sys.exit(asyncio.run(run(parser.parse_args())))


if __name__ == "__main__":
    main()
