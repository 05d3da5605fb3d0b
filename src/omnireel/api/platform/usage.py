"""The platform API about what was used: totals, charges, ended jobs. Admin keys see everybody's."""

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, get_args

from starlette.requests import Request
from starlette.responses import Response

from omnireel.api.fal import wire
from omnireel.api.http.caller import owner_of, sees_all
from omnireel.api.http.errors import RequestError, json_response
from omnireel.api.platform.paging import (
    check_only,
    cursor_of,
    invalid,
    limit_of,
    page,
    period_of,
    word_of,
    words_of,
)
from omnireel.store.sqlite import usage
from omnireel.store.sqlite.database import Database
from omnireel.store.sqlite.usage import Charge, EndedJob, Order, Status, Timeframe, Total


@dataclass(frozen=True)
class UsageRoutes:
    """Reads the ledger. Every route raises RequestError for a parameter that cannot be used."""

    database: Database

    async def usage(self, request: Request) -> Response:
        """Sums per day, or per another timeframe, and of the whole with expand=summary."""
        query = request.query_params
        check_only(query, "timezone", "UTC")
        check_only(query, "bound_to_timeframe", "false")  # the period is taken as it is sent
        timeframe: Any = word_of(query, "timeframe", get_args(Timeframe)) or "day"
        wanted = words_of(query, "expand") or ["time_series"]
        period, owner = period_of(query, now=time.time()), _owner(request)
        content: dict[str, Any] = {"next_cursor": None, "has_more": False}
        asked = words_of(query, "endpoint_id")
        if "time_series" in wanted:
            rows = await self.database.read(
                partial(usage.totals, owner=owner, period=period, timeframe=timeframe)
            )
            content["time_series"] = [
                {"bucket": row.bucket, "results": _usage_rows(row, asked)} for row in rows
            ]
        if "summary" in wanted:
            (*rows,) = await self.database.read(partial(usage.totals, owner=owner, period=period))
            content["summary"] = [item for row in rows for item in _usage_rows(row, asked)]
        return json_response(content, 200)

    async def billing_events(self, request: Request) -> Response:
        """Each charge, newest first."""
        query = request.query_params
        limit, after = limit_of(query), cursor_of(query)
        if after is not None and not isinstance(after[1], str):
            raise invalid("cursor is none that was given out")
        rows = await self.database.read(
            partial(
                usage.charges,
                owner=_owner(request),
                period=period_of(query, now=time.time()),
                limit=limit + 1,
                after=after,
            )
        )
        last = (rows[limit - 1].at, rows[limit - 1].job_id) if len(rows) > limit else None
        return json_response(page("billing_events", [_event(row) for row in rows], limit, last), 200)

    async def requests(self, request: Request) -> Response:
        """Ended jobs that are not forgotten yet, with expand=payloads also what was sent and answered."""
        query = request.query_params
        limit, after = limit_of(query), cursor_of(query)
        if after is not None and not isinstance(after[1], int):
            raise invalid("cursor is none that was given out")
        asked = words_of(query, "endpoint_id")
        status: Any = word_of(query, "status", get_args(Status))
        order: Any = word_of(query, "sort_by", get_args(Order)) or "ended_at"
        rows: list[EndedJob] = await self.database.read(
            partial(
                usage.ended_jobs,
                owner=_owner(request),
                period=period_of(query, now=time.time()),
                limit=limit + 1,
                after=after,
                status=status,
                job_id=query.get("request_id"),
                order=order,
            )
        )
        if asked and wire.ENDPOINT_ID not in asked:
            rows = []
        last = (rows[limit - 1].order, rows[limit - 1].seq) if len(rows) > limit else None
        has_payloads = "payloads" in words_of(query, "expand")
        items = [_request_item(row, has_payloads=has_payloads) for row in rows]
        return json_response(page("items", items, limit, last), 200)

    async def drop_payloads(self, request: Request) -> Response:
        """Forget what a job was sent and what it answered."""
        job_id = str(request.path_params["request_id"])
        how = await self.database.write(partial(usage.drop_payloads, owner=_owner(request), job_id=job_id))
        if how == "unknown":
            raise RequestError("there is no such request", error_type="not_found", status=404)
        if how == "running":
            raise invalid("the request has not ended")
        return json_response({"request_id": job_id, "deleted": True}, 200)


def _owner(request: Request) -> str | None:
    return None if sees_all(request) else owner_of(request)


def _usage_rows(total: Total, asked: list[str]) -> list[dict[str, Any]]:
    if asked and wire.ENDPOINT_ID not in asked:
        return []
    price = {"endpoint_id": wire.ENDPOINT_ID, "unit": wire.UNIT}
    return [price | {"quantity": total.num_tokens / wire.TOKENS_PER_UNIT} | _cost(total.amount_micro)]


def _event(charge: Charge) -> dict[str, Any]:
    return {
        "request_id": charge.job_id,
        "endpoint_id": wire.ENDPOINT_ID,
        "timestamp": _moment(charge.at),
        "output_units": charge.num_tokens / wire.TOKENS_PER_UNIT,
        **_cost(charge.amount_micro),
        "cost_estimate_nano_usd": charge.amount_micro * 1000,
    }


def _cost(amount_micro: int) -> dict[str, Any]:
    cost = amount_micro / 1e6
    return {
        "unit_price": float(wire.USD_PER_UNIT),
        "percent_discount": 0,
        "cost_subtotal": cost,
        "cost_discount": 0,
        "cost_total": cost,
        "currency": "USD",
    }


def _request_item(job: EndedJob, *, has_payloads: bool) -> dict[str, Any]:
    began = job.finished_at if job.started_at is None else job.started_at
    item = {
        "request_id": job.id,
        "endpoint_id": wire.ENDPOINT_ID,
        "started_at": _moment(began),
        "sent_at": _moment(job.created_at),
        "ended_at": _moment(job.finished_at),
        "status_code": job.status,
        "duration": round(job.finished_at - began, 3),
    }
    return item | ({"json_input": job.sent, "json_output": job.answer} if has_payloads else {})


def _moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
