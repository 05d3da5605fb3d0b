"""The platform API about usage: totals, charges, ended jobs. Admin keys see those of all accounts."""

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, get_args

from starlette.requests import Request
from starlette.responses import Response

from omnireel.api.fal.errors import render_failure
from omnireel.api.fal.input import ENDPOINT_ID, to_fields
from omnireel.api.fal.output import render
from omnireel.api.fal.prices import TOKENS_PER_UNIT, UNIT, USD_PER_UNIT
from omnireel.api.http.caller import owner_of, sees_all
from omnireel.api.http.errors import RequestError
from omnireel.api.http.responses import json_response
from omnireel.api.platform.models import (
    BillingEvent,
    BillingEvents,
    DeletedPayloads,
    EndedRequest,
    EndedRequests,
    EndedRequestWithPayloads,
    Usage,
    UsageBucket,
    UsedEndpoint,
)
from omnireel.api.platform.paging import (
    check_only,
    cursor_of,
    invalid,
    invalid_cursor,
    limit_of,
    next_cursor,
    period_of,
    word_of,
    words_of,
)
from omnireel.store.store import Store
from omnireel.store.usage import Charge, EndedJob, Order, Status, Timeframe, Total


@dataclass(frozen=True)
class UsageRoutes:
    """Reads the ledger. Every route raises RequestError for a parameter that cannot be used."""

    store: Store

    async def usage(self, request: Request) -> Response:
        """Sums per day, or per another timeframe, and of the whole with expand=summary."""
        query = request.query_params
        check_only(query, "timezone", "UTC")
        check_only(query, "bound_to_timeframe", "false")  # the period is never widened
        timeframe: Any = word_of(query, "timeframe", get_args(Timeframe)) or "day"
        wanted = words_of(query, "expand") or ["time_series"]
        period, owner = period_of(query, now=time.time()), _owner(request)
        used = Usage(next_cursor=None, has_more=False)
        asked = words_of(query, "endpoint_id")
        if "time_series" in wanted:
            rows = await self.store.usage.totals(owner, period, timeframe=timeframe)
            used.time_series = [UsageBucket(bucket=row.bucket, results=_used(row, asked)) for row in rows]
        if "summary" in wanted:
            rows = await self.store.usage.totals(owner, period)
            used.summary = [item for row in rows for item in _used(row, asked)]
        return json_response(used.content(), 200)

    async def billing_events(self, request: Request) -> Response:
        """Each charge, newest first."""
        query = request.query_params
        limit, after = limit_of(query), cursor_of(query)
        if after is not None and not isinstance(after[1], str):
            raise invalid_cursor()
        rows = await self.store.usage.charges(
            _owner(request), period_of(query, now=time.time()), limit=limit + 1, after=after
        )
        last = (rows[limit - 1].at, rows[limit - 1].job_id) if len(rows) > limit else None
        events = BillingEvents(
            billing_events=[_event(row) for row in rows[:limit]],
            next_cursor=next_cursor(last),
            has_more=last is not None,
        )
        return json_response(events.content(), 200)

    async def requests(self, request: Request) -> Response:
        """Ended jobs that are still stored; with expand=payloads their inputs and outputs, too."""
        query = request.query_params
        limit, after = limit_of(query), cursor_of(query)
        if after is not None and not isinstance(after[1], int):
            raise invalid_cursor()
        asked = words_of(query, "endpoint_id")
        status: Any = word_of(query, "status", get_args(Status))
        order: Any = word_of(query, "sort_by", get_args(Order)) or "ended_at"
        rows = await self.store.usage.ended_jobs(
            _owner(request),
            period_of(query, now=time.time()),
            limit=limit + 1,
            after=after,
            status=status,
            job_id=query.get("request_id"),
            order=order,
        )
        if asked and ENDPOINT_ID not in asked:
            rows = []
        last = (rows[limit - 1].order, rows[limit - 1].seq) if len(rows) > limit else None
        has_payloads = "payloads" in words_of(query, "expand")
        ended = EndedRequests(
            items=[_ended(row, has_payloads=has_payloads) for row in rows[:limit]],
            next_cursor=next_cursor(last),
            has_more=last is not None,
        )
        return json_response(ended.content(), 200)

    async def drop_payloads(self, request: Request) -> Response:
        """Delete the input and output of a job."""
        job_id = str(request.path_params["request_id"])
        how = await self.store.jobs.drop_payloads(job_id, owner=_owner(request))
        if how == "unknown":
            raise RequestError("There is no such request.", error_type="not_found", status=404)
        if how == "running":
            raise invalid("The request has not ended.")
        return json_response(DeletedPayloads(request_id=job_id, deleted=True).content(), 200)


def _owner(request: Request) -> str | None:
    return None if sees_all(request) else owner_of(request)


def _used(total: Total, asked: list[str]) -> list[UsedEndpoint]:
    if asked and ENDPOINT_ID not in asked:
        return []
    used = UsedEndpoint(
        endpoint_id=ENDPOINT_ID,
        unit=UNIT,
        quantity=total.num_tokens / TOKENS_PER_UNIT,
        **_cost(total.amount_micro),
    )
    return [used]


def _event(charge: Charge) -> BillingEvent:
    return BillingEvent(
        request_id=charge.job_id,
        endpoint_id=ENDPOINT_ID,
        timestamp=_moment(charge.at),
        output_units=charge.num_tokens / TOKENS_PER_UNIT,
        cost_estimate_nano_usd=charge.amount_micro * 1000,
        **_cost(charge.amount_micro),
    )


def _cost(amount_micro: int) -> dict[str, Any]:
    """The fields of `Cost`. amount_micro: millionths of a US dollar."""
    cost = amount_micro / 1e6
    return {
        "unit_price": float(USD_PER_UNIT),
        "percent_discount": 0,
        "cost_subtotal": cost,
        "cost_discount": 0,
        "cost_total": cost,
        "currency": "USD",
    }


def _ended(row: EndedJob, *, has_payloads: bool) -> EndedRequest:
    job = row.job
    assert job.finished_at is not None, "only ended jobs are listed"
    began = job.finished_at if job.started_at is None else job.started_at
    fields: dict[str, Any] = {
        "request_id": job.id,
        "endpoint_id": job.task.endpoint,
        "started_at": _moment(began),
        "sent_at": _moment(job.created_at),
        "ended_at": _moment(job.finished_at),
        "status_code": 200 if job.failure is None else render_failure(job.failure).status,
        "duration": round(max(0.0, job.finished_at - began), 3),
    }
    if not has_payloads:
        return EndedRequest(**fields)
    is_kept = job.keeps_io and job.outcome is not None
    return EndedRequestWithPayloads(
        **fields,
        json_input=to_fields(job.task) if is_kept and job.task.messages else None,
        json_output=render(job.outcome, job.task).body if job.outcome is not None and is_kept else None,
    )


def _moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
