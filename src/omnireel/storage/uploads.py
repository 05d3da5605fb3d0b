"""The life cycle of uploads: rows in the store, bytes in the blob store, and the order in which they change."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import structlog

from omnireel.errors import CapacityError, OmnireelError
from omnireel.shares import FairShares
from omnireel.storage.blob_store import BlobStore, Written
from omnireel.storage.local_blobs import digest_of
from omnireel.store.keys import Caller
from omnireel.store.store import Store
from omnireel.store.uploads import (
    MAX_RESERVED,
    FileLimits,
    NewUpload,
    Part,
    StoredFile,
    bad_parts,
    chosen_parts,
    token_hash,
    too_large,
)

log = structlog.get_logger()

ID_BYTES = 24  # 32 characters in an address
_CDN_TOKEN_S = 3600.0
# Pieces of uploads that are hashed or written at a time.
_MAX_TAKEN = 4
_SWEEP_S = 1.0
# Garbage is collected less often, because it lists all blobs and nothing waits for it.
_COLLECT_S = 60.0
# Newer blobs may belong to an upload whose row is not visible yet.
_GARBAGE_S = 600.0


@dataclass(frozen=True)
class Opened:
    """An upload that waits for its bytes. token: allows its holder to send them"""

    id: str
    token: str


@dataclass(frozen=True)
class CdnToken:
    """A temporary token for an account. expires_at: on the wall clock, in Unix seconds"""

    text: str
    expires_at: float


@dataclass(frozen=True)
class Uploads:
    """The files that callers upload.

    turns: to take pieces of uploads that have arrived
    clock: gives store time
    Raises InputError as `UploadStore` does, CapacityError if the disk or the store is full.
    """

    store: Store
    blobs: BlobStore
    limits: FileLimits
    clock: Callable[[], float]
    turns: FairShares = field(default_factory=lambda: FairShares(_MAX_TAKEN))
    _joining: dict[str, asyncio.Task[StoredFile]] = field(default_factory=dict, init=False)

    async def begin(self, new: NewUpload) -> Opened:
        """Open an upload. It is deleted if its bytes do not arrive in time."""
        self.blobs.check_room()
        opened = Opened(secrets.token_urlsafe(ID_BYTES), secrets.token_urlsafe(ID_BYTES))
        await self.store.uploads.begin(
            new, upload_id=opened.id, token=opened.token, limits=self.limits, now=self.clock()
        )
        return opened

    async def receive(
        self, upload_id: str, token: str, chunks: AsyncIterator[bytes], *, num_bytes: int | None
    ) -> StoredFile:
        """Receive a whole file. The same bytes may be sent again; other bytes are refused."""
        file = await self._check_token(upload_id, token)
        if file is not None:
            other = bad_parts("This upload is complete and has other bytes.", kind="upload_is_complete")
            async with aclosing(self._in_turn(file.owner, chunks)) as taken:
                if await digest_of(taken, max_bytes=file.num_bytes, beyond=other) != file.etag:
                    raise other
            return file
        await self._receive(upload_id, 1, chunks, num_bytes)
        return await self.complete(upload_id, token, [(1, None)])

    async def receive_part(
        self, upload_id: str, token: str, number: int, chunks: AsyncIterator[bytes], *, num_bytes: int | None
    ) -> str:
        """Receive one part. num_bytes: the announced size, or None. Returns its etag."""
        if await self._check_token(upload_id, token) is not None:
            raise bad_parts("This upload is complete.", kind="upload_is_complete")
        return (await self._receive(upload_id, number, chunks, num_bytes)).sha256

    async def complete(
        self, upload_id: str, token: str, listed: Sequence[tuple[int | None, str | None]]
    ) -> StoredFile:
        """Make one file of the parts that have arrived. Repeating the call is harmless. listed: see `chosen_parts`"""
        file = await self._check_token(upload_id, token)
        if file is not None:
            return file
        parts = chosen_parts(await self.store.uploads.arrived_parts(upload_id), listed)
        joining = self._joining.get(upload_id)
        if joining is None:
            joining = self._joining[upload_id] = asyncio.create_task(self._complete(upload_id, parts))
            joining.add_done_callback(partial(self._joined, upload_id))
        return await asyncio.shield(joining)

    def _joined(self, upload_id: str, joining: asyncio.Task[StoredFile]) -> None:
        del self._joining[upload_id]
        if not joining.cancelled():
            joining.exception()  # all callers may have left

    async def _complete(self, upload_id: str, parts: Sequence[Part]) -> StoredFile:
        """Only one call for an upload puts its parts together: each would write the whole file again."""
        blob = parts[0].blob if len(parts) == 1 else await self._join(parts)
        try:
            old = await self.store.uploads.complete(
                upload_id, parts=parts, blob=blob, etag=_etag(parts), now=self.clock()
            )
        except (
            OmnireelError
        ):  # after other exceptions the row may name the blob; if not, it is collected as garbage
            if len(parts) > 1:
                await self.blobs.remove([blob])
            raise
        await self.blobs.remove(old)
        return await self._stored(upload_id)

    async def abandon(self, upload_id: str) -> None:
        """Delete an upload or a stored file."""
        await self.blobs.remove(await self.store.uploads.drop(upload_id))

    async def find(self, file_id: str) -> StoredFile | None:
        """A complete file that has not expired, of any owner. The caller checks who may read it."""
        return await self.store.uploads.find(file_id, now=self.clock())

    def file(self, stored: StoredFile) -> AbstractAsyncContextManager[Path]:
        """A file on this machine with its bytes. Raises FileNotFoundError if it has expired meanwhile."""
        return self.blobs.file(stored.blob)

    async def link_to(self, stored: StoredFile, blobs: BlobStore, name: str) -> None:
        """Store its bytes as a blob of another blob store, where they stay when the upload expires.

        Raises FileNotFoundError as `file`.
        """
        async with self.file(stored) as path:
            await blobs.put_file(name, path)

    async def issue_cdn_token(self, holder: Caller) -> CdnToken:
        """A new token for a caller."""
        token = CdnToken(secrets.token_urlsafe(ID_BYTES), time.time() + _CDN_TOKEN_S)
        expires_at = self.clock() + _CDN_TOKEN_S
        await self.store.keys.add_token(token_hash(token.text), holder, expires_at=expires_at)
        return token

    async def holder_of_cdn_token(self, text: str) -> Caller | None:
        """Whom a token was made for; None if it is not valid."""
        return await self.store.keys.token_holder(token_hash(text), now=self.clock())

    async def sweep(self) -> None:
        """Delete files that have expired and uploads that were not finished in time."""
        await self.blobs.remove(await self.store.uploads.sweep(now=self.clock()))

    async def collect_garbage(self) -> None:
        """Delete blobs that no row names."""
        await self.blobs.keep_only(await self.store.uploads.needed_blobs(), older_than_s=_GARBAGE_S)

    async def sweep_for_ever(self) -> None:
        """Sweep and collect garbage at intervals. A failure is logged, and the next round tries again."""
        collect_at = self.clock()
        while True:
            try:
                await self.sweep()
                if self.clock() >= collect_at:
                    await self.collect_garbage()
                    collect_at = self.clock() + _COLLECT_S
            except (CapacityError, OSError) as error:
                log.error("expired files cannot be deleted", error=str(error))
            await asyncio.sleep(_SWEEP_S)

    async def _check_token(self, upload_id: str, token: str) -> StoredFile | None:
        return await self.store.uploads.check_token(upload_id, token, now=self.clock())

    async def _receive(
        self, upload_id: str, number: int, chunks: AsyncIterator[bytes], num_bytes: int | None
    ) -> Written:
        blob, rows = secrets.token_hex(16), self.store.uploads
        self.blobs.check_room(num_bytes or 1)
        try:
            max_bytes = await rows.begin_part(
                upload_id, number, blob=blob, num_bytes=num_bytes, limits=self.limits
            )
            beyond = too_large(self.limits.max_file_bytes)
            owner = await rows.owner_of(upload_id)
            async with aclosing(self._in_turn(owner, self._reserving(blob, chunks, max_bytes))) as taken:
                written = await self.blobs.write(
                    blob, taken, num_bytes=num_bytes, max_bytes=max_bytes, beyond=beyond
                )
            replaced = await rows.end_part(
                blob, num_bytes=written.num_bytes, etag=written.sha256, limits=self.limits, now=self.clock()
            )
        except BaseException as error:
            rows.drop_part(blob)  # not awaited: this task may be cancelled
            if isinstance(error, OmnireelError):  # after any other exception the row may name the blob
                await self.blobs.remove([blob])
            raise
        await self.blobs.remove(replaced)
        return written

    async def _in_turn(self, owner: str, chunks: AsyncIterator[bytes]) -> AsyncGenerator[bytes]:
        """The same bytes. Accounts share the turns to hash and write some; a client that sends slowly has none."""
        async for chunk in chunks:
            async with self.turns.turn(owner, cost=max(1, len(chunk))):
                yield chunk

    async def _reserving(
        self, blob: str, chunks: AsyncIterator[bytes], max_bytes: int
    ) -> AsyncIterator[bytes]:
        """The same bytes. Space is reserved as they come, so that an announcement alone takes little."""
        num_bytes, num_reserved = 0, MAX_RESERVED
        async for chunk in chunks:
            num_bytes += len(chunk)
            if num_reserved < min(num_bytes, max_bytes):
                num_reserved = min(2 * num_reserved, max_bytes)
                await self.store.uploads.grow_part(blob, num_reserved, limits=self.limits)
            yield chunk

    async def _join(self, parts: Sequence[Part]) -> str:
        blob = secrets.token_hex(16)
        try:
            await self.blobs.join(blob, [part.blob for part in parts])
        except FileNotFoundError:
            raise bad_parts("A part was sent again meanwhile.", kind="part_mismatch") from None
        return blob

    async def _stored(self, upload_id: str) -> StoredFile:
        file = await self.find(upload_id)
        if file is None:
            raise bad_parts("The file has expired.", kind="file_expired")
        return file


def _etag(parts: Sequence[Part]) -> str:
    """The etag of the whole file. A file of several parts is not hashed again, as in object stores."""
    if len(parts) == 1:
        return parts[0].etag
    digest = hashlib.sha256("".join(part.etag for part in parts).encode())
    return f"{digest.hexdigest()}-{len(parts)}"
