"""API keys: an id that may be shown, and a secret that is shown once and stored nowhere.

What is stored is HMAC-SHA-256 of the secret under a pepper, 32 random bytes in a file beside the database:
somebody who has only the database can neither use a key nor guess one. Secrets are random and long, so a slow
hash would protect nothing and cost every request.
"""

from __future__ import annotations

import hmac
import os
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from omnireel.errors import DeniedError

_PEPPER_BYTES = 32


@dataclass(frozen=True)
class Grant:
    """What a key is given; None: no limit.

    account:   the owner of its jobs; None: one of its own, named like the key's id
    is_admin:  may see what all accounts used
    max_unfinished: jobs that wait or run at a time
    cap_micro, monthly_cap_micro: millionths of a US dollar, in all and per calendar month (UTC)
    """

    account: str | None = None
    name: str = ""
    is_admin: bool = False
    max_per_minute: int | None = None
    max_unfinished: int | None = None
    cap_micro: int | None = None
    monthly_cap_micro: int | None = None


@dataclass(frozen=True)
class Key:
    """A key as it is stored, without its secret; grant.account is always set here."""

    id: str
    account: str
    grant: Grant
    created_at: float
    revoked_at: float | None

    @property
    def has_cap(self) -> bool:
        """Whether what it may spend is bounded."""
        return self.grant.cap_micro is not None or self.grant.monthly_cap_micro is not None


@dataclass(frozen=True)
class KeySpending:
    """A key and what it was charged, in millionths of a US dollar."""

    key: Key
    spent_micro: int
    spent_this_month_micro: int


class KeyStore(Protocol):
    """Keys, how often they are used, and the temporary tokens of accounts. `now`: Unix seconds."""

    async def create(self, key_id: str, digest: bytes, grant: Grant, *, now: float) -> Key:
        """Store a new key; digest: of its secret, see `secret_digest`."""

    async def check(self, key_id: str, digest: bytes) -> Key | None:
        """The key with this id and secret; None where they do not belong together, or it was revoked."""

    async def find(self, key_id: str) -> Key | None:
        """The key of that id, unless it was revoked."""

    async def all(self, *, now: float) -> list[KeySpending]:
        """Every key ever made, oldest first, and what it was charged."""

    async def revoke(self, key_id: str, *, now: float) -> KeySpending | None:
        """End a key, from the next request on; jobs that it sent already still run. None: there is none."""

    async def count_request(self, key: Key, *, now: float) -> None:
        """Count one request of a key with max_per_minute, whichever process it came to.

        Raises CapacityError(rate_limited) where the key had its share of the last minute already.
        """

    async def add_token(self, token_hash: bytes, owner: str, *, expires_at: float) -> None:
        """Let a temporary token stand for an account."""

    async def token_owner(self, token_hash: bytes, *, now: float) -> str | None:
        """The account that a token stands for; None where it is unknown or has expired."""


def new_key() -> tuple[str, str]:
    """The id and the secret of a new key."""
    return f"omr_{secrets.token_hex(8)}", secrets.token_hex(32)


def secret_digest(pepper: bytes, secret: str) -> bytes:
    """What is stored of a key's secret."""
    return hmac.digest(pepper, secret.encode("utf-8", "surrogateescape"), "sha256")


def read_pepper(path: Path) -> bytes:
    """The pepper, made where there is none yet; two processes that make it at once get the same."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        own = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
        descriptor = os.open(own, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(_PEPPER_BYTES))
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(own, path)
        except FileExistsError:
            pass  # another process was first
        finally:
            own.unlink()
    return path.read_bytes()


def month_of(now: float) -> str:
    """The calendar month (UTC) of a moment, like 2026-01."""
    return datetime.fromtimestamp(now, UTC).strftime("%Y-%m")


def unauthorized() -> DeniedError:
    """The same words for a key that never was, one that was revoked, and a wrong secret."""
    return DeniedError("Invalid key credentials.", kind="unauthorized")
