"""The OpenAPI document about the server itself: health, signing keys, temporary tokens, descriptions."""

from omnireel.api.fal.tokens import APP, MAX_S
from omnireel.api.fal.webhooks import JWKS_PATH
from omnireel.api.fal.wire import APP_ID, ENDPOINT_ID
from omnireel.api.openapi.parts import (
    ANY_FIELDS,
    INTEGER,
    TEXT,
    Operation,
    Paths,
    Schema,
    answer,
    failed,
    fields,
    json_body,
    list_of,
    ref,
    text_answer,
    unauthorized,
    unreadable,
)


def page_paths() -> Paths:
    """Everything but tokens is open to anybody."""
    llms = {"200": text_answer("The endpoint for language models")}
    return {
        "/rest/tokens": {"post": _token()},
        JWKS_PATH: {"get": _jwks("jwks")},
        f"/rest{JWKS_PATH}": {"get": _jwks("restJwks")},
        "/llms.txt": {"get": _page("llms", llms)},
        f"/models/{ENDPOINT_ID}/llms.txt": {"get": _page("modelLlms", llms)},
        "/openapi.json": {"get": _page("openapi", {"200": answer("This document", "OpenApi")})},
        "/health": {"get": _page("health", _healthy())},
        "/health/ready": {"get": _page("ready", _healthy() | _not_ready())},
    }


def page_schemas() -> dict[str, Schema]:
    """By name."""
    seconds = INTEGER | {"minimum": 1, "maximum": MAX_S}
    app = {"type": "string", "enum": [APP, APP_ID]}
    key = fields(
        {
            "kty": {"type": "string", "enum": ["OKP"]},
            "crv": {"type": "string", "enum": ["Ed25519"]},
            "x": TEXT,
            "kid": TEXT,
        },
        {"use": TEXT, "alg": TEXT},
    )
    level = {"type": "string", "enum": ["full", "weak"]}
    state = {"type": "string", "enum": ["ok", "not ready"]}
    health = fields(
        {
            "status": state,
            "version": TEXT,
            "backend": TEXT,
            "model": TEXT,
            "sandbox": level,
            "intrusions": INTEGER,
        },
        {"detail": TEXT},
    )
    apps = list_of(app) | {"minItems": 1}
    return {
        "NewToken": fields({"allowed_apps": apps}, {"token_expiration": seconds}),
        "Token": TEXT,
        "KeySet": fields({"keys": list_of(key)}),
        "OpenApi": fields({"openapi": TEXT, "info": ANY_FIELDS, "paths": ANY_FIELDS}),
        "Health": health,
    }


def _token() -> Operation:
    return {
        "operationId": "token",
        "summary": "A token that stands for the caller's key for a while, for a web page",
        "requestBody": json_body(ref("NewToken")),
        "responses": {"200": answer("The token", "Token")} | unreadable() | unauthorized() | failed(),
    }


def _jwks(name: str) -> Operation:
    operation = _page(name, {"200": answer("The keys", "KeySet")} | failed())
    return operation | {"summary": "The public keys that webhooks are signed with"}


def _page(name: str, responses: Operation) -> Operation:
    return {"operationId": name, "security": [], "responses": responses}


def _healthy() -> Operation:
    return {"200": answer("It answers; whether the model can be asked is in its status", "Health")}


def _not_ready() -> Operation:
    return {"200": answer("It can", "Health"), "503": answer("It cannot yet", "Health")}
