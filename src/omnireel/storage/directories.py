"""Directories that this program keeps its files in: made where they are missing, and named where they are unusable."""

import os
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile

from omnireel.errors import OmnireelError
from omnireel.store.private import make_private

_HINT = (
    "Name a directory that this user may write to: --data-dir (serve, worker, keys, webhooks, pull), "
    "OMNIREEL_DATA_DIR, or data_dir in omnireel.toml."
)


def make_directory(path: Path) -> None:
    """Make `path` where it is missing. It is for this user alone, and can be written to, when this returns.

    Raises OmnireelError.
    """
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        make_private(path)
        with TemporaryFile(dir=path):
            pass  # the only sure way to know whether files can be made here
    except OSError as error:
        raise unusable_directory(path, error) from None


def check_directory(path: Path) -> None:
    """Check that `path` can be made, or written to, and make nothing that stays. Raises OmnireelError."""
    try:
        with TemporaryDirectory(dir=nearest_existing(path)):
            pass
    except OSError as error:
        raise unusable_directory(path, error) from None


def nearest_existing(path: Path) -> Path:
    """The path, or the first of its parents that exists."""
    return path if os.path.exists(path) else nearest_existing(path.parent)


def unusable_directory(path: Path, error: OSError) -> OmnireelError:
    """The error for a directory that cannot be made, read or written."""
    if isinstance(error, FileExistsError):
        why = "it is not a directory"
    elif isinstance(error, FileNotFoundError):
        why = "no directory can be made there"
    else:
        why = error.strerror or type(error).__name__
    return OmnireelError(f"The data directory {path} cannot be used: {why}.", hint=_HINT)
