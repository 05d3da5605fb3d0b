"""The OpenAPI document, in the dialect that fal's own tools read: 3.0.4 with their extensions."""

from typing import Any

from omnireel.api.webhooks import JWKS_PATH
from omnireel.api.wire import (
    APP_ID,
    ENDPOINT_ID,
    Nemotron3NanoOmniVideoInput,
    Nemotron3NanoOmniVideoOutput,
    schemas,
)
from omnireel.jobs.urls import MAX_LENGTH

_PROBLEM = {
    "type": "object",
    "required": ["loc", "msg", "type"],
    "properties": {
        "loc": {"type": "array", "items": {"anyOf": [{"type": "string"}, {"type": "integer"}]}},
        "msg": {"type": "string"},
        "type": {"type": "string"},
        "url": {"type": "string"},
        "ctx": {"type": "object"},
        "input": {},
    },
}
_PROBLEMS = {
    "type": "object",
    "required": ["detail", "message"],
    "properties": {
        "detail": {"type": "array", "items": {"$ref": "#/components/schemas/Problem"}},
        "message": {"type": "string"},
    },
}
_REQUEST_ERROR = {
    "type": "object",
    "required": ["detail", "message"],
    "properties": {
        "detail": {"type": "string"},
        "error_type": {"type": "string"},
        "message": {"type": "string"},
    },
}
_HEALTH = {
    "type": "object",
    "required": ["status", "version", "backend", "model"],
    "properties": {
        "status": {"type": "string", "enum": ["ok", "not ready"]},
        "version": {"type": "string"},
        "backend": {"type": "string"},
        "model": {"type": "string"},
        "detail": {"type": "string"},
    },
}

_TEXT = {"type": "string"}
_NUMBER = {"type": "number"}
_INTEGER = {"type": "integer"}
_ESTIMATE = {
    "type": "object",
    "required": ["video", "usage", "max_context", "input_price_usd", "max_price_usd"],
    "properties": {
        "video": {"allOf": [{"$ref": "#/components/schemas/VideoReport"}]},
        "usage": {
            "type": "object",
            "required": ["input_tokens", "max_output_tokens"],
            "properties": {"input_tokens": _INTEGER, "max_output_tokens": _INTEGER},
        },
        "max_context": _INTEGER,
        "input_price_usd": _NUMBER,
        "max_price_usd": _NUMBER,
    },
}
# Asked for only where the server runs with --auth keys.
_SECURITY = {
    "apiKeyAuth": {
        "type": "apiKey",
        "in": "header",
        "name": "Authorization",
        "description": "Key <key_id>:<key_secret>; a server that runs without keys takes anything.",
    }
}
_QUEUE_STATUS = {
    "type": "object",
    "required": ["status", "request_id"],
    "properties": {
        "status": {"type": "string", "enum": ["IN_QUEUE", "IN_PROGRESS", "COMPLETED"]},
        "request_id": _TEXT,
        "response_url": _TEXT,
        "status_url": _TEXT,
        "cancel_url": _TEXT,
        "queue_position": {"type": "integer", "minimum": 0},
        "logs": {"type": "array", "items": {"type": "object"}},
        "metrics": {"type": "object"},
        "error": _TEXT,
        "error_type": _TEXT,
    },
}
_CANCELLING = {
    "type": "object",
    "required": ["status", "success"],
    "properties": {"status": _TEXT, "success": {"type": "boolean"}},
}
_WEBHOOK = {
    "name": "fal_webhook",
    "in": "query",
    "required": False,
    "schema": {"type": "string", "format": "uri", "maxLength": MAX_LENGTH},
    "description": "Where a signed POST tells of the job's end; an https address of the public internet, "
    "unless the operator admits others.",
}
_KEY_SET = {
    "type": "object",
    "required": ["keys"],
    "properties": {
        "keys": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["kty", "crv", "x", "kid"],
                "properties": {
                    "kty": {"type": "string", "enum": ["OKP"]},
                    "crv": {"type": "string", "enum": ["Ed25519"]},
                    "x": _TEXT,
                    "kid": _TEXT,
                    "use": _TEXT,
                    "alg": _TEXT,
                },
            },
        }
    },
}


def openapi_document(version: str) -> dict[str, Any]:
    """What GET /openapi.json answers."""
    run = {path: {"post": _run_operation(name)} for path, name in (
        (f"/{ENDPOINT_ID}", "run"),
        (f"/sync/{ENDPOINT_ID}", "runSync"),
    )}  # fmt: skip
    run |= {f"/{ENDPOINT_ID}/stream": {"post": _stream_operation()}} | _queue_paths()
    run |= {JWKS_PATH: {"get": _jwks_operation()}}
    run |= {f"/{ENDPOINT_ID}/estimate": {"post": _estimate_operation()}}
    return {
        "openapi": "3.0.4",
        "info": {
            "title": f"OpenAPI for {ENDPOINT_ID}",
            "version": version,
            "description": "omnireel: an mp4 and a prompt go in, text comes out.",
            "x-fal-metadata": {"endpointId": ENDPOINT_ID, "category": "video-to-text"},
        },
        "x-fal-order-paths": [*run, "/health", "/health/ready"],
        "paths": run | {"/health": _health_path("health"), "/health/ready": _health_path("ready")},
        "components": {"schemas": schemas() | {
            "Problem": _PROBLEM, "Problems": _PROBLEMS, "RequestError": _REQUEST_ERROR, "Health": _HEALTH,
            "QueueStatus": _QUEUE_STATUS, "Cancelling": _CANCELLING, "Estimate": _ESTIMATE,
            "KeySet": _KEY_SET,
        }, "securitySchemes": _SECURITY},
        "security": [{"apiKeyAuth": []}],
    }  # fmt: skip


def _answer(description: str, schema: str, *headers: str) -> dict[str, Any]:
    text = {"schema": {"type": "string"}}
    return {
        "description": description,
        "headers": dict.fromkeys(("x-fal-request-id", *headers), text),
        "content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}},
    }


def _run_operation(name: str) -> dict[str, Any]:
    body = {"$ref": f"#/components/schemas/{Nemotron3NanoOmniVideoInput.__name__}"}
    result = Nemotron3NanoOmniVideoOutput.__name__
    return {
        "operationId": name,
        "summary": "Ask a question about a video and wait for the answer",
        "requestBody": {"required": True, "content": {"application/json": {"schema": body}}},
        "responses": {
            "200": _answer("The answer", result, "x-fal-billable-units", "x-omnireel-ignored-fields"),
            "400": _answer("The body is no UTF-8, or a header cannot be read", "Problems"),
            "401": _answer("The server asks for keys, and none that counts was sent", "RequestError"),
            "403": _answer("The key's spending cap could be broken", "RequestError", "x-fal-error-type"),
            "413": _answer("The body is too long", "RequestError", "x-fal-error-type"),
            "415": _answer("The body is not plain JSON", "RequestError", "x-fal-error-type"),
            "422": _answer("The input cannot be used", "Problems", "x-fal-billable-units"),
            "429": _answer("Too many requests at once, or in a minute", "RequestError", "x-fal-error-type"),
            "500": _answer("The server failed", "Problems"),
            "504": _answer("It took too long, or did not start in time", "Problems"),
        },
    }


def _stream_operation() -> dict[str, Any]:
    operation = _run_operation("stream")
    operation["summary"] = "Ask a question about a video and read the answer as it is written"
    operation["responses"]["200"] = {
        "description": "Events with the answer so far; the last one is the whole result",
        "content": {"text/event-stream": {"schema": _TEXT}},
    }
    return operation


def _estimate_operation() -> dict[str, Any]:
    operation = _run_operation("estimate")
    operation["summary"] = "Find what a question would look at and cost, without inference or charge"
    operation["responses"]["200"] = _answer("Frames, tokens and price", "Estimate", "x-fal-billable-units")
    return operation


def _queue_paths() -> dict[str, Any]:
    """The queue, under `/queue` on this server or at the root of a host called `queue.`"""
    request = f"/queue/{APP_ID}/requests/{{request_id}}"
    submit = _run_operation("submit")
    submit["summary"] = "Store a job and answer at once"
    submit["parameters"] = [_WEBHOOK]
    submit["responses"] = submit["responses"] | {"200": _answer("It is stored", "QueueStatus")}
    status = {
        "200": _answer("It has ended", "QueueStatus"),
        "202": _answer("It waits or runs", "QueueStatus"),
    }
    ended = _answer("The stored answer", Nemotron3NanoOmniVideoOutput.__name__, "x-fal-billable-units")
    failed = _answer("The model's own error", "Problems")
    cancelling = {
        code: _answer(text, "Cancelling")
        for code, text in (("200", "It was removed"), ("202", "It will stop"), ("400", "It had ended"))
    }
    result = {"200": ended, "400": _answer("It has not ended", "RequestError"), "422": failed}
    return {
        f"/queue/{ENDPOINT_ID}": {"post": submit},
        request: {"get": _request_operation("result", result)},
        f"{request}/status": {"get": _request_operation("status", status, "logs")},
        f"{request}/cancel": {"put": _request_operation("cancel", cancelling)},
    }


def _request_operation(name: str, responses: dict[str, Any], *query: str) -> dict[str, Any]:
    path = {"name": "request_id", "in": "path", "required": True, "schema": _TEXT}
    asked = [{"name": field, "in": "query", "required": False, "schema": _TEXT} for field in query]
    unknown = {
        "401": _answer("The server asks for keys, and none that counts was sent", "RequestError"),
        "404": _answer("The caller did not submit it, or it was forgotten", "RequestError"),
    }
    return {"operationId": name, "parameters": [path, *asked], "responses": responses | unknown}


def _jwks_operation() -> dict[str, Any]:
    return {
        "operationId": "jwks",
        "summary": "The public keys that webhooks are signed with",
        "responses": {"200": _answer("The keys", "KeySet"), "500": _answer("The server failed", "Problems")},
    }


def _health_path(name: str) -> dict[str, Any]:
    return {
        "get": {
            "operationId": name,
            "security": [],
            "responses": {"200": _answer("It can", "Health"), "503": _answer("It cannot yet", "Health")},
        }
    }
