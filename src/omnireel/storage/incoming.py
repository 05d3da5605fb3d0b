"""The clips of tasks: saved when the job is submitted, or fetched when it runs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from omnireel.storage.blob_store import BlobStore
from omnireel.storage.data_uri import data_uri_pieces, is_data_uri, read_data_uri
from omnireel.storage.media import FetchPolicy, fetch_video
from omnireel.storage.uploads import Uploads
from omnireel.store.uploads import StoredFile

_MAX_SHOWN = 200
# So much is decoded in less time than it takes to hand it to a thread.
_QUICK_CHARACTERS = 256 * 1024


@dataclass(frozen=True)
class IncomingMedia:
    """Gives the file on this machine for the reference of a media part.

    blobs: clips that came in a request or were uploaded here; each is deleted after its job has ended
    """

    blobs: BlobStore
    uploads: Uploads
    policy: FetchPolicy

    async def save(
        self, reference: str, name: str, *, stored: StoredFile | None = None, is_durable: bool = True
    ) -> bool:
        """Save the clip as the blob `name`. Returns False, and saves nothing, if the clip has to be fetched.

        stored:     the uploaded file that the reference names
        is_durable: the blob survives power loss
        Raises InputError: invalid_data_uri, file_too_large; FileNotFoundError if `stored` has expired.
        """
        if stored is not None:
            await self.uploads.link_to(stored, self.blobs, name)
            return True
        if not is_data_uri(reference):
            return False
        if len(reference) <= _QUICK_CHARACTERS:
            content = read_data_uri(reference, self.policy.max_bytes)
            await self.blobs.put(name, content, is_durable=is_durable)
        else:  # decoded beside the event loop, which serves others
            pieces = data_uri_pieces(reference, self.policy.max_bytes)
            await self.blobs.put_pieces(name, pieces, is_durable=is_durable)
        return True

    @asynccontextmanager
    async def file(self, reference: str, name: str | None, *, owner: str) -> AsyncIterator[Path]:
        """The clip, while the context is open.

        name:  of the blob that `save` made; None if it made none, and the clip is fetched for the account `owner`
        Raises InputError as `fetch_video`.
        """
        if name is not None:
            async with self.blobs.file(name) as path:
                yield path
        else:
            egress = replace(self.policy.egress, owner=owner)
            async with fetch_video(reference, replace(self.policy, egress=egress)) as path:
                yield path


def shortened(reference: str) -> str:
    """A reference to store with the task: of a long data: URI, whose clip is saved, only header and length."""
    if len(reference) <= _MAX_SHOWN or not is_data_uri(reference):
        return reference
    header = reference[: reference.find(",", 0, _MAX_SHOWN) + 1] or "data:"
    return f"{header}… ({len(reference)} characters)"
