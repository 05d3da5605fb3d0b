"""Webhooks that are owed: stored with the end of their job, claimed, tried, and logged attempt by attempt.

A webhook is delivered at least once and keeps one id. A claim that ran out, because its process died, is taken
by whichever process asks next.
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
    """One that was claimed.

    receiver:  host and port that it goes to
    num_tries: attempts that failed since it was stored or replayed
    claim:     fences: an older claim of the same webhook records nothing
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

    status: of the answer; None where none came
    error:  why there was none, for the operator: it may name addresses of this network
    """

    at: float
    status: int | None
    error: str | None
    seconds: float


@dataclass(frozen=True)
class LogEntry:
    """What became of a webhook so far; next_at: None where nothing more will be tried."""

    id: str
    job_id: str
    owner: str
    url: str
    state: WebhookState
    created_at: float
    next_at: float | None
    deliveries: tuple[Delivery, ...] = ()


class WebhookStore(Protocol):
    """The webhooks of ended jobs. `now`: Unix seconds."""

    async def is_due(self, *, now: float) -> bool:
        """Whether there is anything to claim."""

    async def claim(
        self, *, running: Counter[str], max_running: int, max_each: int, lease_s: float, now: float
    ) -> list[Webhook]:
        """Those that have been due the longest, now claimed.

        running:     attempts that this process makes already, by receiver
        max_running: attempts at once; max_each: of those, to one receiver
        """

    async def record(
        self, webhook: Webhook, delivery: Delivery, *, state: WebhookState, next_at: float | None = None
    ) -> bool:
        """Log an attempt and what follows from it. False, and nothing done, where the claim was lost.

        next_at: when a webhook that still waits is due again
        """

    def release(self, webhook: Webhook) -> None:
        """Drop a claim without an attempt, and do not wait until that is stored."""

    async def replay(self, job_ids: Sequence[str], *, now: float) -> Mapping[str, Replaying]:
        """Have webhooks sent now, with their whole schedule before them; nothing is done unless all are "due"."""

    async def given_up(self) -> list[str]:
        """Jobs whose webhook was given up, oldest first."""

    async def read_log(
        self, *, job_id: str | None = None, state: WebhookState | None = None, limit: int = 50
    ) -> list[LogEntry]:
        """Webhooks and their attempts, the youngest first; job_id, state: only such."""
