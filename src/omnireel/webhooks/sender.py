"""Sends the webhooks that are due: claim, sign, post, record.

Everything that must not be lost is in the store. A slow or dead receiver takes only a few of this process's attempts,
and accounts take turns at all of them.
A webhook that this process cannot finish is claimed again when its claim runs out.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace

import structlog

from omnireel.errors import CapacityError, OmnireelError
from omnireel.net.errors import FetchError
from omnireel.net.policy import EgressPolicy
from omnireel.store.webhooks import Delivery, Webhook, WebhookState, WebhookStore
from omnireel.webhooks.posting import post
from omnireel.webhooks.retries import delay_s, limit_s
from omnireel.webhooks.signing import KeyFile, SigningKeys

log = structlog.get_logger()

_GONE = 410  # the receiver wants no more webhooks


@dataclass(frozen=True)
class SenderPolicy:
    """How a sender behaves.

    max_running:  attempts at once
    max_each:     attempts at once to one receiver
    lease_s:      how much longer a claim lasts than the attempt may take
    poll_s:       how often it looks for webhooks that are due again, or of jobs that another process ended
    drain_s:      how long attempts may still run after `stop`
    """

    max_running: int = 32
    max_each: int = 4
    lease_s: float = 15.0
    poll_s: float = 1.0
    drain_s: float = 5.0


@dataclass(eq=False)
class Sender:
    """Sends webhooks in one process; several may work on the same store.

    wake:  set when a job may have ended
    clock: gives store time; the wall clock gives the times that receivers and people see
    draw:  gives random numbers from 0 to 1 for the jitter
    """

    webhooks: WebhookStore
    keys: KeyFile
    egress: EgressPolicy
    wake: asyncio.Event
    clock: Callable[[], float]
    policy: SenderPolicy = field(default_factory=SenderPolicy)
    wall_clock: Callable[[], float] = time.time
    draw: Callable[[], float] = random.random
    _running: dict[asyncio.Task[None], tuple[str, str]] = field(default_factory=dict)
    _failure: BaseException | None = None
    _is_stopping: bool = False

    async def run(self) -> None:
        """Send until `stop`. Running attempts then have drain_s to finish.

        Raises what an attempt raised that could not be recorded: it would be repeated without end.
        """
        while not self._is_stopping:
            self.wake.clear()
            if self._failure is not None:
                raise self._failure
            with suppress(CapacityError):  # the store cannot be written now: the next round tries again
                await self._start_due_attempts()
            with suppress(TimeoutError):
                async with asyncio.timeout(self.policy.poll_s):
                    await self.wake.wait()
        if self._running:
            _, unfinished = await asyncio.wait(self._running, timeout=self.policy.drain_s)
            for task in unfinished:
                task.cancel()
            await asyncio.gather(*unfinished, return_exceptions=True)

    def stop(self) -> None:
        """Start no further attempts."""
        self._is_stopping = True
        self.wake.set()

    async def _start_due_attempts(self) -> None:
        if not await self.webhooks.is_due(now=self.clock()):
            return
        try:
            keys = self.keys.load(self.wall_clock())
        except OmnireelError as error:
            log.error("webhooks are held back", error=error.message, hint=error.hint)
            return
        for webhook in await self._claim():
            task = asyncio.create_task(self._deliver(webhook, keys))
            self._running[task] = webhook.owner, webhook.receiver
            task.add_done_callback(self._ended)

    async def _claim(self) -> list[Webhook]:
        return await self.webhooks.claim(
            running=Counter(self._running.values()),
            max_running=self.policy.max_running,
            max_each=self.policy.max_each,
            lease_s=limit_s(1) + self.policy.lease_s,
            now=self.clock(),
        )

    def _ended(self, task: asyncio.Task[None]) -> None:
        del self._running[task]
        if not task.cancelled():
            self._failure = self._failure or task.exception()
        self.wake.set()

    async def _deliver(self, webhook: Webhook, keys: SigningKeys) -> None:
        """Make one attempt and record its result."""
        structlog.contextvars.bind_contextvars(request_id=webhook.job_id)
        try:
            delivery, is_final = await self._attempt(webhook, keys)
        except asyncio.CancelledError:
            self.webhooks.release(webhook)
            raise
        state, next_at = self._next_state(webhook, delivery, is_final=is_final)
        try:
            await self.webhooks.record(webhook, delivery, state=state, next_at=next_at)
        except CapacityError as error:
            log.error("webhook attempt not recorded, will be repeated", error=error.message)
            return
        log_it = log.info if state == "delivered" else log.warning
        log_it(
            "webhook", state=state, status=delivery.status, error=delivery.error, tries=webhook.num_tries + 1
        )

    async def _attempt(self, webhook: Webhook, keys: SigningKeys) -> tuple[Delivery, bool]:
        """Make one attempt. Returns its result, and whether repeating it is useless."""
        now, began = self.wall_clock(), time.monotonic()
        status, error, is_final = None, None, False
        try:
            headers, within_s = keys.headers(webhook, now=now), limit_s(webhook.num_tries)
            egress = replace(self.egress, owner=webhook.owner)
            status = await post(webhook.url, webhook.body, headers, egress, within_s=within_s)
            is_final = 300 <= status < 400 or status == _GONE
        except FetchError as failure:
            error = f"{failure.why}: {failure.reason}" if failure.reason else failure.why
            is_final = failure.is_forbidden
        except Exception:  # a bug of ours ends only this attempt
            log.exception("internal error")
            error = "internal error"
        return Delivery(now, status, error, round(time.monotonic() - began, 3)), is_final

    def _next_state(
        self, webhook: Webhook, delivery: Delivery, *, is_final: bool
    ) -> tuple[WebhookState, float | None]:
        if delivery.status is not None and 200 <= delivery.status < 300:
            return "delivered", None
        wait_s = None if is_final else delay_s(webhook.num_tries + 1, self.draw())
        if wait_s is None:
            return "given_up", None
        return "waiting", self.clock() + wait_s
