"""Asks a running model server what it is, by its own pages and by small requests. For `omnireel doctor`."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, replace

import numpy as np

from omnireel.backends.remote.chat_request import body_for, encoded, request_fields
from omnireel.backends.remote.failures import UpstreamFailure, error_text, read_json
from omnireel.backends.remote.servers import Server
from omnireel.backends.remote.servers.base import SentClip
from omnireel.backends.remote.stream import Chunk, Patience, chunks_of
from omnireel.backends.remote.upstreams import Upstream
from omnireel.engine.params import SamplingParams
from omnireel.net.errors import FetchError
from omnireel.net.operator_server import sent
from omnireel.prompting.counts import AudioInput, TokenCounter
from omnireel.task import Task, video_task
from omnireel.video.pictures import Picture, jpeg, mp4
from omnireel.video.reader.frames import ClipFacts

_PAGE_S = 10.0
_MAX_PAGE_BYTES = 8 * 1024 * 1024
_SOURCE_FPS = 2.0
_NUM_FRAMES = 8
_SIZE = (192, 256)
_RATES = (0.0, 0.5, 0.7, 0.25, 0.3, 0.4, 0.6, 0.75, 0.8, 0.9)
_SSM_TYPE = re.compile(r'mamba_ssm_cache_dtype="([^"]*)"')


@dataclass(frozen=True)
class ServerFacts:
    """What a model server is found to be.

    version:       as it says; None where it does not
    ssm_type:      the type of the Mamba states, as its metrics say; None where they do not
    pruning_rate:  the share of vision tokens it drops, by its count of a clip's tokens; None where no rate fits
    prompt_tokens, expected_tokens: of that clip, by the server and by us at the configured rate
    has_parser:    whether the chain of thought comes in a field of its own
    takes_most_frames: whether it takes a clip of as many frames as are sent at most, in the model's size
    problems:      what will not work, a sentence each
    """

    address: str
    model: str
    version: str | None = None
    max_context: int | None = None
    ssm_type: str | None = None
    pruning_rate: float | None = None
    prompt_tokens: int | None = None
    expected_tokens: int | None = None
    has_parser: bool | None = None
    takes_most_frames: bool | None = None
    problems: tuple[str, ...] = ()

    def as_json(self) -> dict[str, object]:
        """The facts as JSON."""
        return asdict(self) | {"problems": list(self.problems)}


class ServerCheck:
    """Checks one server, which has answered a probe.

    counter:    of its model
    rate:       the share of vision tokens that the settings say it drops
    max_frames: the most frames that are sent
    """

    def __init__(
        self, upstream: Upstream, server: Server, counter: TokenCounter, *, rate: float, max_frames: int
    ) -> None:
        self._upstream = upstream
        self._server = server
        self._counter = counter
        self._rate = rate
        self._max_frames = max_frames
        self._problems: list[str] = []

    async def run(self) -> ServerFacts:
        """Ask the server. What fails is among the problems."""
        upstream = self._upstream
        metrics = await self._page("/metrics")
        ssm_type = _SSM_TYPE.search(metrics)
        facts = ServerFacts(
            address=upstream.address,
            model=upstream.model,
            version=_version(await self._page("/version")),
            max_context=upstream.max_context,
            ssm_type=ssm_type[1] if ssm_type else None,
        )
        if facts.ssm_type is not None and facts.ssm_type != "float32":
            self._problems.append(
                f"The Mamba states are kept as {facts.ssm_type}: start it with --mamba-ssm-cache-dtype float32."
            )
        facts = await self._with_counts(facts)
        facts = await self._with_parser(facts)
        takes = await self._ask("the most frames", self._max_frames, thinking=False) is not None
        return replace(facts, takes_most_frames=takes, problems=tuple(self._problems))

    async def _with_counts(self, facts: ServerFacts) -> ServerFacts:
        chunks = await self._ask("a short clip", _NUM_FRAMES, thinking=False)
        usage = next((chunk.usage for chunk in chunks or () if chunk.usage), None)
        if usage is None:
            if chunks is not None:
                self._problems.append("It sends no usage, so our own counts would be billed.")
            return facts
        expected = self._count(self._rate)
        nearest = min(_RATES, key=lambda rate: abs(self._count(rate) - usage.input_tokens))
        fits = abs(self._count(nearest) - usage.input_tokens) <= 8
        if abs(expected - usage.input_tokens) > 8:
            self._problems.append(
                f"It counts {usage.input_tokens} tokens where {expected} are expected at a pruning rate of "
                f"{self._rate:g}"
                + (f"; a rate of {nearest:g} fits: set upstream_pruning_rate." if fits else ".")
            )
        rate = nearest if fits else None
        return replace(facts, pruning_rate=rate, prompt_tokens=usage.input_tokens, expected_tokens=expected)

    async def _with_parser(self, facts: ServerFacts) -> ServerFacts:
        chunks = await self._ask("a chain of thought", 2, thinking=True)
        if chunks is None:
            return facts
        has_parser = any(chunk.reasoning for chunk in chunks)
        if not has_parser and self._server.has_budget:
            self._problems.append(
                "The chain of thought does not come in a field of its own, so that its budget may not work: "
                "start it with a reasoning parser."
            )
        return replace(facts, has_parser=has_parser)

    async def _ask(self, what: str, num_frames: int, *, thinking: bool) -> list[Chunk] | None:
        """The chunks of an answer of a few tokens; None, and a problem, where there is none."""
        task = _task(thinking=thinking)
        body = body_for(
            self._upstream.model,
            encoded(request_fields(task, self._clip(num_frames), self._server, max_tokens=8)),
        )
        call = self._upstream.call("/chat/completions", connect_s=_PAGE_S, reply_s=300.0, body=body)
        try:
            async with sent(call) as reply:
                if reply.status == 200:
                    return [c async for c in chunks_of(reply, Patience(300.0, 60.0), lambda: 300.0)]
                reason = error_text(await reply.read_all(_PAGE_S, max_bytes=_MAX_PAGE_BYTES))
                failure = f"status {reply.status}: {reason[:300]}"
        except UpstreamFailure as error:
            failure = error.reason
        except FetchError as error:
            failure = error.reason or error.why
        except TimeoutError:
            failure = "no answer came in time"
        self._problems.append(f"It does not answer about {what}, {num_frames} frames: {failure}")
        return None

    def _clip(self, num_frames: int) -> SentClip:
        rows, cols = self._counter.patch_grid(_facts(num_frames))
        side = self._counter.config.vision.patch_size
        pictures = [_picture(n, rows * side, cols * side) for n in range(num_frames)]
        clip = SentClip(
            indices=list(range(num_frames)),
            num_frames=num_frames,
            source_fps=_SOURCE_FPS,
            duration_s=num_frames / _SOURCE_FPS,
        )
        if self._server.takes_frame_list:
            return replace(clip, pictures=[jpeg(picture) for picture in pictures])
        return replace(clip, mp4=mp4(pictures, _SOURCE_FPS))

    def _count(self, rate: float) -> int:
        task = _task(thinking=False)
        pruned = replace(task, media=replace(task.media, video_pruning_rate=rate))
        return self._counter.count(pruned, _facts(_NUM_FRAMES), AudioInput("absent")).input_tokens

    async def _page(self, path: str) -> str:
        """A page beside /v1; empty where there is none."""
        root = replace(self._upstream.base, resource=self._upstream.base.resource.removesuffix("/v1"))
        call = replace(self._upstream, base=root).call(path, connect_s=_PAGE_S, reply_s=_PAGE_S)
        try:
            async with sent(call) as reply:
                body = await reply.read_all(_PAGE_S, max_bytes=_MAX_PAGE_BYTES)
                return body.decode("utf-8", "replace") if reply.status == 200 else ""
        except (FetchError, TimeoutError):
            return ""


def _version(page: str) -> str | None:
    try:
        found = read_json(page)
    except ValueError:
        return None
    return str(found["version"]) if isinstance(found, dict) and "version" in found else None


def _task(*, thinking: bool) -> Task:
    sampling = SamplingParams(temperature=0.0, max_tokens=8)
    return video_task("", prompt="What is seen?", video="", thinking=thinking, sampling=sampling)


def _facts(num_frames: int) -> ClipFacts:
    height, width = _SIZE
    return ClipFacts(
        width=width,
        height=height,
        codec="h264",
        source_fps=_SOURCE_FPS,
        duration_s=num_frames / _SOURCE_FPS,
        num_source_frames=num_frames,
        has_audio=False,
        indices=tuple(range(num_frames)),
        warnings=(),
    )


def _picture(number: int, height: int, width: int) -> Picture:
    """A picture with a bar that moves from frame to frame."""
    rgb = np.full((height, width, 3), 96, np.uint8)
    left = number * 8 % width
    rgb[:, left : left + 8] = (240, 200, 40)
    return rgb
