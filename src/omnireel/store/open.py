"""Opens the store of a deployment."""

from __future__ import annotations

from pathlib import Path

from omnireel.store.sqlite.database import file_has_keys
from omnireel.store.sqlite.store import SqliteStore
from omnireel.store.store import Store


def has_keys(path: Path) -> bool:
    """Whether the store at `path` has keys, revoked ones too. Nothing is made or migrated there.

    Raises OmnireelError if the file cannot be read.
    """
    return file_has_keys(path)


def open_store(path: Path) -> Store:
    """The store in the SQLite file at `path`. It is made if it is missing, and migrated if it is older.

    Raises SettingsError if the store is of a newer version, or if this SQLite may lose commits; OmnireelError if the
    file cannot be used.
    """
    return SqliteStore(path)
