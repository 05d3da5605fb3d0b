"""Migrates a store to the newest version, step by step."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import apsw

from omnireel.errors import SettingsError
from omnireel.store.sqlite.migrations.version_1 import failure_of_v1, outcome_of_v1, task_of_v1

NEWEST: Final = 3
# How long a process may wait while another one migrates a large store.
_MIGRATION_TIMEOUT_MS = 30 * 60 * 1000

# The functions that the SQL of a step may call: name → function and number of arguments.
_FUNCTIONS: Mapping[str, tuple[Callable[..., Any], int]] = {
    "task_of_v1": (task_of_v1, 2),
    "outcome_of_v1": (outcome_of_v1, 7),
    "failure_of_v1": (failure_of_v1, 5),
}


def migrate(connection: apsw.Connection, path: Path, *, busy_timeout_ms: int) -> None:
    """Run the steps that the store lacks, each in its own transaction. An empty file gets all of them.

    busy_timeout_ms: how long the connection waits for other connections after the migration
    Raises SettingsError if a newer program has migrated the store.
    """
    if _version(connection, path) == NEWEST:
        return
    connection.set_busy_timeout(_MIGRATION_TIMEOUT_MS)
    connection.execute("PRAGMA foreign_keys = OFF")  # has no effect within a transaction
    for name, (function, num_arguments) in _FUNCTIONS.items():
        connection.create_scalar_function(name, function, num_arguments, deterministic=True)
    while _version(connection, path) < NEWEST:
        _take_step(connection, path)
    for name, (_, num_arguments) in _FUNCTIONS.items():
        connection.create_scalar_function(name, None, num_arguments)
    connection.execute("PRAGMA foreign_keys = ON")
    connection.set_busy_timeout(busy_timeout_ms)


def _take_step(connection: apsw.Connection, path: Path) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        # Another process may have taken this step while this one waited.
        version = _version(connection, path)
        if version < NEWEST:
            step = files("omnireel.store.sqlite.migrations").joinpath(f"{version + 1:04}.sql")
            connection.execute(step.read_text("utf-8"))
            broken = connection.execute("PRAGMA foreign_key_check").fetchall()
            assert not broken, f"step {version + 1} breaks references: {broken[:5]}"
            connection.execute(f"PRAGMA user_version = {version + 1}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _version(connection: apsw.Connection, path: Path) -> int:
    version = connection.pragma("user_version")
    assert isinstance(version, int)
    if version > NEWEST:
        raise SettingsError(
            f"The store at {path} has version {version}; this omnireel knows versions up to {NEWEST}.",
            hint="Run the version of omnireel that wrote it, or name another --data-dir.",
        )
    return version
