"""Webhooks in HTTP: the address that a caller names, and the keys that receivers verify signatures with."""

import time
from collections.abc import Awaitable, Callable, Mapping

from starlette.requests import Request
from starlette.responses import Response

from omnireel.api.http.responses import json_response
from omnireel.errors import InputError
from omnireel.net.connector import check_target
from omnireel.net.errors import FetchError
from omnireel.net.policy import EgressPolicy
from omnireel.net.urls import parse_url
from omnireel.settings import Settings
from omnireel.webhooks.signing import KeyFile

WEBHOOK_PARAMETER = "fal_webhook"
JWKS_PATH = "/.well-known/jwks.json"
_JWKS_MAX_AGE_S = 3600


def webhook_url(query: Mapping[str, str], policy: EgressPolicy) -> str | None:
    """The address that the caller wants a webhook sent to; None for no webhook.

    Raises InputError for an address that is never allowed. The IP address of its host is checked at each attempt.
    """
    url = query.get(WEBHOOK_PARAMETER)
    if url is None:
        return None
    try:
        check_target(parse_url(url), policy)
    except FetchError as error:
        raise InputError(
            f"The webhook cannot be called: {error.why}.",
            kind="url_not_allowed",
            about="webhook_url",
            hint=error.hint,
        ) from None
    return url


def jwks_page(settings: Settings) -> Callable[[Request], Awaitable[Response]]:
    """Answers with the public keys; anyone may read them."""
    keys = KeyFile(settings.webhook_keys_path)

    async def jwks(_: Request) -> Response:
        caching = {"cache-control": f"public, max-age={_JWKS_MAX_AGE_S}"}
        return json_response(keys.load(time.time()).jwks(), 200, caching)

    return jwks
