"""Opens the store of a deployment."""

from __future__ import annotations

from pathlib import Path

from omnireel.store.sqlite.store import SqliteStore
from omnireel.store.store import Store


def open_store(path: Path) -> Store:
    """The store in the SQLite file at `path`, made where it is missing and migrated where it is older.

    Raises SettingsError for a store that a newer omnireel has migrated and for a SQLite that may lose commits,
    OmnireelError for a file that cannot be used.
    """
    return SqliteStore(path)
