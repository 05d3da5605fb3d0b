"""Usage and charges, read from the ledger and from ended jobs. owner None: of all accounts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from omnireel.store.jobs import Job

Timeframe = Literal["minute", "hour", "day", "week", "month"]
# user_error: the caller's input or cancellation was the reason, see Failure.is_callers.
Status = Literal["success", "user_error", "error"]
Order = Literal["ended_at", "duration"]
Cursor = tuple[float, str | int]


@dataclass(frozen=True)
class Period:
    """From `start` on and before `end`, in Unix seconds."""

    start: float
    end: float


@dataclass(frozen=True)
class Total:
    """The sum of a period. bucket: when the period began; "" for the whole period that was asked for"""

    bucket: str
    num_tokens: int
    amount_micro: int


@dataclass(frozen=True)
class Charge:
    """A row of the ledger. A refund is negative."""

    job_id: str
    at: float
    num_tokens: int
    amount_micro: int


@dataclass(frozen=True)
class EndedJob:
    """A job that has ended, and its place in a listing.

    order: the value by which the listing is sorted; seq: breaks ties
    """

    job: Job
    order: float
    seq: int


class UsageStore(Protocol):
    """Reads usage and charges."""

    async def totals(
        self, owner: str | None, period: Period, *, timeframe: Timeframe | None = None
    ) -> list[Total]:
        """Sums for each part of the period in which anything was charged, or for the whole of it."""

    async def charges(
        self, owner: str | None, period: Period, *, limit: int, after: Cursor | None = None
    ) -> list[Charge]:
        """Charges, newest first. after: time and job id of the last charge on the page before"""

    async def mean_micro(self, owner: str | None) -> float | None:
        """The mean price of an answer, in millionths of a US dollar; None if there was no answer."""

    async def ended_jobs(
        self,
        owner: str | None,
        period: Period,
        *,
        limit: int,
        after: Cursor | None = None,
        status: Status | None = None,
        job_id: str | None = None,
        order: Order = "ended_at",
    ) -> list[EndedJob]:
        """Jobs that ended in the period and were not purged, latest or longest first.

        after: order and seq of the last job on the page before
        """
