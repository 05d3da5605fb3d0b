"""The OpenAPI document about the platform API under /v1: models, prices, what was used."""

from typing import get_args

from omnireel.api.fal.wire import ENDPOINT_ID, UNIT
from omnireel.api.openapi.parts import (
    ANY_FIELDS,
    INTEGER,
    MOMENT,
    NUMBER,
    SWITCH,
    TEXT,
    Operation,
    Paths,
    Schema,
    answer,
    failed,
    fields,
    json_body,
    list_of,
    parameter,
    path_part,
    ref,
    unauthorized,
    unreadable,
)
from omnireel.api.platform.paging import MAX_LIMIT
from omnireel.store.sqlite.usage import Order, Status, Timeframe

_OUR_ENDPOINT = parameter("endpoint_id", list_of({"type": "string", "enum": [ENDPOINT_ID]}))
_ENDPOINTS = parameter("endpoint_id", list_of(TEXT), "Of which endpoints.")
_LIMIT = parameter("limit", {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT}, "Most items of a page.")
_CURSOR = parameter("cursor", TEXT, "The next_cursor of the page before.")
_PERIOD = (
    parameter("start", MOMENT, "From this moment on; a day before the end unless it is sent."),
    parameter("end", MOMENT, "Up to this moment; now unless it is sent."),
)


def platform_paths() -> Paths:
    """In the order in which a stranger asks: what is there, what does it cost, what did I use."""
    return {
        "/v1/models": {"get": _get("models", "Models", *_model_filters())},
        "/v1/models/pricing": {"get": _get("pricing", "Prices", _OUR_ENDPOINT)},
        "/v1/models/pricing/estimate": {"post": _estimate()},
        "/v1/models/usage": {"get": _get("usage", "Usage", _ENDPOINTS, *_PERIOD, *_sums())},
        "/v1/models/billing-events": {
            "get": _get("billingEvents", "BillingEvents", *_PERIOD, _LIMIT, _CURSOR)
        },
        "/v1/models/requests/by-endpoint": {"get": _get("requests", "EndedRequests", *_request_filters())},
        "/v1/models/requests/{request_id}/payloads": {"delete": _drop_payloads()},
        "/v1/meta": {"get": _get("meta", "Meta")},
    }


def platform_schemas() -> dict[str, Schema]:
    """By name."""
    cost = {
        "unit_price": NUMBER,
        "percent_discount": NUMBER,
        "cost_subtotal": NUMBER,
        "cost_discount": NUMBER,
        "cost_total": NUMBER,
        "currency": TEXT,
    }
    endpoint = {"endpoint_id": TEXT}
    used = fields(endpoint | {"unit": TEXT, "quantity": NUMBER} | cost)
    event = endpoint | {"request_id": TEXT, "timestamp": MOMENT, "output_units": NUMBER}
    ended = endpoint | {"request_id": TEXT, "started_at": MOMENT, "sent_at": MOMENT, "ended_at": MOMENT}
    series = list_of(fields({"bucket": TEXT, "results": list_of(used)}))
    return {
        "Models": _page("models", fields(endpoint | {"metadata": ANY_FIELDS}, {"openapi": ANY_FIELDS})),
        "Prices": _page("prices", fields(endpoint | {"unit_price": NUMBER, "unit": TEXT, "currency": TEXT})),
        "PriceQuestion": _price_question(),
        "PriceEstimate": fields({"estimate_type": TEXT, "total_cost": NUMBER, "currency": TEXT}),
        "Usage": _with_cursor({}, {"time_series": series, "summary": list_of(used)}),
        "BillingEvents": _page("billing_events", fields(event | cost | {"cost_estimate_nano_usd": INTEGER})),
        "EndedRequests": _page(
            "items",
            fields(
                ended | {"status_code": INTEGER, "duration": NUMBER},
                {"json_input": _nullable(ANY_FIELDS), "json_output": _nullable(ANY_FIELDS)},
            ),
        ),
        "Dropped": fields({"request_id": TEXT, "deleted": SWITCH}),
        "Meta": fields({"webhook_ip_ranges": list_of(TEXT)}),
    }


def _price_question() -> Schema:
    """One shape for each kind of estimate: either looks at its own quantity alone."""
    return {
        "anyOf": [
            _price_question_of("unit_price", "unit_quantity", f"So many times {UNIT}."),
            _price_question_of("historical_api_price", "call_quantity", "So many calls like those before."),
        ]
    }


def _price_question_of(kind: str, quantity: str, description: str) -> Schema:
    number = NUMBER | {"minimum": 0, "exclusiveMinimum": True, "maximum": 1e9, "description": description}
    endpoints = fields({ENDPOINT_ID: fields({quantity: number})}) | {"additionalProperties": False}
    return fields({"estimate_type": TEXT | {"enum": [kind]}, "endpoints": endpoints})


def _page(name: str, item: Schema) -> Schema:
    return _with_cursor({name: list_of(item)})


def _with_cursor(required: dict[str, Schema], optional: dict[str, Schema] | None = None) -> Schema:
    return fields(required | {"next_cursor": _nullable(TEXT), "has_more": SWITCH}, optional)


def _nullable(schema: Schema) -> Schema:
    return schema | {"nullable": True}


def _model_filters() -> tuple[Operation, ...]:
    status = {"type": "string", "enum": ["active", "deprecated"]}
    return (
        parameter("endpoint_id", list_of(TEXT), "Only these."),
        parameter("q", TEXT, "Words of a description."),
        parameter("category", TEXT),
        parameter("status", status),
        parameter("expand", list_of(TEXT), "openapi-3.0: with this document."),
        _LIMIT,
        _CURSOR,
    )


def _sums() -> tuple[Operation, ...]:
    return (
        parameter("timeframe", {"type": "string", "enum": list(get_args(Timeframe))}),
        parameter("timezone", {"type": "string", "enum": ["UTC"]}),
        parameter("bound_to_timeframe", {"type": "string", "enum": ["false"]}, "The period is not widened."),
        parameter("expand", list_of(TEXT), "time_series: sums of each timeframe; summary: of the whole."),
    )


def _request_filters() -> tuple[Operation, ...]:
    return (
        _ENDPOINTS,
        *_PERIOD,
        parameter("status", {"type": "string", "enum": list(get_args(Status))}),
        parameter("request_id", TEXT),
        parameter("sort_by", {"type": "string", "enum": list(get_args(Order))}),
        parameter("expand", list_of(TEXT), "payloads: with what was sent and answered."),
        _LIMIT,
        _CURSOR,
    )


def _get(name: str, schema: str, *parameters: Operation) -> Operation:
    responses = {"200": answer("What was asked for", schema)}
    if parameters:
        responses |= {"400": answer("A parameter cannot be used", "PlatformError")}
    return _platform(name, responses) | {"parameters": list(parameters)}


def _estimate() -> Operation:
    responses = {"200": answer("The price", "PriceEstimate")} | unreadable("PlatformError")
    return _platform("estimatePrice", responses) | {"requestBody": json_body(ref("PriceQuestion"))}


def _drop_payloads() -> Operation:
    responses = {
        "200": answer("They are forgotten", "Dropped"),
        "400": answer("The request has not ended", "PlatformError"),
        "404": answer("The caller did not submit it, or it was forgotten", "PlatformError"),
    }
    return _platform("dropPayloads", responses) | {
        "parameters": [path_part("request_id", "Of an ended job.")]
    }


def _platform(name: str, responses: Operation) -> Operation:
    store_is_busy = {"429": answer("Too much at once", "PlatformError", "retry-after")}
    return {
        "operationId": name,
        "responses": responses | store_is_busy | unauthorized("PlatformError") | failed("PlatformError"),
    }
