"""Files that callers send: rows in the store, bytes on the disk, and the order in which the two change."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import structlog

from omnireel.errors import CapacityError, OmnireelError
from omnireel.storage.local_blobs import Blobs, Written, digest_of
from omnireel.store.sqlite import cdn_tokens, uploads
from omnireel.store.sqlite.database import Database
from omnireel.store.sqlite.uploads import FileLimits, NewUpload, Part, StoredFile
from omnireel.store.upload_errors import bad_parts, too_large

log = structlog.get_logger()

ID_BYTES = 24  # 32 characters in an address
_CDN_TOKEN_S = 3600.0
_SWEEP_S = 1.0
# Listing a directory costs more the more is in it, and nothing waits for what is found.
_TIDY_S = 60.0
_GARBAGE_S = 600.0


@dataclass(frozen=True)
class Opened:
    """An upload that waits for its bytes; token lets its holder send them, and nobody else."""

    id: str
    token: str


@dataclass(frozen=True)
class CdnToken:
    """Stands for its owner until expires_at."""

    text: str
    expires_at: float


@dataclass(frozen=True)
class Files:
    """What this deployment stores for its callers.

    Raises InputError as `uploads` does, CapacityError where the disk or the store cannot take more.
    """

    database: Database
    blobs: Blobs
    limits: FileLimits
    clock: Callable[[], float] = time.time

    async def begin(self, new: NewUpload) -> Opened:
        """Open an upload; it is forgotten unless its bytes come in time."""
        opened = Opened(secrets.token_urlsafe(ID_BYTES), secrets.token_urlsafe(ID_BYTES))
        begin = partial(
            uploads.begin,
            new=new,
            upload_id=opened.id,
            token=opened.token,
            limits=self.limits,
            now=self.clock(),
        )
        await self.database.write(begin)
        return opened

    async def receive(
        self, upload_id: str, token: str, chunks: AsyncIterator[bytes], *, num_bytes: int | None
    ) -> StoredFile:
        """Take a whole file at once. Sent again as it was, it is taken again; otherwise refused."""
        file = await self._check_token(upload_id, token)
        if file is not None:
            other = bad_parts("this upload is complete, and has other bytes", kind="upload_is_complete")
            if await digest_of(chunks, max_bytes=file.num_bytes, beyond=other) != file.etag:
                raise other
            return file
        await self._receive(upload_id, 1, chunks, num_bytes)
        return await self.complete(upload_id, token, [(1, None)])

    async def receive_part(
        self, upload_id: str, token: str, number: int, chunks: AsyncIterator[bytes], *, num_bytes: int | None
    ) -> str:
        """Take one part; num_bytes: as announced, if it was. Returns its etag."""
        if await self._check_token(upload_id, token) is not None:
            raise bad_parts("this upload is complete", kind="upload_is_complete")
        return (await self._receive(upload_id, number, chunks, num_bytes)).sha256

    async def complete(
        self, upload_id: str, token: str, listed: Sequence[tuple[int | None, str | None]]
    ) -> StoredFile:
        """Make one file of the parts that have arrived; again, when asked again. listed: `chosen_parts`."""
        file = await self._check_token(upload_id, token)
        if file is not None:
            return file
        arrived = await self.database.read(partial(uploads.arrived_parts, upload_id=upload_id))
        parts = uploads.chosen_parts(arrived, listed)
        blob = parts[0].blob if len(parts) == 1 else await self._join(parts)
        complete = partial(
            uploads.complete,
            upload_id=upload_id,
            parts=parts,
            blob=blob,
            etag=_etag(parts),
            now=self.clock(),
        )
        try:
            old = await self.database.write(complete)
        except OmnireelError:  # whatever else happens, the row may name the blob: it is swept if not
            if len(parts) > 1:
                self.blobs.remove([blob])
            raise
        await asyncio.to_thread(self.blobs.remove, old)
        return await self._stored(upload_id)

    async def abandon(self, upload_id: str) -> None:
        """Forget an upload that went wrong."""
        self.blobs.remove(await self.database.write(partial(uploads.drop, upload_id=upload_id)))

    async def find(self, file_id: str) -> StoredFile | None:
        """A complete file that has not expired. Whoever asks has to look whose it is."""
        return await self.database.read(partial(uploads.find, upload_id=file_id, now=self.clock()))

    def file(self, stored: StoredFile) -> AbstractAsyncContextManager[Path]:
        """Its bytes as a file of this machine. Raises FileNotFoundError if it has expired meanwhile."""
        return self.blobs.file(stored.blob)

    async def hard_link(self, file: StoredFile, target: Path) -> None:
        """Give its bytes a second name, whose end is not theirs. Raises FileNotFoundError as `open`."""
        await asyncio.to_thread(self.blobs.hard_link, file.blob, target)

    async def issue_cdn_token(self, owner: str) -> CdnToken:
        """A new token for an account."""
        token = CdnToken(secrets.token_urlsafe(ID_BYTES), self.clock() + _CDN_TOKEN_S)
        add = partial(cdn_tokens.add, token=token.text, owner=owner, expires_at=token.expires_at)
        await self.database.write(add)
        return token

    async def owner_of_cdn_token(self, text: str) -> str | None:
        """Whom a token stands for, if it is one."""
        return await self.database.read(partial(cdn_tokens.owner_of, token=text, now=self.clock()))

    async def sweep(self) -> None:
        """Delete what has expired, and what was begun and left."""
        blobs = await self.database.write(partial(uploads.sweep, now=self.clock()))
        await asyncio.to_thread(self.blobs.remove, blobs)

    async def tidy(self) -> None:
        """Delete what no row names."""
        needed = await self.database.read(uploads.blobs)
        await asyncio.to_thread(self.blobs.keep_only, needed, older_than_s=_GARBAGE_S)

    async def sweep_for_ever(self) -> None:
        """Sweep again and again; what stands in the way today may be gone tomorrow."""
        tidy_at = self.clock()
        while True:
            try:
                await self.sweep()
                if self.clock() >= tidy_at:
                    await self.tidy()
                    tidy_at = self.clock() + _TIDY_S
            except (CapacityError, OSError) as error:
                log.error("expired files cannot be deleted", error=str(error))
            await asyncio.sleep(_SWEEP_S)

    async def _check_token(self, upload_id: str, token: str) -> StoredFile | None:
        check = partial(uploads.check_token, upload_id=upload_id, token=token, now=self.clock())
        return await self.database.read(check)

    async def _receive(
        self, upload_id: str, number: int, chunks: AsyncIterator[bytes], num_bytes: int | None
    ) -> Written:
        blob = secrets.token_hex(16)
        begin = partial(
            uploads.begin_part,
            upload_id=upload_id,
            number=number,
            blob=blob,
            num_bytes=num_bytes,
            limits=self.limits,
        )
        try:
            max_bytes = await self.database.write(begin)
            beyond = too_large(self.limits.max_file_bytes)
            written = await self.blobs.write(blob, chunks, max_bytes=max_bytes, beyond=beyond)
            end = partial(
                uploads.end_part,
                blob=blob,
                num_bytes=written.num_bytes,
                etag=written.sha256,
                limits=self.limits,
                now=self.clock(),
            )
            replaced = await self.database.write(end)
        except BaseException as error:
            self.database.post(partial(uploads.drop_part, blob=blob))  # nobody may be left to wait for it
            if isinstance(error, OmnireelError):  # as in `complete`
                self.blobs.remove([blob])
            raise
        await asyncio.to_thread(self.blobs.remove, replaced)
        return written

    async def _join(self, parts: Sequence[Part]) -> str:
        blob = secrets.token_hex(16)
        try:
            await self.blobs.join(blob, [part.blob for part in parts])
        except FileNotFoundError:
            raise bad_parts("a part was sent again meanwhile", kind="part_mismatch") from None
        return blob

    async def _stored(self, upload_id: str) -> StoredFile:
        file = await self.find(upload_id)
        if file is None:
            raise bad_parts("the file has expired", kind="file_expired")
        return file


def _etag(parts: Sequence[Part]) -> str:
    """Of the whole file; one of several parts is not hashed again, as object stores do it."""
    if len(parts) == 1:
        return parts[0].etag
    digest = hashlib.sha256("".join(part.etag for part in parts).encode())
    return f"{digest.hexdigest()}-{len(parts)}"
