"""The OpenAPI document, in the dialect that fal's own tools read: 3.0.4 with their extensions."""

from typing import Any

from omnireel.api.wire import (
    ENDPOINT_ID,
    Nemotron3NanoOmniVideoInput,
    Nemotron3NanoOmniVideoOutput,
    schemas,
)

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


def openapi_document(version: str) -> dict[str, Any]:
    """What GET /openapi.json answers."""
    run = {path: {"post": _run_operation(name)} for path, name in (
        (f"/{ENDPOINT_ID}", "run"),
        (f"/sync/{ENDPOINT_ID}", "runSync"),
    )}  # fmt: skip
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
        }},
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
            "413": _answer("The body is too long", "RequestError", "x-fal-error-type"),
            "415": _answer("The body is not plain JSON", "RequestError", "x-fal-error-type"),
            "422": _answer("The input cannot be used", "Problems", "x-fal-billable-units"),
            "429": _answer("Too many requests at once", "RequestError", "x-fal-error-type"),
            "500": _answer("The server failed", "Problems"),
            "504": _answer("It took too long, or did not start in time", "Problems"),
        },
    }


def _health_path(name: str) -> dict[str, Any]:
    return {
        "get": {
            "operationId": name,
            "responses": {"200": _answer("It can", "Health"), "503": _answer("It cannot yet", "Health")},
        }
    }
