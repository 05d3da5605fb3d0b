"""The store of one deployment: all of its rows, behind protocols that do not say which database keeps them."""

from __future__ import annotations

from typing import Protocol

from omnireel.store.jobs import JobStore
from omnireel.store.keys import KeyStore
from omnireel.store.uploads import UploadStore
from omnireel.store.usage import UsageStore
from omnireel.store.webhooks import WebhookStore


class Store(Protocol):
    """Rows, by noun. Several processes may have the same store open at once."""

    @property
    def jobs(self) -> JobStore:
        """Jobs, leases, logs, the ledger's charges."""

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
        """What was used and charged."""

    def close(self) -> None:
        """Finish what was asked, then close."""
