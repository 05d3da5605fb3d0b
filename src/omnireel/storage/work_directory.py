"""Directories for the files of one piece of work, such as a download. A process that is killed leaves them behind."""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def work_directory(parent: Path) -> Iterator[Path]:
    """A new directory in `parent`, which is removed when the block ends."""
    path, number = _make_locked(parent)
    try:
        yield path
    finally:
        # The thread of a cancelled request may still be writing.
        shutil.rmtree(path, ignore_errors=True)
        os.close(number)


def remove_if_abandoned(path: Path) -> None:
    """Remove a work directory unless the process that made it still works there.

    The lock says so, and not a process id or a time: the kernel takes it from a process that ends in any way.
    """
    try:
        number = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:  # it has been removed meanwhile, or is no directory
        return
    try:
        if _lock(number):
            shutil.rmtree(path, ignore_errors=True)
    finally:
        os.close(number)


def _make_locked(parent: Path) -> tuple[Path, int]:
    """Make a directory, and hold its lock. Before it is locked, another process may remove it."""
    while True:
        path = parent / f"work-{secrets.token_hex(8)}"
        path.mkdir(mode=0o700)
        try:
            number = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:
            continue
        if _lock(number) and path.exists():
            return path, number
        os.close(number)


def _lock(number: int) -> bool:
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
