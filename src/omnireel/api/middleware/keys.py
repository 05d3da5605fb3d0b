"""Authentication: every request needs a key, except for open paths.

A key is sent as both official clients send it, `Authorization: Key id:secret`, or after `Bearer`; a temporary
token (see `tokens`) as the query's `fal_jwt_token` or after `Bearer`. Keys are looked up for every request:
one that was revoked is refused at once, by every process.
"""

import re
import time
from collections.abc import Collection
from functools import partial
from urllib.parse import parse_qs

import structlog
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from omnireel.api.fal import tokens
from omnireel.api.fal.wire import APP_ID
from omnireel.api.http.errors import error_outcome
from omnireel.api.middleware.hosts import FalHost, error_response
from omnireel.errors import DeniedError
from omnireel.store.sqlite import keys
from omnireel.store.sqlite.admission import unauthorized
from omnireel.store.sqlite.database import Connection, Database
from omnireel.store.sqlite.keys import Key

_TOKEN_PARAMETER = b"fal_jwt_token"
_HEADER = re.compile(
    r"\s*(?:(?:key|bearer)\s+(?P<key>[^\s:]+:\S+)|bearer\s+(?P<token>[^\s:]+))\s*", re.IGNORECASE
)


class Keys:
    """Refuses requests without a valid key; puts the key and its account into the state of the others.

    open_paths:          canonical paths that need no key
    self_authenticating: beginnings of canonical paths whose routes also accept other credentials, and check
                         them themselves; a request there without a key has no owner yet
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        database: Database,
        pepper: bytes,
        open_paths: Collection[str],
        self_authenticating: tuple[str, ...] = (),
    ) -> None:
        self.app = app
        self.database = database
        self.pepper = pepper
        self.open_paths = frozenset(open_paths)
        self.self_authenticating = self_authenticating

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection; anything but HTTP passes through."""
        if scope["type"] != "http" or (scope["path"].rstrip("/") or "/") in self.open_paths:
            await self.app(scope, receive, send)
            return
        try:
            key = await self.database.read(partial(_identify, scope=scope, pepper=self.pepper))
        except DeniedError as error:
            if not scope["path"].startswith(self.self_authenticating):
                await error_response(scope, error_outcome(error))(scope, receive, send)
                return
        else:
            state = scope.setdefault("state", {})
            state["owner"], state["key"] = key.account, key
            structlog.contextvars.bind_contextvars(key_id=key.id)
        await self.app(scope, receive, send)


def _identify(db: Connection, *, scope: Scope, pepper: bytes) -> Key:
    """The key that the request was sent with. Raises DeniedError if there is none that is valid."""
    credentials = _credentials(Headers(scope=scope).get("authorization"), scope["query_string"])
    key_id, colon, secret = credentials.partition(":")
    if colon:
        key = keys.check(db, pepper, key_id, secret)
    # A temporary token can only run requests: it cannot read accounts or make further tokens.
    elif scope["path"].startswith(f"/{FalHost.SYNC}/"):
        key = _key_of_token(db, pepper, credentials)
    else:
        key = None
    if key is None:
        raise unauthorized()
    return key


def _credentials(header: str | None, query: bytes) -> str:
    """`id:secret`, or a token. Raises DeniedError for anything else."""
    if header is None:
        token = parse_qs(query).get(_TOKEN_PARAMETER, [b""])[0].decode("latin-1")
        if not token:
            message = f'Cannot access application "{APP_ID}". Authentication is required: send a key.'
            raise DeniedError(message, kind="unauthorized", status=401)
        return token.replace(":", "")
    written = _HEADER.fullmatch(header)
    if written is None:
        message = 'Invalid Authorization header: expected "Key <key_id>:<key_secret>".'
        raise DeniedError(message, kind="unauthorized", status=401)
    return written["key"] or written["token"]


def _key_of_token(db: Connection, pepper: bytes, token: str) -> Key | None:
    key_id = tokens.key_id_of(token, pepper, now=time.time())
    return None if key_id is None else keys.find_valid(db, key_id)
