"""API keys, their requests and temporary tokens in SQLite. `store.keys` describes each method."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from typing import Any

from omnireel.errors import CapacityError
from omnireel.store.keys import Caller, Grant, Key, KeySpending, month_of
from omnireel.store.sqlite.database import Connection, Database
from omnireel.store.sqlite.rows import count, select

_COLUMNS = """id, account, name, is_admin, max_per_minute, max_unfinished, cap_micro, monthly_cap_micro,
created_at, revoked_at"""
_WINDOW_S = 60.0


class SqliteKeys:
    """A `KeyStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, key_id: str, digest: bytes, grant: Grant, *, now: float) -> Key:
        """See `KeyStore.create`."""
        return await self._database.write(lambda db: _create(db, key_id, digest, grant, now))

    async def check(self, key_id: str, digest: bytes) -> Key | None:
        """See `KeyStore.check`."""
        return await self._database.read(lambda db: _check(db, key_id, digest))

    async def find(self, key_id: str) -> Key | None:
        """See `KeyStore.find`."""
        return await self._database.read(lambda db: _valid(find_key(db, key_id)))

    async def all(self, *, now: float) -> list[KeySpending]:
        """See `KeyStore.all`."""
        return await self._database.read(lambda db: _all(db, now))

    async def revoke(self, key_id: str, *, now: float) -> KeySpending | None:
        """See `KeyStore.revoke`."""
        return await self._database.write(lambda db: _revoke(db, key_id, now))

    async def count_request(self, key: Key, *, now: float) -> None:
        """See `KeyStore.count_request`."""
        limit = key.grant.max_per_minute
        if limit is not None:
            await self._database.write(lambda db: _count_request(db, key.id, limit, now))

    async def check_failed_clips(self, key: Key, max_failed: int, *, now: float) -> None:
        """See `KeyStore.check_failed_clips`."""
        rows = await self._database.read(
            lambda db: select(
                db,
                """SELECT at FROM failed_clips WHERE key_id = ? AND at > ?
                   ORDER BY at DESC LIMIT 1 OFFSET ?""",
                (key.id, now - _WINDOW_S, max_failed - 1),
            )
        )
        if rows:
            raise CapacityError(
                f"{max_failed} clips of this key could not be used within the last minute.",
                after_s=rows[0][0] + _WINDOW_S - now,
                kind="rate_limited",
            )

    async def count_failed_clip(self, key: Key, *, now: float) -> None:
        """See `KeyStore.count_failed_clip`."""
        await self._database.write(lambda db: count_failed_clip(db, key.id, now))

    async def add_token(self, token_hash: bytes, holder: Caller, *, expires_at: float) -> None:
        """See `KeyStore.add_token`."""
        added = "INSERT INTO cdn_tokens (token_hash, owner, key_id, expires_at) VALUES (?, ?, ?, ?)"
        values = (token_hash, holder.account, holder.key_id, expires_at)
        await self._database.write(lambda db: select(db, added, values))

    async def token_holder(self, token_hash: bytes, *, now: float) -> Caller | None:
        """See `KeyStore.token_holder`."""
        known = f"""SELECT owner, key_id FROM cdn_tokens
                    WHERE token_hash = ? AND expires_at > ? AND {is_alive("cdn_tokens")}"""
        rows = await self._database.read(lambda db: select(db, known, (token_hash, now)))
        return Caller(*rows[0]) if rows else None


def is_alive(table: str) -> str:
    """The condition that the key in the column key_id of a table was not revoked; '' means no key."""
    valid = f"SELECT 1 FROM keys WHERE keys.id = {table}.key_id AND keys.revoked_at IS NULL"
    return f"({table}.key_id = '' OR EXISTS ({valid}))"


def find_key(db: Connection, key_id: str) -> Key | None:
    """The key with this id, even if it was revoked."""
    rows = select(db, f"SELECT {_COLUMNS} FROM keys WHERE id = ?", (key_id,))
    return _read(rows[0]) if rows else None


def count_failed_clip(db: Connection, key_id: str, now: float) -> None:
    """Count a clip of a key that could not be used."""
    db.execute("DELETE FROM failed_clips WHERE at <= ?", (now - _WINDOW_S,))
    db.execute("INSERT INTO failed_clips VALUES (?, ?)", (key_id, now))


def spent_micro(db: Connection, key_id: str, *, month: str = "") -> int:
    """What a key was charged, in millionths of a US dollar. month: like 2026-01; "" for all time"""
    return count(
        db,
        "SELECT coalesce(sum(amount_micro), 0) FROM spending WHERE key_id = ? AND month LIKE ? || '%'",
        (key_id, month),
    )


def _create(db: Connection, key_id: str, digest: bytes, grant: Grant, now: float) -> Key:
    db.execute(
        f"INSERT INTO keys ({_COLUMNS}, secret_hmac) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, ?)",
        (
            key_id, grant.account or key_id, grant.name, int(grant.is_admin), grant.max_per_minute,
            grant.max_unfinished, grant.cap_micro, grant.monthly_cap_micro, now, digest,
        ),
    )  # fmt: skip
    key = find_key(db, key_id)
    assert key is not None
    return key


def _check(db: Connection, key_id: str, digest: bytes) -> Key | None:
    rows = select(db, "SELECT secret_hmac FROM keys WHERE id = ?", (key_id,))
    # An unknown id takes as long as a wrong secret, so that timing does not reveal which ids exist.
    stored = rows[0][0] if rows else bytes(len(digest))
    is_right = hmac.compare_digest(stored, digest)
    return _valid(find_key(db, key_id)) if rows and is_right else None


def _valid(key: Key | None) -> Key | None:
    return None if key is None or key.revoked_at is not None else key


def _all(db: Connection, now: float) -> list[KeySpending]:
    keys = select(db, f"SELECT {_COLUMNS} FROM keys ORDER BY created_at, id")
    return [_spending(db, _read(row), now) for row in keys]


def _revoke(db: Connection, key_id: str, now: float) -> KeySpending | None:
    db.execute("UPDATE keys SET revoked_at = ? WHERE id = ? AND revoked_at IS NULL", (now, key_id))
    key = find_key(db, key_id)
    return None if key is None else _spending(db, key, now)


def _spending(db: Connection, key: Key, now: float) -> KeySpending:
    return KeySpending(key, spent_micro(db, key.id), spent_micro(db, key.id, month=month_of(now)))


def _count_request(db: Connection, key_id: str, limit: int, now: float) -> None:
    # Times far in the future come from versions that followed the wall clock. They must not count against the key.
    db.execute("DELETE FROM key_requests WHERE at <= ? OR at > ?", (now - _WINDOW_S, now + _WINDOW_S))
    earlier = "SELECT at FROM key_requests WHERE key_id = ? ORDER BY at DESC LIMIT 1 OFFSET ?"
    rows = select(db, earlier, (key_id, limit - 1))
    if rows:
        raise CapacityError(
            f"This key has reached its limit of {limit} requests a minute.",
            after_s=rows[0][0] + _WINDOW_S - now,
            kind="rate_limited",
        )
    db.execute("INSERT INTO key_requests VALUES (?, ?)", (key_id, now))


def _read(row: Sequence[Any]) -> Key:
    key_id, account, name, is_admin, *limits, created_at, revoked_at = row
    return Key(key_id, account, Grant(account, name, bool(is_admin), *limits), created_at, revoked_at)
