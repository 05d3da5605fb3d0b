"""Webhooks: stored with the end of their job, claimed, sent, and logged attempt by attempt.

A webhook is delivered at least once and always has the same id. If a process dies, its claim runs out, and any process
may claim the webhook again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

WebhookState = Literal["waiting", "delivered", "given_up"]
Replaying = Literal["due", "unknown", "not_kept"]


@dataclass(frozen=True)
class Webhook:
    """A webhook that was claimed.

    receiver:  host and port of its address
    num_tries: attempts that failed since it was stored or replayed
    claim:     number of the claim; attempts under an older claim are not recorded
    """

    id: str
    job_id: str
    owner: str
    url: str
    receiver: str
    body: bytes
    num_tries: int
    claim: int


@dataclass(frozen=True)
class Delivery:
    """One attempt.

    at:     when it began, in Unix seconds of the wall clock
    status: of the answer; None if none came
    error:  why no answer came. Only for the operator: it may name internal addresses
    """

    at: float
    status: int | None
    error: str | None
    seconds: float


@dataclass(frozen=True)
class LogEntry:
    """A webhook and its attempts so far. next_at: None if no further attempt will be made

    Both times are the wall clock's.
    """

    id: str
    job_id: str
    owner: str
    url: str
    state: WebhookState
    created_at: float
    next_at: float | None
    deliveries: tuple[Delivery, ...] = ()


class WebhookStore(Protocol):
    """The webhooks of ended jobs. `now`: store time, see `Store`."""

    async def is_due(self, *, now: float) -> bool:
        """Whether any webhook can be claimed."""

    async def claim(
        self,
        *,
        running: Counter[tuple[str, str]],
        max_running: int,
        max_each: int,
        lease_s: float,
        now: float,
    ) -> list[Webhook]:
        """Claim webhooks: of the account with the fewest attempts at present, the one that has been due the longest.

        running:     number of attempts that this process is making, by account and receiver
        max_running: most attempts at once; max_each: most attempts at once to one receiver
        """

    async def record(
        self, webhook: Webhook, delivery: Delivery, *, state: WebhookState, next_at: float | None = None
    ) -> bool:
        """Log an attempt and set the new state. Returns False, and changes nothing, if the claim was lost.

        next_at: when a webhook that still waits is due again, in store time
        """

    def release(self, webhook: Webhook) -> None:
        """Give up a claim without an attempt. Returns before that is stored."""

    async def replay(self, job_ids: Sequence[str], *, now: float) -> Mapping[str, Replaying]:
        """Make webhooks due now, with the full schedule of attempts. Nothing is changed unless all are "due"."""

    async def given_up(self) -> list[str]:
        """Ids of the jobs whose webhook was given up, oldest first."""

    async def read_log(
        self, *, job_id: str | None = None, state: WebhookState | None = None, limit: int = 50
    ) -> list[LogEntry]:
        """Webhooks and their attempts, newest first. job_id, state: filters"""
