"""Authentication: every request needs a key, except for open paths.

A key is sent as both official clients send it, `Authorization: Key id:secret`, or after `Bearer`; a temporary
token (see `tokens`) as the query's `fal_jwt_token` or after `Bearer`. Keys are looked up for every request:
one that was revoked is refused at once, by every process.
"""

import re
import time
from collections import Counter
from collections.abc import Container
from urllib.parse import parse_qs

import structlog
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from omnireel.api.fal import tokens
from omnireel.api.fal.errors import render_error
from omnireel.api.fal.input import APP_ID
from omnireel.api.fal.responses import error_response
from omnireel.api.middleware.hosts import FalHost
from omnireel.errors import CapacityError, DeniedError
from omnireel.store.keys import Key, KeyStore, secret_digest, unauthorized

_TOKEN_PARAMETER = b"fal_jwt_token"
_HEADER = re.compile(
    r"\s*(?:(?:key|bearer)\s+(?P<key>[^\s:]+:\S+)|bearer\s+(?P<token>[^\s:]+))\s*", re.IGNORECASE
)


class Keys:
    """Refuses requests without a valid key; puts the key and its account into the state of the others.

    open_paths:          canonical paths that need no key
    self_authenticating: beginnings of canonical paths whose routes also accept other credentials, and check
                         them themselves; a request there without a key has no owner yet
    max_open:            most requests of one key at a time
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        keys: KeyStore,
        pepper: bytes,
        open_paths: Container[str],
        self_authenticating: tuple[str, ...] = (),
        max_open: int,
    ) -> None:
        self.app = app
        self.keys = keys
        self.pepper = pepper
        self.open_paths = open_paths
        self.self_authenticating = self_authenticating
        self.max_open = max_open
        self._num_open: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection; anything but HTTP passes through."""
        if scope["type"] != "http" or scope["path"] in self.open_paths:
            await self.app(scope, receive, send)
            return
        try:
            key = await self._identify(scope)
        except DeniedError as error:
            if not scope["path"].startswith(self.self_authenticating):
                await error_response(scope, render_error(error))(scope, receive, send)
                return
        else:
            state = scope.setdefault("state", {})
            state["owner"], state["key"] = key.account, key
            structlog.contextvars.bind_contextvars(key_id=key.id)
            await self._counted(key, scope, receive, send)
            return
        await self.app(scope, receive, send)

    async def _counted(self, key: Key, scope: Scope, receive: Receive, send: Send) -> None:
        if self._num_open[key.id] >= self.max_open:
            message = f"This key has {self.max_open} open requests already."
            await error_response(scope, render_error(CapacityError(message, after_s=1)))(scope, receive, send)
            return
        self._num_open[key.id] += 1
        try:
            await self.app(scope, receive, send)
        finally:
            self._num_open[key.id] -= 1
            if not self._num_open[key.id]:
                del self._num_open[key.id]

    async def _identify(self, scope: Scope) -> Key:
        """The key that the request was sent with. Raises DeniedError where no key is valid."""
        credentials = _credentials(Headers(scope=scope).get("authorization"), scope["query_string"])
        key_id, colon, secret = credentials.partition(":")
        key: Key | None = None
        if colon:
            key = await self.keys.check(key_id, secret_digest(self.pepper, secret))
        # A temporary token can only run requests: it cannot read accounts or make further tokens.
        elif scope["path"].startswith(f"/{FalHost.SYNC}/"):
            token_key_id = tokens.key_id_of(credentials, self.pepper, now=time.time())
            key = None if token_key_id is None else await self.keys.find(token_key_id)
        if key is None:
            raise unauthorized()
        return key


def _credentials(header: str | None, query: bytes) -> str:
    """`id:secret`, or a token. Raises DeniedError for anything else."""
    if header is None:
        token = parse_qs(query).get(_TOKEN_PARAMETER, [b""])[0].decode("latin-1")
        if not token:
            message = f'Cannot access application "{APP_ID}". Authentication is required: send a key.'
            raise DeniedError(message, kind="unauthorized")
        return token.replace(":", "")
    written = _HEADER.fullmatch(header)
    if written is None:
        message = 'Invalid Authorization header: expected "Key <key_id>:<key_secret>".'
        raise DeniedError(message, kind="unauthorized")
    return written["key"] or written["token"]
