"""Every way an upload changes, each in one transaction of its caller.

Functions of a connection and the time, as `store`; the bytes are in `blobs`. A blob's name is written here
before its file is made and forgotten here before its file is deleted, so a file without a row is garbage.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from dataclasses import dataclass

from omnireel.errors import CapacityError
from omnireel.store.sqlite.cdn_tokens import hash_of
from omnireel.store.sqlite.database import Connection
from omnireel.store.sqlite.rows import count, select
from omnireel.store.upload_errors import bad_parts, no_room, not_found, too_large

MAX_PARTS = 10_000
MAX_OPEN = 1000  # uploads of one owner that have begun and not ended


@dataclass(frozen=True)
class FileLimits:
    """How much may be stored.

    max_file_bytes:  largest file
    max_total_bytes: all files and parts together
    open_s:          how long an upload may go without a new part
    """

    max_file_bytes: int
    max_total_bytes: int
    open_s: float


@dataclass(frozen=True)
class NewUpload:
    """What its owner says of a file before sending it.

    origin: scheme and host of the address that will be given out
    keep_s: seconds from its completion until it is deleted
    """

    owner: str
    file_name: str
    content_type: str
    origin: str
    keep_s: float


@dataclass(frozen=True)
class StoredFile:
    """A complete upload; blob names its bytes."""

    id: str
    owner: str
    file_name: str
    content_type: str
    origin: str
    blob: str
    num_bytes: int
    etag: str
    expires_at: float


@dataclass(frozen=True)
class Part:
    """A part that has arrived."""

    number: int
    blob: str
    num_bytes: int
    etag: str


def begin(
    db: Connection, new: NewUpload, *, upload_id: str, token: str, limits: FileLimits, now: float
) -> None:
    """Store an upload that waits for its bytes. Raises CapacityError where its owner has too many."""
    owned = "SELECT count(*) FROM uploads WHERE blob IS NULL AND owner = ?"
    if count(db, owned, (new.owner,)) >= MAX_OPEN:
        raise CapacityError(f"{MAX_OPEN} uploads are open already", after_s=60, hint="complete some")
    db.execute(
        """INSERT INTO uploads (id, owner, file_name, content_type, origin, token_hash, created_at,
           open_until, keep_s) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)""",
        (
            upload_id, new.owner, new.file_name, new.content_type, new.origin, hash_of(token), now,
            now + limits.open_s, new.keep_s,
        ),
    )  # fmt: skip


def check_token(db: Connection, upload_id: str, token: str, *, now: float) -> StoredFile | None:
    """The file, where the upload is complete already; None where it still waits for bytes.

    Raises InputError, upload_not_found, where the token does not belong to it or came too late.
    """
    rows = select(db, "SELECT token_hash FROM uploads WHERE id = ? AND open_until > ?", (upload_id, now))
    if not rows or not hmac.compare_digest(rows[0][0], hash_of(token)):
        raise not_found()
    return find(db, upload_id, now=now)


def begin_part(
    db: Connection, upload_id: str, number: int, *, blob: str, num_bytes: int | None, limits: FileLimits
) -> int:
    """Reserve room for a part. Returns how many bytes it may have at most.

    num_bytes: as announced; where nothing was, a whole file's worth is reserved, or what is left
    Raises InputError: file_too_large, quota_exceeded, part_number_invalid, upload_not_found.
    """
    if not 1 <= number <= MAX_PARTS:
        raise bad_parts(f"part numbers go from 1 to {MAX_PARTS}", kind="part_number_invalid")
    if not select(db, "SELECT 1 FROM uploads WHERE id = ? AND blob IS NULL", (upload_id,)):
        raise not_found()
    others = count(
        db,
        """SELECT coalesce(sum(num_bytes), 0) FROM upload_parts
           WHERE upload_id = ? AND number <> ? AND etag IS NOT NULL""",
        (upload_id, number),
    )
    for_file, for_all = limits.max_file_bytes - others, limits.max_total_bytes - num_stored_bytes(db)
    most = max(0, min(for_file, for_all)) if num_bytes is None else num_bytes
    if most > for_file:
        raise too_large(limits.max_file_bytes)
    if most > for_all or (num_bytes is None and for_all <= 0):
        raise no_room(limits.max_total_bytes)
    db.execute(
        "INSERT INTO upload_parts (blob, upload_id, number, num_bytes) VALUES (?, ?, ?, ?)",
        (blob, upload_id, number, most),
    )
    return most


def end_part(
    db: Connection, blob: str, *, num_bytes: int, etag: str, limits: FileLimits, now: float
) -> list[str]:
    """A part has arrived. Returns the blobs that it replaces.

    Raises InputError: upload_not_found where the upload has ended meanwhile, file_too_large, quota_exceeded.
    """
    rows = select(
        db,
        """SELECT upload_id, number FROM upload_parts WHERE blob = ?
           AND (SELECT uploads.blob FROM uploads WHERE id = upload_id) IS NULL""",
        (blob,),
    )
    if not rows:
        raise not_found()
    older = select(
        db,
        "DELETE FROM upload_parts WHERE upload_id = ? AND number = ? AND etag IS NOT NULL RETURNING blob",
        rows[0],
    )
    db.execute("UPDATE upload_parts SET num_bytes = ?, etag = ? WHERE blob = ?", (num_bytes, etag, blob))
    if sum(part.num_bytes for part in arrived_parts(db, rows[0][0])) > limits.max_file_bytes:
        raise too_large(limits.max_file_bytes)
    if num_stored_bytes(db) > limits.max_total_bytes:
        raise no_room(limits.max_total_bytes)
    db.execute("UPDATE uploads SET open_until = ? WHERE id = ?", (now + limits.open_s, rows[0][0]))
    return [row[0] for row in older]


def drop_part(db: Connection, blob: str) -> None:
    """Its bytes did not come."""
    db.execute("DELETE FROM upload_parts WHERE blob = ?", (blob,))


def drop(db: Connection, upload_id: str) -> list[str]:
    """Forget an upload. Returns the blobs to delete."""
    blobs = select(
        db,
        """SELECT blob FROM uploads WHERE id = ?1 AND blob IS NOT NULL
           UNION ALL SELECT blob FROM upload_parts WHERE upload_id = ?1""",
        (upload_id,),
    )
    db.execute("DELETE FROM uploads WHERE id = ?", (upload_id,))
    return [row[0] for row in blobs]


def arrived_parts(db: Connection, upload_id: str) -> list[Part]:
    """Parts that are on the disk, by number."""
    rows = select(
        db,
        """SELECT number, blob, num_bytes, etag FROM upload_parts
           WHERE upload_id = ? AND etag IS NOT NULL ORDER BY number""",
        (upload_id,),
    )
    return [Part(*row) for row in rows]


def complete(
    db: Connection, upload_id: str, parts: Sequence[Part], *, blob: str, etag: str, now: float
) -> list[str]:
    """An upload's file is on the disk as `blob`, made of `parts`. Returns the blobs to delete.

    Raises InputError: upload_not_found, part_mismatch where a part was sent anew meanwhile.
    """
    if not select(db, "SELECT 1 FROM uploads WHERE id = ? AND blob IS NULL", (upload_id,)):
        raise not_found()
    if arrived_parts(db, upload_id) != list(parts):
        raise bad_parts("a part was sent again while the file was put together", kind="part_mismatch")
    num_bytes = sum(part.num_bytes for part in parts)
    db.execute(
        "UPDATE uploads SET blob = ?, num_bytes = ?, etag = ?, expires_at = ? + keep_s WHERE id = ?",
        (blob, num_bytes, etag, now, upload_id),
    )
    old = select(db, "DELETE FROM upload_parts WHERE upload_id = ? RETURNING blob", (upload_id,))
    return [row[0] for row in old if row[0] != blob]


def find(db: Connection, upload_id: str, *, now: float) -> StoredFile | None:
    """A complete file that has not expired, whoever owns it."""
    rows = select(
        db,
        """SELECT id, owner, file_name, content_type, origin, blob, num_bytes, etag, expires_at
           FROM uploads WHERE id = ? AND expires_at > ?""",
        (upload_id, now),
    )
    return StoredFile(*rows[0]) if rows else None


def sweep(db: Connection, *, now: float) -> list[str]:
    """Forget files that have expired, uploads that nobody goes on with, and old tokens.

    Returns the blobs to delete. A job has its own hold on the bytes that it needs.
    """
    db.execute("DELETE FROM cdn_tokens WHERE expires_at <= ?", (now,))
    late = select(
        db,
        """SELECT id FROM uploads WHERE blob IS NOT NULL AND expires_at <= ?1
           UNION ALL SELECT id FROM uploads WHERE blob IS NULL AND open_until <= ?1""",
        (now,),
    )
    return [blob for row in late for blob in drop(db, row[0])]


def blobs(db: Connection) -> set[str]:
    """Names of all the bytes that are needed."""
    known = "SELECT blob FROM uploads WHERE blob IS NOT NULL UNION ALL SELECT blob FROM upload_parts"
    return {row[0] for row in db.execute(known)}


def num_stored_bytes(db: Connection) -> int:
    """Bytes of all files and parts, announced ones included."""
    return count(
        db,
        """SELECT (SELECT coalesce(sum(num_bytes), 0) FROM uploads)
           + (SELECT coalesce(sum(num_bytes), 0) FROM upload_parts)""",
        (),
    )


def chosen_parts(arrived: Sequence[Part], listed: Sequence[tuple[int | None, str | None]]) -> list[Part]:
    """The parts of the whole file in order, if what arrived is what the sender lists.

    listed: number and etag of each part in any order; a part without them is known by its arrival alone
    Raises InputError: part_missing, part_mismatch.
    """
    etags = {part.number: part.etag for part in arrived}
    expected = set(range(1, max(len(arrived), len(listed)) + 1))
    numbers = {number for number, _ in listed if number is not None}
    missing = sorted((expected | numbers) - set(etags))
    if missing or not arrived:
        raise bad_parts(f"part {missing[0] if missing else 1} has not arrived", kind="part_missing")
    if len(listed) != len(arrived):
        raise bad_parts(f"{len(arrived)} parts arrived, {len(listed)} are listed", kind="part_mismatch")
    if numbers and (numbers != expected or len(numbers) != len(listed)):
        raise bad_parts("a part is listed twice", kind="part_mismatch")
    for number, etag in listed:
        if number is not None and etag is not None and etag.strip('"') != etags[number]:
            raise bad_parts(f"part {number} arrived with another etag", kind="part_mismatch")
    return list(arrived)
