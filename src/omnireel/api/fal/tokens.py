"""Temporary tokens: JSON Web Tokens that a web page uses in place of a key."""

import base64
import binascii
import hmac
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from omnireel.api.fal.input import APP_ID
from omnireel.api.http.body import read_json
from omnireel.api.http.caller import key_of
from omnireel.api.http.errors import BodyError, problem

_HEADER = {"alg": "HS256", "typ": "JWT"}
APP = APP_ID.partition("/")[2]
_MAX_BODY_BYTES = 64 * 1024
_DEFAULT_LIFETIME_S, MAX_LIFETIME_S = 120, 24 * 3600


@dataclass(frozen=True)
class TokenEndpoint:
    """POST /rest/tokens: a token that replaces the caller's key for a while."""

    pepper: bytes

    async def answer(self, request: Request) -> Response:
        """The token as a JSON string, which both official clients expect. Raises BodyError."""
        fields = await read_json(request, _MAX_BODY_BYTES)
        seconds = _lifetime(fields)
        key = key_of(request)
        claims = {"sub": key.id if key else "", "exp": int(time.time()) + seconds, "apps": [APP]}
        return Response(json.dumps(sign(claims, self.pepper)), media_type="application/json")


def _lifetime(fields: object) -> int:
    fields = fields if isinstance(fields, dict) else {}
    apps, seconds = fields.get("allowed_apps"), fields.get("token_expiration", _DEFAULT_LIFETIME_S)
    problems = []
    if not isinstance(apps, list) or not apps or any(app not in (APP, APP_ID) for app in apps):
        problems.append(
            problem(("body", "allowed_apps"), f"Input should be [{APP!r}]", "one_of", ctx={"expected": [APP]})
        )
    if type(seconds) is not int or not 1 <= seconds <= MAX_LIFETIME_S:
        msg = f"Input should be a whole number of seconds from 1 to {MAX_LIFETIME_S}"
        problems.append(problem(("body", "token_expiration"), msg, "int_parsing"))
    if problems:
        raise BodyError(problems)
    return int(seconds)


def sign(claims: Mapping[str, Any], pepper: bytes) -> str:
    """A token with these claims; `exp` is when it expires, in Unix seconds."""
    signed = f"{_encode(json.dumps(_HEADER).encode())}.{_encode(json.dumps(claims).encode())}"
    return f"{signed}.{_encode(_signature(signed, pepper))}"


def key_id_of(token: str, pepper: bytes, *, now: float) -> str | None:
    """The id of the key that a token was made for; None if it is not valid or has expired."""
    signed, _, signature = token.rpartition(".")
    try:
        if not hmac.compare_digest(_decode(signature), _signature(signed, pepper)):
            return None
        claims = json.loads(_decode(signed.partition(".")[2]))
    except (ValueError, binascii.Error):
        return None
    return str(claims["sub"]) if claims["exp"] > now else None


def _signature(signed: str, pepper: bytes) -> bytes:
    # Not the pepper itself: a signature must never equal the stored digest of a key's secret.
    key = hmac.digest(pepper, b"temporary tokens", "sha256")
    return hmac.digest(key, signed.encode("utf-8", "surrogateescape"), "sha256")


def _encode(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode("ascii")


def _decode(text: str) -> bytes:
    return base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), b"-_", validate=True)
