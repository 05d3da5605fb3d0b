"""The protocol of the store of one deployment. It does not depend on the database."""

from __future__ import annotations

from typing import Protocol

from omnireel.store.jobs import JobStore
from omnireel.store.keys import KeyStore
from omnireel.store.uploads import UploadStore
from omnireel.store.usage import UsageStore
from omnireel.store.webhooks import WebhookStore


class Store(Protocol):
    """All rows of a deployment. Several processes may have the same store open at once.

    Store time is the clock of leases, deadlines, timers and retention: the `now` that methods take, unless they say
    otherwise. In seconds, the same in all processes; it began as Unix time and passes only while the machine runs.
    Times that are shown, such as when a job ended, are the wall clock's.
    """

    @property
    def jobs(self) -> JobStore:
        """Jobs with their leases and logs."""

    @property
    def webhooks(self) -> WebhookStore:
        """Webhooks of ended jobs."""

    @property
    def uploads(self) -> UploadStore:
        """Uploaded files."""

    @property
    def keys(self) -> KeyStore:
        """API keys and temporary tokens."""

    @property
    def usage(self) -> UsageStore:
        """Usage and charges."""

    def now(self) -> float:
        """Store time."""

    def check(self) -> None:
        """Raise RuntimeError if the store has failed for good: a thread has ended, or its file was deleted."""

    def close(self) -> None:
        """Finish all writes that were requested, then close."""
