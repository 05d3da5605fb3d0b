"""The store in one SQLite file. Several processes of one machine may have it open."""

from __future__ import annotations

from pathlib import Path

from omnireel.store.jobs import JobStore
from omnireel.store.keys import KeyStore
from omnireel.store.sqlite.database import Database
from omnireel.store.sqlite.jobs import SqliteJobs
from omnireel.store.sqlite.keys import SqliteKeys
from omnireel.store.sqlite.uploads import SqliteUploads
from omnireel.store.sqlite.usage import SqliteUsage
from omnireel.store.sqlite.webhooks import SqliteWebhooks
from omnireel.store.uploads import UploadStore
from omnireel.store.usage import UsageStore
from omnireel.store.webhooks import WebhookStore


class SqliteStore:
    """A `Store`. path: of the file, which is made if it is missing. Raises as `Database`."""

    def __init__(self, path: Path) -> None:
        self._database = Database(path)
        self._jobs = SqliteJobs(self._database)
        self._webhooks = SqliteWebhooks(self._database)
        self._uploads = SqliteUploads(self._database)
        self._keys = SqliteKeys(self._database)
        self._usage = SqliteUsage(self._database)

    @property
    def jobs(self) -> JobStore:
        """Jobs with their leases and logs."""
        return self._jobs

    @property
    def webhooks(self) -> WebhookStore:
        """Webhooks of ended jobs."""
        return self._webhooks

    @property
    def uploads(self) -> UploadStore:
        """Uploaded files."""
        return self._uploads

    @property
    def keys(self) -> KeyStore:
        """API keys and temporary tokens."""
        return self._keys

    @property
    def usage(self) -> UsageStore:
        """Usage and charges."""
        return self._usage

    def now(self) -> float:
        """See `Store.now`."""
        return self._database.clock.now()

    def check(self) -> None:
        """See `Store.check`."""
        self._database.check()

    def close(self) -> None:
        """Finish all writes that were requested, then close."""
        self._database.close()
