"""Uploads: open until all bytes have arrived, then stored files."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from omnireel.errors import InputError

MAX_PARTS = 10_000
MAX_RESERVED = 16 * 1024 * 1024
# A part whose process died keeps its upload for so much longer.
MAX_ARRIVING_S = 3600.0
MAX_OPEN = 1000  # uploads of one owner that have begun and not ended


@dataclass(frozen=True)
class FileLimits:
    """How much may be stored.

    max_file_bytes:  largest file
    max_total_bytes: all files and parts together
    open_s:          how long an upload may go without a new part
    first_s:         how long it may go without its first bytes
    max_owner_bytes: all files and parts of one account; an account without a name has no such limit
    """

    max_file_bytes: int
    max_total_bytes: int
    open_s: float
    first_s: float = 60.0
    max_owner_bytes: int | None = None


@dataclass(frozen=True)
class NewUpload:
    """The description of a file that its owner gives before sending it.

    origin: scheme and host of the file's address
    keep_s: seconds from its completion until it is deleted
    key_id: the key with which it is sent; "" if the server asks for none. Once that key is revoked, no further bytes
            are taken
    """

    owner: str
    file_name: str
    content_type: str
    origin: str
    keep_s: float
    key_id: str = ""


@dataclass(frozen=True)
class StoredFile:
    """A complete upload. blob: name of the blob with its bytes"""

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


class UploadStore(Protocol):
    """Rows of uploads; their bytes are in a BlobStore. `now`: store time, see `Store`.

    A blob's name is stored here before its bytes are written, and deleted here before its bytes are deleted. So a blob
    without a row is garbage.
    """

    async def begin(
        self, new: NewUpload, *, upload_id: str, token: str, limits: FileLimits, now: float
    ) -> None:
        """Store an upload that waits for its bytes. Raises CapacityError if its owner has too many of them."""

    async def check_token(self, upload_id: str, token: str, *, now: float) -> StoredFile | None:
        """The file of an upload that is complete; None if it still waits for bytes.

        Raises InputError(upload_not_found) if the token is wrong or has expired, or its key was revoked.
        """

    async def owner_of(self, upload_id: str) -> str:
        """The account that began an upload. Raises InputError(upload_not_found)."""

    async def begin_part(
        self, upload_id: str, number: int, *, blob: str, num_bytes: int | None, limits: FileLimits
    ) -> int:
        """Reserve space for the beginning of a part. Returns the most bytes that it may have.

        num_bytes: the announced size. If it is None, the part may have the largest size that the limits allow.
        Only MAX_RESERVED are reserved for bytes that have not come; see `grow_part`.
        Raises InputError: file_too_large, quota_exceeded, part_number_invalid, upload_not_found.
        """

    async def grow_part(self, blob: str, num_bytes: int, *, limits: FileLimits) -> None:
        """Reserve space for `num_bytes` of a part in all. Raises InputError(quota_exceeded)."""

    async def end_part(
        self, blob: str, *, num_bytes: int, etag: str, limits: FileLimits, now: float
    ) -> list[str]:
        """Record that a part has arrived. Returns the blobs that it replaces.

        Raises InputError: upload_not_found if the upload has ended meanwhile, file_too_large, quota_exceeded.
        """

    async def arrived_parts(self, upload_id: str) -> list[Part]:
        """The parts that have arrived, in order."""

    async def complete(
        self, upload_id: str, *, parts: Sequence[Part], blob: str, etag: str, now: float
    ) -> list[str]:
        """Make the upload a stored file. Returns the blobs that are not needed any more.

        Raises InputError: upload_not_found, part_mismatch if a part was sent again meanwhile.
        """

    def drop_part(self, blob: str) -> None:
        """Delete a part that did not arrive. Returns before that is stored."""

    async def drop(self, upload_id: str) -> list[str]:
        """Delete an upload. Returns its blobs."""

    async def find(self, upload_id: str, *, now: float) -> StoredFile | None:
        """A complete file that has not expired, of any owner."""

    async def sweep(self, *, now: float) -> list[str]:
        """Delete expired files, uploads that were not finished in time, and expired tokens. Returns their blobs.

        Jobs do not need these blobs: a job has a blob of its own, a hard link to the same bytes.
        """

    async def needed_blobs(self) -> set[str]:
        """Names of all blobs that uploads need."""

    async def num_stored_bytes(self) -> int:
        """Bytes of all files and parts, including what is reserved for parts on their way."""


def token_hash(token: str) -> bytes:
    """The hash that is stored instead of a token. Tokens are long and random, so it needs no salt."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def chosen_parts(arrived: Sequence[Part], listed: Sequence[tuple[int | None, str | None]]) -> list[Part]:
    """The parts of the whole file in order, after comparing those that arrived with the sender's list.

    listed: number and etag of each part in any order; an entry may lack them, and is then only counted
    Raises InputError: part_missing, part_mismatch.
    """
    etags = {part.number: part.etag for part in arrived}
    expected = set(range(1, max(len(arrived), len(listed)) + 1))
    numbers = {number for number, _ in listed if number is not None}
    missing = sorted((expected | numbers) - set(etags))
    if missing or not arrived:
        raise bad_parts(f"Part {missing[0] if missing else 1} has not arrived.", kind="part_missing")
    if len(listed) != len(arrived):
        raise bad_parts(f"{len(arrived)} parts arrived, {len(listed)} are listed.", kind="part_mismatch")
    if numbers and (numbers != expected or len(numbers) != len(listed)):
        raise bad_parts("A part is listed twice.", kind="part_mismatch")
    for number, etag in listed:
        if number is not None and etag is not None and etag.strip('"') != etags[number]:
            raise bad_parts(f"Part {number} arrived with another etag.", kind="part_mismatch")
    return list(arrived)


def not_found() -> InputError:
    """The same error for an unknown upload, a wrong token and an expired one."""
    return InputError(
        "This upload is unknown, or its address has expired.",
        kind="upload_not_found",
        about="upload",
        hint="Begin a new upload.",
    )


def too_large(max_bytes: int) -> InputError:
    """The error for a file with too many bytes."""
    return InputError(
        f"The file is larger than the limit of {max_bytes} bytes.",
        kind="file_too_large",
        ctx={"max_size": max_bytes},
        hint="Send a shorter clip or one of a lower bit rate.",
        about="upload",
    )


def no_room(max_bytes: int) -> InputError:
    """The error for a file that does not fit into the quota."""
    return InputError(
        f"The files stored here would exceed the limit of {max_bytes} bytes.",
        kind="quota_exceeded",
        ctx={"max_size": max_bytes},
        hint="Wait until older files expire, or send the video inside the request.",
        about="upload",
    )


def no_room_for_owner(max_bytes: int) -> InputError:
    """The error for a file that does not fit into its account's quota."""
    return InputError(
        f"The files of this account would exceed its limit of {max_bytes} bytes.",
        kind="quota_exceeded",
        ctx={"max_size": max_bytes},
        hint="Delete files that are not needed any more, or wait until they expire.",
        about="upload",
    )


def bad_parts(message: str, *, kind: str) -> InputError:
    """The error for parts that do not make up a file."""
    return InputError(message, kind=kind, about="parts")
