"""The model servers of a deployment: which of them are up, and which takes the next request."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import structlog

from omnireel.backends.remote.failures import (
    RETRY_S,
    UpstreamFailure,
    all_busy,
    error_text,
    no_server,
    read_json,
)
from omnireel.net.errors import FetchError
from omnireel.net.operator_server import Call, sent
from omnireel.net.urls import Target, parse_url

log = structlog.get_logger()

_UNASKED = "it has not answered yet"
_MAX_ANSWER_BYTES = 1024 * 1024
_PROBE_REPLY_S = 5.0
# A server that has the clip in its cache may have so many more requests than the one with the fewest.
_CACHE_WORTH = 2


@dataclass(eq=False)
class Upstream:
    """One model server, and what is known of it.

    base:        its address up to /v1
    key:         its API key; "" for none
    model:       the name it serves its model under; "" until it has answered
    max_context: the longest context it takes; None where it does not say
    problem:     why it takes no requests; None while it does
    splits_reasoning: it has sent a chain of thought in a field of its own
    last_sent_at:         when it last sent a part of an answer
    rests_until:      it wants no requests before
    num_probes:       of it that run now
    num_failures:     how often it was taken out
    Times are of the monotonic clock.
    """

    base: Target
    key: str = field(default="", repr=False)
    model: str = ""
    max_context: int | None = None
    problem: str | None = _UNASKED
    is_other_model: bool = False
    splits_reasoning: bool = False
    num_running: int = 0
    last_sent_at: float = 0.0
    rests_until: float = 0.0
    num_probes: int = 0
    num_failures: int = 0

    @property
    def address(self) -> str:
        """Where it is, for people."""
        return f"{self.base.scheme}://{self.base.authority}"

    def call(self, path: str, *, connect_s: float, reply_s: float, body: bytes = b"") -> Call:
        """A request to a path under /v1."""
        headers = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        target = replace(self.base, resource=self.base.resource + path)
        method = "POST" if body else "GET"
        return Call(target, method, headers, body, connect_s=connect_s, reply_s=reply_s)


def upstream_at(url: str, key: str = "") -> Upstream:
    """A model server at an address, with or without /v1 at its end. Raises FetchError for a wrong address."""
    target = parse_url(url)
    path = target.resource.rstrip("/")
    return Upstream(replace(target, resource=path if path.endswith("/v1") else f"{path}/v1"), key)


class UpstreamPool:
    """Chooses among the model servers. Used in one event loop at a time.

    max_running: requests that one server gets at a time
    accepts:     whether the name of a server's model is the right one
    probe_s:     how often the servers are asked whether they are up
    """

    def __init__(
        self,
        upstreams: Sequence[Upstream],
        *,
        max_running: int,
        accepts: Callable[[str], bool],
        connect_s: float = 5.0,
        probe_s: float = RETRY_S,
    ) -> None:
        self.upstreams = list(upstreams)
        self._max_running = max_running
        self._accepts = accepts
        self._connect_s = connect_s
        self._probe_s = probe_s
        self._changed: asyncio.Event = asyncio.Event()
        self._probing: asyncio.Task[None] | None = None
        self._checks: set[asyncio.Task[None]] = set()

    @property
    def is_up(self) -> bool:
        """Whether any server takes requests."""
        return any(upstream.problem is None for upstream in self.upstreams)

    @property
    def is_checking(self) -> bool:
        """Whether a server that has just failed is probed."""
        return bool(self._checks)

    @property
    def problems(self) -> list[str]:
        """One line for each server that takes none."""
        return [f"{u.address}: {u.problem}" for u in self.upstreams if u.problem is not None]

    async def start(self) -> None:
        """Probe the servers now and then from now on. Where none is known to be up, the first calls wait for that."""
        if self._probing is None:
            self._probing = asyncio.create_task(self._probe_for_ever())
            if not self.is_up:
                self._check(*self.upstreams)
        if self._checks and all(upstream.problem == _UNASKED for upstream in self.upstreams):
            await asyncio.wait(self._checks)

    async def close(self) -> None:
        """Stop probing."""
        if self._probing is not None:
            tasks = {self._probing, *self._checks}
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    async def probe(self) -> None:
        """Ask every server for its model. Raises nothing: what goes wrong is the server's problem."""
        for upstream in self.upstreams:
            upstream.num_probes += 1
        await asyncio.gather(*map(self._probe, self.upstreams))

    @asynccontextmanager
    async def hold(self, key: bytes, *, without: Collection[Upstream] = ()) -> AsyncIterator[Upstream]:
        """The server that a request goes to, counted as busy with it while the context is open.

        key: requests with the same one go to the same server, as long as that is not much busier than others
        without: servers that have just failed it
        Waits while all servers are full, or those that may be up are probed. Raises CapacityError where none is up,
        and where all that are up want to be left alone for a time.
        """
        while (upstream := self._choose(key, without)) is None:
            self._changed.clear()
            await self._changed.wait()
        upstream.num_running += 1
        try:
            yield upstream
        finally:
            upstream.num_running -= 1
            self._wake()

    def is_full(self, key: bytes, *, without: Collection[Upstream] = ()) -> bool:
        """Whether `hold` would wait. Raises as it does."""
        return self._choose(key, without) is None

    def check_up(self) -> None:
        """Raise CapacityError where no server is up and none may be."""
        self._choose(b"", ())

    def is_any_up(self, *, without: Collection[Upstream]) -> bool:
        """Whether a further server takes requests now."""
        return any(u not in without and u.problem is None and _rest_s(u) == 0 for u in self.upstreams)

    def note(self, upstream: Upstream, failure: UpstreamFailure) -> None:
        """A request has failed: send the server no more until it answers a probe, or for the time that it names."""
        if failure.rest_s:
            upstream.rests_until = time.monotonic() + failure.rest_s
        if failure.is_down and upstream.problem is None:
            log.warning("a model server is taken out", upstream=upstream.address, reason=failure.reason)
            upstream.problem = failure.reason
            upstream.num_failures += 1
            self._check(upstream)

    def _check(self, *upstreams: Upstream) -> None:
        for upstream in upstreams:
            upstream.num_probes += 1  # not only once the task runs: requests wait for it
            task = asyncio.create_task(self._probe(upstream))
            self._checks.add(task)
            task.add_done_callback(self._checks.discard)

    def _choose(self, key: bytes, without: Collection[Upstream]) -> Upstream | None:
        up = [u for u in self.upstreams if u.problem is None and u not in without]
        if not up:
            if any(u.num_probes and u not in without for u in self.upstreams):
                return None
            raise no_server(self._probe_s)
        awake = [u for u in up if _rest_s(u) == 0]
        if not awake:
            raise all_busy(min(map(_rest_s, up)))
        fewest = min(u.num_running for u in awake)
        if fewest >= self._max_running:
            return None
        near = [u for u in awake if u.num_running <= min(fewest + _CACHE_WORTH, self._max_running - 1)]
        return max(near, key=lambda u: hashlib.sha256(key + u.address.encode()).digest())

    def _wake(self) -> None:
        self._changed.set()

    async def _probe_for_ever(self) -> None:
        while True:
            await asyncio.sleep(self._probe_s)
            await self.probe()

    async def _probe(self, upstream: Upstream) -> None:
        """num_probes: counted by the caller, and uncounted here."""
        started, num_failures = time.monotonic(), upstream.num_failures
        try:
            found = await self._ask_for_model(upstream)
        finally:
            upstream.num_probes -= 1
            self._wake()
        if upstream.num_failures != num_failures and found is None:
            return  # what it answered before it failed says nothing; another probe has begun since
        if upstream.problem is None and upstream.last_sent_at > started and not upstream.is_other_model:
            return  # it sends answers, and is too busy for the probe
        self._set_problem(upstream, found)

    def _set_problem(self, upstream: Upstream, found: str | None) -> None:
        before, upstream.problem = upstream.problem, found
        if found == before or (before == _UNASKED and found is None):
            return
        if found is None:
            log.info("a model server is up", upstream=upstream.address, model=upstream.model)
        elif upstream.is_other_model:
            hint = "It gets no requests. Name its model with --model, or add --allow-any-model."
            log.error("a model server has another model", upstream=upstream.address, reason=found, hint=hint)
        elif before is None or before == _UNASKED:
            log.warning("a model server does not answer", upstream=upstream.address, reason=found)

    async def _ask_for_model(self, upstream: Upstream) -> str | None:
        """Why the server takes no requests now; None where it does."""
        upstream.is_other_model = False
        call = upstream.call("/models", connect_s=self._connect_s, reply_s=_PROBE_REPLY_S)
        try:
            async with sent(call) as reply:
                body = await reply.read_all(_PROBE_REPLY_S, max_bytes=_MAX_ANSWER_BYTES)
            return self._read(upstream, reply.status, body)
        except FetchError as error:
            return error.reason or error.why
        except TimeoutError:
            return f"it did not answer within {_PROBE_REPLY_S:g} s"
        except Exception as error:  # probes go on after any failure, and health never raises
            problem = f"its answer to /models cannot be used ({type(error).__name__})"
            if problem != upstream.problem:
                log.warning("a probe failed", upstream=upstream.address, exc_info=error)
            return problem

    def _read(self, upstream: Upstream, status: int, body: bytes) -> str | None:
        """Take over what /models says; returns the problem."""
        if status != 200:
            return f"it answers /models with status {status}: {error_text(body)[:200]}"
        try:
            models = read_json(body)["data"]
            named = [
                (str(model["id"]), str(model.get("root") or ""), model.get("max_model_len"))
                for model in models
            ]
        except (ValueError, LookupError, TypeError, AttributeError):
            return "its answer to /models is not that of an OpenAI-shaped server"
        for name, root, max_context in named:
            if self._accepts(name) or (root and self._accepts(root)):
                upstream.model, upstream.is_other_model = name, False
                upstream.max_context = max_context if isinstance(max_context, int) else None
                return None
        upstream.is_other_model = True
        return f"it serves {', '.join(name for name, _, _ in named) or 'no model'}"


def _rest_s(upstream: Upstream) -> float:
    """How long a server still wants no requests; 0 where it takes them."""
    return max(upstream.rests_until - time.monotonic(), 0.0)
