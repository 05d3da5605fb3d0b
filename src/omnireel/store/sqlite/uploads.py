"""Rows of uploads in SQLite. `store.uploads` describes each method."""

from __future__ import annotations

import hmac
from collections.abc import Sequence

from omnireel.errors import CapacityError, InputError
from omnireel.store.sqlite.database import Connection, Database
from omnireel.store.sqlite.keys import is_alive
from omnireel.store.sqlite.rows import count, select
from omnireel.store.uploads import (
    MAX_ARRIVING_S,
    MAX_OPEN,
    MAX_PARTS,
    MAX_RESERVED,
    FileLimits,
    NewUpload,
    Part,
    StoredFile,
    bad_parts,
    no_room,
    no_room_for_owner,
    not_found,
    token_hash,
    too_large,
)

# Of an upload whose time is over: no part of it is arriving, or the process that received one has died.
_IS_OVER = """(open_until <= ?2 - ?3
               OR NOT EXISTS (SELECT 1 FROM upload_parts WHERE upload_id = uploads.id AND etag IS NULL))"""


class SqliteUploads:
    """An `UploadStore`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def begin(
        self, new: NewUpload, *, upload_id: str, token: str, limits: FileLimits, now: float
    ) -> None:
        """See `UploadStore.begin`."""
        await self._database.write(
            lambda db: _begin(db, new, upload_id=upload_id, token=token, limits=limits, now=now)
        )

    async def check_token(self, upload_id: str, token: str, *, now: float) -> StoredFile | None:
        """See `UploadStore.check_token`."""
        return await self._database.read(lambda db: _check_token(db, upload_id, token, now))

    async def owner_of(self, upload_id: str) -> str:
        """See `UploadStore.owner_of`."""
        return await self._database.read(lambda db: _owner_of(db, upload_id))

    async def begin_part(
        self, upload_id: str, number: int, *, blob: str, num_bytes: int | None, limits: FileLimits
    ) -> int:
        """See `UploadStore.begin_part`."""
        return await self._database.write(
            lambda db: _begin_part(db, upload_id, number, blob=blob, num_bytes=num_bytes, limits=limits)
        )

    async def grow_part(self, blob: str, num_bytes: int, *, limits: FileLimits) -> None:
        """See `UploadStore.grow_part`."""
        await self._database.write(lambda db: _grow_part(db, blob, num_bytes, limits))

    async def end_part(
        self, blob: str, *, num_bytes: int, etag: str, limits: FileLimits, now: float
    ) -> list[str]:
        """See `UploadStore.end_part`."""
        return await self._database.write(
            lambda db: _end_part(db, blob, num_bytes=num_bytes, etag=etag, limits=limits, now=now)
        )

    async def arrived_parts(self, upload_id: str) -> list[Part]:
        """See `UploadStore.arrived_parts`."""
        return await self._database.read(lambda db: _arrived_parts(db, upload_id))

    async def complete(
        self, upload_id: str, *, parts: Sequence[Part], blob: str, etag: str, now: float
    ) -> list[str]:
        """See `UploadStore.complete`."""
        return await self._database.write(
            lambda db: _complete(db, upload_id, parts, blob=blob, etag=etag, now=now)
        )

    def drop_part(self, blob: str) -> None:
        """See `UploadStore.drop_part`."""
        self._database.post(lambda db: select(db, "DELETE FROM upload_parts WHERE blob = ?", (blob,)))

    async def drop(self, upload_id: str) -> list[str]:
        """See `UploadStore.drop`."""
        return await self._database.write(lambda db: _drop(db, upload_id))

    async def find(self, upload_id: str, *, now: float) -> StoredFile | None:
        """See `UploadStore.find`."""
        return await self._database.read(lambda db: _find(db, upload_id, now))

    async def sweep(self, *, now: float) -> list[str]:
        """See `UploadStore.sweep`."""
        return await self._database.write(lambda db: _sweep(db, now))

    async def needed_blobs(self) -> set[str]:
        """See `UploadStore.needed_blobs`."""
        needed = "SELECT blob FROM uploads WHERE blob IS NOT NULL UNION ALL SELECT blob FROM upload_parts"
        return {row[0] for row in await self._database.read(lambda db: select(db, needed))}

    async def num_stored_bytes(self) -> int:
        """See `UploadStore.num_stored_bytes`."""
        return await self._database.read(_num_stored_bytes)


def _begin(
    db: Connection, new: NewUpload, *, upload_id: str, token: str, limits: FileLimits, now: float
) -> None:
    owned = "SELECT count(*) FROM uploads WHERE blob IS NULL AND owner = ?"
    if count(db, owned, (new.owner,)) >= MAX_OPEN:
        raise CapacityError(
            f"{MAX_OPEN} uploads are already open, which is the limit.",
            after_s=60,
            hint="Complete some of them.",
        )
    db.execute(
        """INSERT INTO uploads (id, owner, file_name, content_type, origin, token_hash, created_at,
           open_until, keep_s, key_id) VALUES (?, ?, ?, ?, ?, ?, wall(?), ?, ?, ?)""",
        (
            upload_id, new.owner, new.file_name, new.content_type, new.origin, token_hash(token), now,
            now + min(limits.open_s, limits.first_s), new.keep_s, new.key_id,
        ),
    )  # fmt: skip


def _check_token(db: Connection, upload_id: str, token: str, now: float) -> StoredFile | None:
    rows = select(
        db,
        f"""SELECT token_hash FROM uploads
            WHERE id = ?1 AND (open_until > ?2 OR NOT {_IS_OVER}) AND {is_alive("uploads")}""",
        (upload_id, now, MAX_ARRIVING_S),
    )
    if not rows or not hmac.compare_digest(rows[0][0], token_hash(token)):
        raise not_found()
    return _find(db, upload_id, now)


def _begin_part(
    db: Connection, upload_id: str, number: int, *, blob: str, num_bytes: int | None, limits: FileLimits
) -> int:
    if not 1 <= number <= MAX_PARTS:
        raise bad_parts(f"Part numbers go from 1 to {MAX_PARTS}.", kind="part_number_invalid")
    if not _is_open(db, upload_id):
        raise not_found()
    others = count(
        db,
        """SELECT coalesce(sum(num_bytes), 0) FROM upload_parts
           WHERE upload_id = ? AND number <> ? AND etag IS NOT NULL""",
        (upload_id, number),
    )
    for_file, for_all = limits.max_file_bytes - others, limits.max_total_bytes - _num_stored_bytes(db)
    for_owner = _left_for_owner(db, upload_id, limits)
    room = for_all if for_owner is None else min(for_all, for_owner)
    most = max(0, min(for_file, room)) if num_bytes is None else num_bytes
    if most > for_file:
        raise too_large(limits.max_file_bytes)
    if most > room or (num_bytes is None and room <= 0):
        raise _no_room(limits, is_owner=room < for_all)
    db.execute(
        "INSERT INTO upload_parts (blob, upload_id, number, num_bytes) VALUES (?, ?, ?, ?)",
        (blob, upload_id, number, min(most, MAX_RESERVED)),
    )
    return most


def _owner_of(db: Connection, upload_id: str) -> str:
    rows = select(db, "SELECT owner FROM uploads WHERE id = ?", (upload_id,))
    if not rows:
        raise not_found()
    return str(rows[0][0])


def _left_for_owner(db: Connection, upload_id: str, limits: FileLimits) -> int | None:
    """How many more bytes the account of an upload may store; None: any number."""
    owner = _owner_of(db, upload_id)
    if not owner or limits.max_owner_bytes is None:
        return None
    return limits.max_owner_bytes - count(
        db,
        """SELECT (SELECT coalesce(sum(num_bytes), 0) FROM uploads WHERE owner = ?1)
           + (SELECT coalesce(sum(p.num_bytes), 0) FROM upload_parts AS p JOIN uploads AS u ON u.id = p.upload_id
              WHERE u.owner = ?1)""",
        (owner,),
    )


def _no_room(limits: FileLimits, *, is_owner: bool) -> InputError:
    if is_owner and limits.max_owner_bytes is not None:
        return no_room_for_owner(limits.max_owner_bytes)
    return no_room(limits.max_total_bytes)


def _grow_part(db: Connection, blob: str, num_bytes: int, limits: FileLimits) -> None:
    changed = "UPDATE upload_parts SET num_bytes = ? WHERE blob = ? AND etag IS NULL RETURNING upload_id"
    rows = select(db, changed, (num_bytes, blob))
    if not rows or not _is_open(db, rows[0][0]):
        raise not_found()
    _check_room(db, rows[0][0], limits)


def _check_room(db: Connection, upload_id: str, limits: FileLimits) -> None:
    """Parts that arrive at the same time were each admitted alone. Together they may be too large."""
    if _num_stored_bytes(db) > limits.max_total_bytes:
        raise no_room(limits.max_total_bytes)
    if (_left_for_owner(db, upload_id, limits) or 0) < 0:
        raise _no_room(limits, is_owner=True)


def _end_part(
    db: Connection, blob: str, *, num_bytes: int, etag: str, limits: FileLimits, now: float
) -> list[str]:
    rows = select(
        db,
        "SELECT upload_id, number FROM upload_parts WHERE blob = ?",
        (blob,),
    )
    if not rows or not _is_open(db, rows[0][0]):
        raise not_found()
    older = select(
        db,
        "DELETE FROM upload_parts WHERE upload_id = ? AND number = ? AND etag IS NOT NULL RETURNING blob",
        rows[0],
    )
    db.execute("UPDATE upload_parts SET num_bytes = ?, etag = ? WHERE blob = ?", (num_bytes, etag, blob))
    if sum(part.num_bytes for part in _arrived_parts(db, rows[0][0])) > limits.max_file_bytes:
        raise too_large(limits.max_file_bytes)
    _check_room(db, rows[0][0], limits)
    db.execute("UPDATE uploads SET open_until = ? WHERE id = ?", (now + limits.open_s, rows[0][0]))
    return [row[0] for row in older]


def _arrived_parts(db: Connection, upload_id: str) -> list[Part]:
    rows = select(
        db,
        """SELECT number, blob, num_bytes, etag FROM upload_parts
           WHERE upload_id = ? AND etag IS NOT NULL ORDER BY number""",
        (upload_id,),
    )
    return [Part(*row) for row in rows]


def _complete(
    db: Connection, upload_id: str, parts: Sequence[Part], *, blob: str, etag: str, now: float
) -> list[str]:
    if not _is_open(db, upload_id):
        raise not_found()
    if _arrived_parts(db, upload_id) != list(parts):
        raise bad_parts("A part was sent again while the file was put together.", kind="part_mismatch")
    num_bytes = sum(part.num_bytes for part in parts)
    db.execute(
        "UPDATE uploads SET blob = ?, num_bytes = ?, etag = ?, expires_at = ? + keep_s WHERE id = ?",
        (blob, num_bytes, etag, now, upload_id),
    )
    old = select(db, "DELETE FROM upload_parts WHERE upload_id = ? RETURNING blob", (upload_id,))
    return [row[0] for row in old if row[0] != blob]


def _is_open(db: Connection, upload_id: str) -> bool:
    """Whether further bytes are taken."""
    is_open = f"SELECT 1 FROM uploads WHERE id = ? AND blob IS NULL AND {is_alive('uploads')}"
    return bool(select(db, is_open, (upload_id,)))


def _drop(db: Connection, upload_id: str) -> list[str]:
    blobs = select(
        db,
        """SELECT blob FROM uploads WHERE id = ?1 AND blob IS NOT NULL
           UNION ALL SELECT blob FROM upload_parts WHERE upload_id = ?1""",
        (upload_id,),
    )
    db.execute("DELETE FROM uploads WHERE id = ?", (upload_id,))
    return [row[0] for row in blobs]


def _find(db: Connection, upload_id: str, now: float) -> StoredFile | None:
    rows = select(
        db,
        """SELECT id, owner, file_name, content_type, origin, blob, num_bytes, etag, expires_at
           FROM uploads WHERE id = ? AND expires_at > ?""",
        (upload_id, now),
    )
    return StoredFile(*rows[0]) if rows else None


def _sweep(db: Connection, now: float) -> list[str]:
    db.execute("DELETE FROM cdn_tokens WHERE expires_at <= ?", (now,))
    late = select(
        db,
        f"""SELECT id FROM uploads WHERE blob IS NOT NULL AND expires_at <= ?1
           UNION ALL SELECT id FROM uploads WHERE blob IS NULL AND open_until <= ?1 AND {_IS_OVER}""",
        (now, now, MAX_ARRIVING_S),
    )
    return [blob for row in late for blob in _drop(db, row[0])]


def _num_stored_bytes(db: Connection) -> int:
    return count(
        db,
        """SELECT (SELECT coalesce(sum(num_bytes), 0) FROM uploads)
           + (SELECT coalesce(sum(num_bytes), 0) FROM upload_parts)""",
    )
