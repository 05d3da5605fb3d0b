"""The platform API under /v1: which model there is and what it costs. Its errors have their own shape."""

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from omnireel.api.fal import wire
from omnireel.api.http.body import parse_json, read_body
from omnireel.api.http.caller import owner_of, sees_all
from omnireel.api.http.errors import json_response
from omnireel.api.openapi.document import openapi_document
from omnireel.api.platform.paging import invalid, limit_of, page, word_of, words_of
from omnireel.api.platform.usage import UsageRoutes
from omnireel.store.sqlite import usage
from omnireel.store.sqlite.database import Database

_MAX_BODY_BYTES = 64 * 1024
_MAX_QUANTITY = 1e9
_CATEGORY = "video-to-text"
_DESCRIPTION = "NVIDIA Nemotron 3 Nano Omni: an mp4 and a prompt go in, text comes out."
_Endpoint = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True)
class PlatformRoutes:
    """Tells of the one endpoint. Raises RequestError for a parameter that cannot be used."""

    database: Database

    def all(self) -> Iterator[tuple[str, _Endpoint, str]]:
        """Path, what answers there, method."""
        used = UsageRoutes(self.database)
        for path, endpoint, method in (
            ("models", self.models, "GET"),
            ("models/pricing", self.pricing, "GET"),
            ("models/pricing/estimate", self.estimate, "POST"),
            ("models/usage", used.usage, "GET"),
            ("models/billing-events", used.billing_events, "GET"),
            ("models/requests/by-endpoint", used.requests, "GET"),
            ("models/requests/{request_id}/payloads", used.drop_payloads, "DELETE"),
            ("meta", self.meta, "GET"),
        ):
            yield f"/v1/{path}", endpoint, method

    async def models(self, request: Request) -> Response:
        """The endpoint, unless it is filtered out."""
        query = request.query_params
        limit = limit_of(query)
        word_of(query, "status", ("active", "deprecated"))
        asked, category = words_of(query, "endpoint_id"), query.get("category", _CATEGORY)
        text = f"{wire.ENDPOINT_ID} {_DESCRIPTION}".lower()
        is_wanted = (
            (not asked or wire.ENDPOINT_ID in asked)
            and category == _CATEGORY
            and query.get("status", "active") == "active"
            and all(word in text for word in query.get("q", "").lower().split())
            and "cursor" not in query
        )
        models = [_model(words_of(query, "expand"))] if is_wanted else []
        return json_response(page("models", models, limit, None), 200)

    async def pricing(self, request: Request) -> Response:
        """What a unit costs."""
        _check_endpoints(words_of(request.query_params, "endpoint_id"))
        price = {
            "endpoint_id": wire.ENDPOINT_ID,
            "unit_price": float(wire.USD_PER_UNIT),
            "unit": wire.UNIT,
            "currency": "USD",
        }
        return json_response(page("prices", [price], 1, None), 200)

    async def estimate(self, request: Request) -> Response:
        """What so many units would cost, or so many calls like those before."""
        fields = parse_json(await read_body(request, _MAX_BODY_BYTES))
        if not isinstance(fields, dict) or not isinstance(fields.get("endpoints"), dict):
            raise invalid("send estimate_type and endpoints")
        kind, endpoints = fields.get("estimate_type"), fields["endpoints"]
        _check_endpoints(list(endpoints))
        asked = endpoints.get(wire.ENDPOINT_ID)
        if kind == "unit_price":
            cost = _quantity(asked, "unit_quantity") * float(wire.USD_PER_UNIT)
        elif kind == "historical_api_price":
            cost = _quantity(asked, "call_quantity") * await self._mean_usd(request)
        else:
            raise invalid("estimate_type is none of historical_api_price, unit_price")
        content = {"estimate_type": kind, "total_cost": round(cost, 9), "currency": "USD"}
        return json_response(content, 200)

    async def _mean_usd(self, request: Request) -> float:
        owner = None if sees_all(request) else owner_of(request)
        mean = await self.database.read(partial(usage.mean_micro, owner=owner))
        if mean is None:
            raise invalid("no call was charged yet: ask for a unit_price estimate")
        return mean / 1e6

    async def meta(self, _: Request) -> Response:
        """Webhooks come from this server, which does not know its address in other networks."""
        return json_response({"webhook_ip_ranges": []}, 200)


def _model(expand: list[str]) -> dict[str, Any]:
    model: dict[str, Any] = {
        "endpoint_id": wire.ENDPOINT_ID,
        "metadata": {
            "display_name": "Nemotron 3 Nano Omni (video)",
            "category": _CATEGORY,
            "description": _DESCRIPTION,
            "status": "active",
            "tags": ["video", "reasoning"],
        },
    }
    if "openapi-3.0" in expand:
        model["openapi"] = openapi_document(version("omnireel"))
    return model


def _check_endpoints(asked: list[str]) -> None:
    strangers = [name for name in asked if name != wire.ENDPOINT_ID]
    if strangers:
        raise invalid(f"there is no endpoint {strangers[0][:100]}")


def _quantity(asked: object, name: str) -> float:
    value: Any = asked.get(name) if isinstance(asked, dict) else None
    if type(value) not in (int, float) or not 0 < value <= _MAX_QUANTITY:
        raise invalid(f"endpoints.{wire.ENDPOINT_ID}.{name} is not a number above 0")
    return float(value)
