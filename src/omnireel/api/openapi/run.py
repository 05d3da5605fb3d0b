"""The OpenAPI document about asking: on the line, as a stream, as an estimate, and in the queue."""

from typing import Any

from omnireel.api.fal.wire import (
    APP_ID,
    ENDPOINT_ID,
    Nemotron3NanoOmniVideoInput,
    Nemotron3NanoOmniVideoOutput,
)
from omnireel.api.openapi.parts import (
    ANY_FIELDS,
    INTEGER,
    NUMBER,
    SWITCH,
    TEXT,
    Operation,
    Paths,
    Schema,
    answer,
    events,
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
from omnireel.net.urls import MAX_LENGTH

_OUTPUT = Nemotron3NanoOmniVideoOutput.__name__
_WEBHOOK = parameter(
    "fal_webhook",
    {"type": "string", "format": "uri", "maxLength": MAX_LENGTH},
    "Where a signed POST tells of the job's end; an https address of the public internet, "
    "unless the operator admits others.",
)
_MAX_QUEUED = parameter(
    "fal_max_queue_length",
    {"type": "integer", "minimum": 0, "maximum": 999_999_999},
    "Refuse the job with 429 where so many wait already.",
)
_HEADERS = tuple(
    parameter(name, schema, description, where="header")
    for name, schema, description in (
        (
            "x-fal-request-timeout",
            {"type": "number", "minimum": 0, "exclusiveMinimum": True},
            "Seconds within which the work has to begin.",
        ),
        ("x-fal-queue-priority", {"type": "string", "enum": ["normal", "low"]}, "Before or after others."),
        ("x-fal-store-io", TEXT, "0: keep the input until the job's end, the answer for an hour."),
    )
)
_QUEUE_HEADERS = (
    parameter("x-fal-no-retry", TEXT, "1: one attempt.", where="header"),
    parameter(
        "idempotency-key",
        {"type": "string", "minLength": 1, "maxLength": 256, "pattern": "^[!-~]+$"},
        "The same key and body again give the same job.",
        where="header",
    ),
)


def run_paths() -> Paths:
    """The synchronous door, whose paths need no prefix."""
    return {
        f"/{ENDPOINT_ID}": {"post": _run("run")},
        f"/sync/{ENDPOINT_ID}": {"post": _run("runSync")},
        f"/{ENDPOINT_ID}/stream": {"post": _stream()},
        f"/{ENDPOINT_ID}/estimate": {"post": _estimate()},
    }


def queue_paths() -> Paths:
    """The queue, under `/queue` on this server or at the root of a host called `queue.`"""
    request = f"/queue/{APP_ID}/requests/{{request_id}}"
    return {
        f"/queue/{ENDPOINT_ID}": {"post": _submit()},
        request: {"get": _result("result")},
        f"{request}/response": {"get": _result("response")},
        f"{request}/status": {"get": _status()},
        f"{request}/status/stream": {"get": _status_stream()},
        f"{request}/cancel": {"put": _cancel()},
    }


def run_schemas() -> dict[str, Schema]:
    """By name; those of input and output are `wire_schema.schemas`."""
    usage = fields({"input_tokens": INTEGER, "max_output_tokens": INTEGER})
    status = fields(
        {"status": {"type": "string", "enum": ["IN_QUEUE", "IN_PROGRESS", "COMPLETED"]}, "request_id": TEXT},
        {
            "response_url": TEXT,
            "status_url": TEXT,
            "cancel_url": TEXT,
            "queue_position": {"type": "integer", "minimum": 0},
            "logs": list_of(fields({"message": TEXT, "level": TEXT, "source": TEXT, "timestamp": TEXT})),
            "metrics": ANY_FIELDS,
            "error": TEXT,
            "error_type": TEXT,
        },
    )
    return {
        "QueueStatus": status,
        "Cancelling": fields({"status": TEXT, "success": SWITCH}),
        "Estimate": fields(
            {
                "video": {"allOf": [ref("VideoReport")]},
                "usage": usage,
                "max_context": INTEGER,
                "input_price_usd": NUMBER,
                "max_price_usd": NUMBER,
            }
        ),
    }


def _ask(name: str, summary: str, ok: Operation, responses: Operation | None = None) -> Operation:
    """An operation that takes the endpoint's input."""
    limits = {
        "403": answer("The key's spending cap could be broken", "RequestError", "x-fal-error-type"),
        "429": answer("Too many requests at once, or in a minute", "RequestError", "x-fal-error-type"),
    }
    return {
        "operationId": name,
        "summary": summary,
        "requestBody": json_body(ref(Nemotron3NanoOmniVideoInput.__name__)),
        "responses": {"200": ok} | unreadable() | unauthorized() | limits | failed() | (responses or {}),
    }


def _run(name: str) -> Operation:
    ok = answer("The answer", _OUTPUT, "x-fal-billable-units", "x-omnireel-ignored-fields")
    operation = _ask(name, "Ask a question about a video and wait for the answer", ok, _ended_badly())
    return operation | {"parameters": list(_HEADERS)}


def _stream() -> Operation:
    says = "Events with the answer so far; the last one is the whole result"
    ok = events(says, "x-omnireel-ignored-fields")
    summary = "Ask a question about a video and read the answer as it is written"
    return _ask("stream", summary, ok, _ended_badly()) | {"parameters": list(_HEADERS)}


def _estimate() -> Operation:
    ok = answer("Frames, tokens and price", "Estimate", "x-fal-billable-units")
    slow = {"504": answer("It took too long", "Problems")}
    summary = "Find what a question would look at and cost, without inference or charge"
    return _ask("estimate", summary, ok, slow)


def _submit() -> Operation:
    operation = _ask("submit", "Store a job and answer at once", answer("It is stored", "QueueStatus"))
    return operation | {"parameters": [_WEBHOOK, _MAX_QUEUED, *_HEADERS, *_QUEUE_HEADERS]}


def _ended_badly() -> Operation:
    """How a job can end that was taken, beside the model's own errors; by status."""
    return {
        "503": answer("The server stopped before the job had ended", "Error"),
        "504": answer("It took too long, or did not start in time", "Error"),
    }


def _result(name: str) -> Operation:
    responses = {
        "200": answer("The stored answer", _OUTPUT, "x-fal-billable-units"),
        "400": answer("It has not ended", "Error"),
        "422": answer("The model's own error", "Problems"),
        "499": answer("It was cancelled", "Error"),
    }
    return _about(name, "The stored answer, or the error that was stored", responses | _ended_badly())


def _status() -> Operation:
    responses = {
        "200": answer("It has ended", "QueueStatus"),
        "202": answer("It waits or runs", "QueueStatus"),
    }
    return _about("status", "How far a job has come", responses, _logs())


def _status_stream() -> Operation:
    responses = {"200": events("The status at each change, until the job has ended")}
    return _about("statusStream", "How far a job has come, told as it goes", responses, _logs())


def _cancel() -> Operation:
    responses = {
        code: answer(text, "Cancelling")
        for code, text in (("200", "It was removed"), ("202", "It will stop"), ("400", "It had ended"))
    }
    return _about("cancel", "End a job that has not ended", responses)


def _logs() -> Operation:
    return parameter("logs", TEXT, "1: with the lines of its log.")


def _about(name: str, summary: str, responses: Operation, *more: dict[str, Any]) -> Operation:
    unknown = {"404": answer("The caller did not submit it, or it was forgotten", "RequestError")}
    return {
        "operationId": name,
        "summary": summary,
        "parameters": [path_part("request_id", "As submitting it answered."), *more],
        "responses": responses | unauthorized() | unknown | failed(),
    }
