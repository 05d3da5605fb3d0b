"""From a clip and a prompt to an answer, with a model server elsewhere.

Clips are read in worker threads; the event loop sends the request and passes on what the server streams.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import structlog

from omnireel.backends.answer_clock import AnswerClock
from omnireel.backends.base import Health
from omnireel.backends.remote.answer import RemoteAnswer
from omnireel.backends.remote.chat_request import body_for
from omnireel.backends.remote.clip import SentTask, TaskEncoder
from omnireel.backends.remote.failures import (
    UpstreamFailure,
    broke_off,
    failed,
    refused,
    stalled,
    unreachable,
)
from omnireel.backends.remote.sendable import sendable_task
from omnireel.backends.remote.servers import Server
from omnireel.backends.remote.stream import Chunk, Patience, chunks_of
from omnireel.backends.remote.upstreams import Upstream, UpstreamPool
from omnireel.backends.thread_work import WorkThreads
from omnireel.engine.params import FinishReason
from omnireel.errors import CapacityError, OmnireelError
from omnireel.net.errors import FetchError
from omnireel.net.operator_server import NotConnectedError, Reply, sent
from omnireel.prompting.clip import MediaDefaults
from omnireel.prompting.counts import TokenCounter
from omnireel.task import Answer, Delta, Event, Inspection, Progress, Report, Task, Usage
from omnireel.video.decoder import sandbox
from omnireel.video.reader.process import num_sandbox_violations

log = structlog.get_logger()

_MAX_ERROR_BYTES = 64 * 1024
_ERROR_S = 5.0
# Servers put a line break between a clip and its sound, and differ in blanks around them.
_EXPECTED_DIFFERENCE = 8
_FINISH = {
    "stop": FinishReason.stop,
    "length": FinishReason.length,
    "tool_calls": FinishReason.stop,
}


@dataclass(frozen=True)
class RemoteOptions:
    """How model servers are asked.

    media:     options of a task that does not set them; its pruning rate is that of the servers
    connect_s: limit for a connection
    is_exact:  see `TaskEncoder`
    """

    patience: Patience
    media: MediaDefaults
    connect_s: float = 5.0
    is_exact: bool = False


class RemoteBackend:
    """Model servers of one kind, which serve the same model.

    counter: of that model, with the media options of `options`
    """

    def __init__(
        self, server: Server, pool: UpstreamPool, counter: TokenCounter, options: RemoteOptions
    ) -> None:
        self.name = server.name
        self._server = server
        self._pool = pool
        self._counter = counter
        self._options = options
        self._encoder = TaskEncoder(counter, server, is_exact=options.is_exact)
        self._threads = WorkThreads()

    async def generate(self, task: Task, files: Sequence[Path]) -> AsyncGenerator[Event]:
        """See Backend.generate."""
        await self._ready()
        self._pool.check_up()
        plain = self._plain(task)
        encode = partial(self._encode, plain, files)
        async with self._threads.work(task.tenant or "", encode) as work:
            async for progress in work:
                yield progress
            sent_task = await work.result()
        async with aclosing(self._answer(task, sent_task)) as events:
            async for event in events:
                yield event

    async def inspect(self, task: Task, files: Sequence[Path], *, pictures: bool = False) -> Inspection:
        """See Backend.inspect."""
        await self._ready()
        plain = self._plain(task)
        inspect = partial(self._counter.inspect, plain, files, pictures=pictures)
        async with self._threads.work(task.tenant or "", inspect) as work:
            return await work.result()

    def check_length(self, task: Task) -> None:
        """See Backend.check_length."""
        self._counter.check_length(task)

    def most_tokens(self, task: Task) -> int:
        """See Backend.most_tokens."""
        return self._counter.most_tokens(self._plain(task))

    async def health(self) -> Health:
        """See Backend.health. The servers are probed in the background from the first call on."""
        await self._pool.start()
        upstreams = self._pool.upstreams
        names = sorted({upstream.model for upstream in upstreams if upstream.model})
        return Health(
            is_ready=self._pool.is_up,
            is_checked_now=self._pool.is_checking,
            model=", ".join(names) or "unknown",
            detail=self._detail(),
            sandbox_misses=sandbox.missing(),
            num_sandbox_violations=num_sandbox_violations(),
        )

    def _detail(self) -> str | None:
        """How many servers are down. Callers see it, so their addresses are in the log only."""
        num_down, num_all = len(self._pool.problems), len(self._pool.upstreams)
        if num_down == num_all:
            return "No model server can be reached."
        return f"{num_down} of {num_all} model servers take no requests." if num_down else None

    async def close(self) -> None:
        """See Backend.close."""
        self._threads.close()
        await self._pool.close()

    async def _ready(self) -> None:
        await self._pool.start()
        contexts = [u.max_context for u in self._pool.upstreams if u.max_context is not None]
        self._counter.limit_context(min(contexts, default=None))

    def _plain(self, task: Task) -> Task:
        return sendable_task(task, self._server, self._counter, self._options.media)

    def _encode(self, task: Task, files: Sequence[Path], report: Report) -> SentTask:
        return self._encoder.encode(task, files, report, salt=_salt(task.tenant))

    async def _answer(self, task: Task, sent_task: SentTask) -> AsyncGenerator[Event]:
        """The answer of one server, or of a second one where the first fails before its first token.

        Servers without a connection do not count: they have got nothing of the request.
        """
        tries = _Tries(self._pool)
        while True:
            is_waiting = self._pool.is_full(sent_task.key, without=tries.servers)
            if is_waiting:
                yield Progress("waiting", "all model servers are busy, waiting for one")
            async with self._pool.hold(sent_task.key, without=tries.servers) as upstream:
                exchange = _Exchange(upstream, task, sent_task, self._options)
                if is_waiting:
                    yield Progress("prompt", "sending the frames to a model server")
                try:
                    async with aclosing(exchange.events()) as events:
                        async for event in events:
                            yield event
                    return
                except UpstreamFailure as failure:
                    tries.add(upstream, failure, may_retry=not exchange.has_text)


class _Tries:
    """The servers that have failed a request. Only one that got the request may be followed by another."""

    def __init__(self, pool: UpstreamPool) -> None:
        self.servers: set[Upstream] = set()
        self._pool = pool
        self._num_sent = 0
        self._error: OmnireelError | None = None

    def add(self, upstream: Upstream, failure: UpstreamFailure, *, may_retry: bool) -> None:
        """Count a failure. Raises the request's error where no other server is to be asked."""
        log.warning("a request to a model server failed", upstream=upstream.address, reason=failure.reason)
        self._pool.note(upstream, failure)
        self.servers.add(upstream)
        self._num_sent += not failure.is_unsent
        # A job may wait without limit for servers that are gone, but must not if one of them died of it.
        if self._error is None or isinstance(self._error, CapacityError):
            self._error = failure.error
        may_retry = may_retry and failure.may_retry and self._num_sent < 2
        if not (may_retry and self._pool.is_any_up(without=self.servers)):
            raise self._error from None


class _Exchange:
    """One request to one server, and its answer."""

    def __init__(self, upstream: Upstream, task: Task, sent_task: SentTask, options: RemoteOptions) -> None:
        self._upstream = upstream
        self._task = task
        self._sent = sent_task
        self._options = options
        self._started_s = time.monotonic()
        self._clock = AnswerClock(sent_task.input_tokens)
        self._text = RemoteAnswer(thinking=task.thinking, splits_reasoning=upstream.splits_reasoning)
        self._usage: Usage | None = None
        self._finish_reason: str | None = None
        self._num_chunks = 0

    @property
    def has_text(self) -> bool:
        """Whether the caller may have seen a part of the answer."""
        return self._num_chunks > 0

    async def events(self) -> AsyncGenerator[Event]:
        """Deltas, then the Answer. Raises UpstreamFailure."""
        patience = self._options.patience
        call = self._upstream.call(
            "/chat/completions",
            connect_s=self._options.connect_s,
            reply_s=patience.first_token_s,
            body=body_for(self._upstream.model, self._sent.rest),
        )
        try:
            async with sent(call) as reply:
                if reply.status != 200:
                    raise refused(reply.status, reply.headers, await _error_body(reply))
                async for chunk in chunks_of(reply, patience, self._left_s):
                    for event in self._take(chunk):
                        yield event
        except NotConnectedError as error:
            raise unreachable(error.reason or error.why) from None
        except FetchError as error:
            raise broke_off(error.why) from None
        except TimeoutError:
            raise stalled("first token", patience.first_token_s) from None
        if delta := self._text.finish():
            yield Delta(delta, self._so_far)
        yield self._clock.done()
        yield self._done()

    @property
    def _so_far(self) -> Usage:
        """The tokens so far by our own count. A server may send several chunks for a token."""
        num_output = min(self._num_chunks, self._task.sampling.max_tokens)
        return Usage(self._sent.input_tokens, num_output)

    def _left_s(self) -> float:
        return self._options.patience.first_token_s - (time.monotonic() - self._started_s)

    def _take(self, chunk: Chunk) -> list[Event]:
        self._upstream.last_sent_at = time.monotonic()
        self._usage = chunk.usage or self._usage
        self._finish_reason = chunk.finish_reason or self._finish_reason
        if not chunk.has_text:
            return []
        self._num_chunks += 1
        self._upstream.splits_reasoning |= bool(chunk.reasoning)
        events: list[Event] = []
        if progress := self._clock.count_token():
            events.append(progress)
        if delta := self._text.push(chunk):
            events.append(Delta(delta, self._so_far))
        return events

    def _done(self) -> Answer:
        if self._finish_reason is None:
            raise broke_off("the stream ended without a finish reason")
        if self._finish_reason not in _FINISH:
            raise failed(f"the server ended the answer with {self._finish_reason!r}")
        usage = self._billed()
        return Answer(
            output=self._text.output,
            reasoning=self._text.reasoning,
            finish_reason=_FINISH[self._finish_reason],
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            video=self._sent.video,
        )

    def _billed(self) -> Usage:
        """The server's own counts. Where they cannot be true, ours; a difference that was not expected is logged."""
        own = Usage(self._sent.input_tokens, self._num_chunks)
        found = self._usage
        if found is None:
            log.warning("a model server sent no usage", upstream=self._upstream.address, billed=vars(own))
            return own
        allowed = max(_EXPECTED_DIFFERENCE, own.input_tokens // 50)
        most_output = self._task.sampling.max_tokens
        is_expected = abs(found.input_tokens - own.input_tokens) <= allowed
        if not is_expected or found.output_tokens > most_output:
            log.warning(
                "a model server's usage differs from ours",
                upstream=self._upstream.address,
                theirs=vars(found),
                ours=vars(own),
            )
        return Usage(found.input_tokens, min(found.output_tokens, most_output))


def _salt(tenant: str | None) -> str | None:
    """Keeps the cached prompts of tenants apart, so that none can find out by timing what another has asked."""
    return None if tenant is None else hashlib.sha256(f"tenant {tenant}".encode()).hexdigest()


async def _error_body(reply: Reply) -> bytes:
    try:
        return await reply.read_all(_ERROR_S, max_bytes=_MAX_ERROR_BYTES)
    except (FetchError, TimeoutError):
        return b""
