"""The platform API: which models there are and what they cost."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from omnireel.api.fal.input import ENDPOINT_ID
from omnireel.api.fal.prices import UNIT, USD_PER_UNIT
from omnireel.api.http.body import read_json
from omnireel.api.http.caller import owner_of, sees_all
from omnireel.api.http.responses import json_response
from omnireel.api.platform.models import MAX_QUANTITY, Meta, Model, Models, Price, PriceEstimate, Prices
from omnireel.api.platform.paging import invalid, limit_of, word_of, words_of
from omnireel.store.usage import UsageStore

_MAX_BODY_BYTES = 64 * 1024
_CATEGORY = "video-to-text"
_DESCRIPTION = "NVIDIA Nemotron 3 Nano Omni: an mp4 and a prompt go in, text comes out."


@dataclass(frozen=True)
class PlatformRoutes:
    """Describes the one endpoint. Raises RequestError for a parameter that cannot be used.

    document: makes the OpenAPI document
    """

    usage: UsageStore
    document: Callable[[], dict[str, Any]]

    async def models(self, request: Request) -> Response:
        """The endpoint, unless a filter excludes it."""
        query = request.query_params
        limit_of(query)
        word_of(query, "status", ("active", "deprecated"))
        asked, category = words_of(query, "endpoint_id"), query.get("category", _CATEGORY)
        text = f"{ENDPOINT_ID} {_DESCRIPTION}".lower()
        is_wanted = (
            (not asked or ENDPOINT_ID in asked)
            and category == _CATEGORY
            and query.get("status", "active") == "active"
            and all(word in text for word in query.get("q", "").lower().split())
            and "cursor" not in query
        )
        models = [self._model(words_of(query, "expand"))] if is_wanted else []
        return json_response(Models(models=models, next_cursor=None, has_more=False).content(), 200)

    async def pricing(self, request: Request) -> Response:
        """What a unit costs."""
        _check_endpoints(words_of(request.query_params, "endpoint_id"))
        price = Price(
            endpoint_id=ENDPOINT_ID,
            unit_price=float(USD_PER_UNIT),
            unit=UNIT,
            currency="USD",
        )
        return json_response(Prices(prices=[price], next_cursor=None, has_more=False).content(), 200)

    async def estimate(self, request: Request) -> Response:
        """The cost of a number of units, or of calls at the mean price of the calls before."""
        fields = await read_json(request, _MAX_BODY_BYTES)
        if not isinstance(fields, dict) or not isinstance(fields.get("endpoints"), dict):
            raise invalid("The body needs estimate_type and endpoints.")
        kind, endpoints = fields.get("estimate_type"), fields["endpoints"]
        _check_endpoints(list(endpoints))
        asked = endpoints.get(ENDPOINT_ID)
        if kind == "unit_price":
            cost = _quantity(asked, "unit_quantity") * float(USD_PER_UNIT)
        elif kind == "historical_api_price":
            cost = _quantity(asked, "call_quantity") * await self._mean_usd(request)
        else:
            raise invalid("estimate_type must be historical_api_price or unit_price.")
        estimate = PriceEstimate(estimate_type=kind, total_cost=round(cost, 9), currency="USD")
        return json_response(estimate.content(), 200)

    async def meta(self, _: Request) -> Response:
        """Facts about the service. This server does not know its own address in other networks."""
        return json_response(Meta(webhook_ip_ranges=[]).content(), 200)

    async def _mean_usd(self, request: Request) -> float:
        owner = None if sees_all(request) else owner_of(request)
        mean = await self.usage.mean_micro(owner)
        if mean is None:
            raise invalid("No call has been charged yet. Ask for a unit_price estimate.")
        return mean / 1e6

    def _model(self, expand: list[str]) -> Model:
        model = Model(
            endpoint_id=ENDPOINT_ID,
            metadata={
                "display_name": "Nemotron 3 Nano Omni (video)",
                "category": _CATEGORY,
                "description": _DESCRIPTION,
                "status": "active",
                "tags": ["video", "reasoning"],
            },
        )
        if "openapi-3.0" in expand:
            model.openapi = self.document()
        return model


def _check_endpoints(asked: list[str]) -> None:
    unknown = [name for name in asked if name != ENDPOINT_ID]
    if unknown:
        raise invalid(f"Unknown endpoint: {unknown[0][:100]}.")


def _quantity(asked: object, name: str) -> float:
    value: Any = asked.get(name) if isinstance(asked, dict) else None
    if type(value) not in (int, float) or not 0 < value <= MAX_QUANTITY:
        raise invalid(
            f"endpoints.{ENDPOINT_ID}.{name} must be a number above 0 and at most {MAX_QUANTITY:.0f}."
        )
    return float(value)
