"""Webhooks on the wire: the address that a caller names, and the keys that receivers verify with."""

import time
from collections.abc import Awaitable, Callable, Mapping

from starlette.requests import Request
from starlette.responses import Response

from omnireel.api.http.errors import json_response
from omnireel.errors import InputError
from omnireel.jobs.worker import Worker
from omnireel.net.connector import EgressPolicy, check_target
from omnireel.net.errors import FetchError
from omnireel.net.urls import parse_url
from omnireel.settings import Settings
from omnireel.storage.policy import egress_policy
from omnireel.webhooks.sender import Sender
from omnireel.webhooks.signing import KeyFile

QUERY = "fal_webhook"
JWKS_PATH = "/.well-known/jwks.json"
_JWKS_MAX_AGE_S = 3600


def make_sender(worker: Worker, settings: Settings) -> Sender:
    """What sends the webhooks of the store that `worker` works on."""
    keys = KeyFile(settings.webhook_keys_path)
    return Sender(worker.database, keys, egress_policy(settings), worker.events.ends)


def webhook_url(query: Mapping[str, str], policy: EgressPolicy) -> str | None:
    """Where the caller wants to be told; None where it did not ask.

    Raises InputError for an address that could never be called. Whether its name leads somewhere that may be
    called shows only when the name is resolved, at each attempt.
    """
    url = query.get(QUERY)
    if url is None:
        return None
    try:
        check_target(parse_url(url), policy)
    except FetchError as error:
        raise InputError(
            f"{QUERY} cannot be called: {error.why}",
            kind="url_not_allowed",
            loc=("query", QUERY),
            hint=error.hint,
        ) from None
    return url


def jwks_page(settings: Settings) -> Callable[[Request], Awaitable[Response]]:
    """Answers with the public keys; anyone may read them."""
    keys = KeyFile(settings.webhook_keys_path)

    async def jwks(_: Request) -> Response:
        lifetime = {"cache-control": f"public, max-age={_JWKS_MAX_AGE_S}"}
        return json_response(keys.load(time.time()).jwks(), 200, lifetime)

    return jwks
