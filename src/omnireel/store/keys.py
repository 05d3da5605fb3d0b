"""API keys: an id that may be shown, and a secret that is shown once and never stored.

The store keeps HMAC-SHA-256 of the secret under a pepper: 32 random bytes in a file beside the database. So the
database alone is not enough to use or guess a key. Secrets are long and random: a slow hash would add no protection and
slow down every request.
"""

from __future__ import annotations

import hmac
import os
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from omnireel.errors import DeniedError, OmnireelError
from omnireel.store.private import make_private

_PEPPER_BYTES = 32


@dataclass(frozen=True)
class Grant:
    """The rights and limits of a key. None: no limit.

    account:        the owner of its jobs; None: a new account, named like the key's id
    is_admin:       whether it may see the usage of all accounts
    max_unfinished: most jobs that wait or run at a time
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
    """A key as it is stored, without its secret. grant.account is never None here."""

    id: str
    account: str
    grant: Grant
    created_at: float
    revoked_at: float | None

    @property
    def has_cap(self) -> bool:
        """Whether its spending is limited."""
        return self.grant.cap_micro is not None or self.grant.monthly_cap_micro is not None


@dataclass(frozen=True)
class KeySpending:
    """A key and its charges so far, in millionths of a US dollar."""

    key: Key
    spent_micro: int
    spent_this_month_micro: int


@dataclass(frozen=True)
class Caller:
    """Who calls: an account, and the key that is shown or that a token was made for. Both are "" without keys."""

    account: str = ""
    key_id: str = ""


class KeyStore(Protocol):
    """API keys, their requests per minute, and the temporary tokens of accounts.

    `now`: Unix seconds of the wall clock, or store time where the method says so.
    """

    async def create(self, key_id: str, digest: bytes, grant: Grant, *, now: float) -> Key:
        """Store a new key. digest: of its secret, see `secret_digest`"""

    async def check(self, key_id: str, digest: bytes) -> Key | None:
        """The key with this id and secret; None if there is none or it was revoked."""

    async def find(self, key_id: str) -> Key | None:
        """The key with this id; None if there is none or it was revoked."""

    async def all(self, *, now: float) -> list[KeySpending]:
        """All keys with their charges, oldest first. Revoked ones are included."""

    async def revoke(self, key_id: str, *, now: float) -> KeySpending | None:
        """Revoke a key. Jobs that it has already sent still run. None if there is no such key."""

    async def count_request(self, key: Key, *, now: float) -> None:
        """Count a request of a key, for its max_per_minute. Requests to all processes are counted together.

        now: store time
        Raises CapacityError(rate_limited) if the key has reached its limit within the last minute.
        """

    async def check_failed_clips(self, key: Key, max_failed: int, *, now: float) -> None:
        """Raise CapacityError(rate_limited) if so many clips of the key failed within the last minute.

        The end of a job counts its clip, see `is_failed_clip`.
        """

    async def count_failed_clip(self, key: Key, *, now: float) -> None:
        """Count a clip of a key that failed without a job."""

    async def add_token(self, token_hash: bytes, holder: Caller, *, expires_at: float) -> None:
        """Store a temporary token. It is valid no longer than the key that it was made for.

        expires_at: in store time
        """

    async def token_holder(self, token_hash: bytes, *, now: float) -> Caller | None:
        """Whom a token was made for; None if it is unknown or has expired, or its key was revoked. now: store time"""


def new_key() -> tuple[str, str]:
    """The id and the secret of a new key."""
    return f"omr_{secrets.token_hex(8)}", secrets.token_hex(32)


def secret_digest(pepper: bytes, secret: str) -> bytes:
    """The digest of a key's secret, which is stored instead of it."""
    return hmac.digest(pepper, secret.encode("utf-8", "surrogateescape"), "sha256")


def read_pepper(path: Path) -> bytes:
    """The pepper. It is made if it is missing; processes that start together get the same one.

    Raises OmnireelError if the file cannot be used, or does not hold a whole pepper: with a known one, such as an
    empty file, one who has the database could try keys.
    """
    try:
        return _pepper(path)
    except OSError as error:
        raise _unusable_pepper(path, f"{error.strerror}") from None


def _pepper(path: Path) -> bytes:
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        new = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(_PEPPER_BYTES))
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(new, path)
        except FileExistsError:
            pass  # another process was first
        finally:
            new.unlink()
    make_private(path)
    pepper = path.read_bytes()
    if len(pepper) != _PEPPER_BYTES:
        raise _unusable_pepper(path, f"it has {len(pepper)} bytes instead of {_PEPPER_BYTES}")
    return pepper


def _unusable_pepper(path: Path, why: str) -> OmnireelError:
    return OmnireelError(
        f"The pepper in {path} cannot be used: {why}.",
        hint="Restore it from a backup. If you delete it, a new one is made, and no key is valid any more.",
    )


def month_of(now: float) -> str:
    """The calendar month (UTC) of a moment, like 2026-01."""
    return datetime.fromtimestamp(now, UTC).strftime("%Y-%m")


def unauthorized() -> DeniedError:
    """The same error for an unknown key, a revoked key and a wrong secret, so that callers cannot tell them apart."""
    return DeniedError("Invalid key credentials.", kind="unauthorized")
