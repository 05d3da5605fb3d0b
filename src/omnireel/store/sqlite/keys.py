"""API keys: an id that may be shown, and a secret that is shown once and stored nowhere.

What is stored is HMAC-SHA-256 of the secret under a pepper, 32 random bytes in a file beside the database:
who only has the database can neither use a key nor guess one. Secrets are random and long, so a slow hash
would protect nothing and cost every request.
"""

from __future__ import annotations

import hmac
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omnireel.store.sqlite.database import Connection

_PEPPER_BYTES = 32
_COLUMNS = """id, account, name, is_admin, max_per_minute, max_unfinished, cap_micro, monthly_cap_micro,
created_at, revoked_at"""


@dataclass(frozen=True)
class Grant:
    """What a key is given; None: no limit.

    account:   the owner of its jobs; None: one of its own, named like the key's id
    is_admin:  may see what all accounts used
    max_unfinished: jobs that wait or run at a time
    cap_micro, monthly_cap_micro: millionths of a US dollar, for ever and per calendar month (UTC)
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


def create(db: Connection, pepper: bytes, grant: Grant, *, now: float) -> tuple[Key, str]:
    """Store a new key. Returns it and its secret, which cannot be had again."""
    key_id, secret = f"omr_{secrets.token_hex(8)}", secrets.token_hex(32)
    account = grant.account or key_id
    db.execute(
        f"INSERT INTO keys ({_COLUMNS}, secret_hmac) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, ?)",
        (
            key_id, account, grant.name, int(grant.is_admin), grant.max_per_minute, grant.max_unfinished,
            grant.cap_micro, grant.monthly_cap_micro, now, _digest(pepper, secret),
        ),
    )  # fmt: skip
    key = find(db, key_id)
    assert key is not None
    return key, secret


def check(db: Connection, pepper: bytes, key_id: str, secret: str) -> Key | None:
    """The key that both belong to; None where they do not, or where it was revoked."""
    rows = db.execute("SELECT secret_hmac FROM keys WHERE id = ?", (key_id,)).fetchall()
    stored = rows[0][0] if rows else bytes(32)
    assert isinstance(stored, bytes)
    is_right = hmac.compare_digest(stored, _digest(pepper, secret))
    return find_valid(db, key_id) if rows and is_right else None


def find(db: Connection, key_id: str) -> Key | None:
    """The key of that id, revoked or not."""
    rows = db.execute(f"SELECT {_COLUMNS} FROM keys WHERE id = ?", (key_id,)).fetchall()
    return _read(rows[0]) if rows else None


def find_valid(db: Connection, key_id: str) -> Key | None:
    """The key of that id, unless it was revoked."""
    key = find(db, key_id)
    return None if key is None or key.revoked_at is not None else key


def all_keys(db: Connection) -> list[Key]:
    """Every key ever made, oldest first."""
    return [_read(row) for row in db.execute(f"SELECT {_COLUMNS} FROM keys ORDER BY created_at, id")]


def revoke(db: Connection, key_id: str, *, now: float) -> Key | None:
    """End a key, from the next request on; jobs that it sent already still run. None where there is none."""
    db.execute("UPDATE keys SET revoked_at = ? WHERE id = ? AND revoked_at IS NULL", (now, key_id))
    return find(db, key_id)


def _digest(pepper: bytes, secret: str) -> bytes:
    return hmac.digest(pepper, secret.encode("utf-8", "surrogateescape"), "sha256")


def _read(row: tuple[Any, ...]) -> Key:
    key_id, account, name, is_admin, *limits, created_at, revoked_at = row
    return Key(key_id, account, Grant(account, name, bool(is_admin), *limits), created_at, revoked_at)
