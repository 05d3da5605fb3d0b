"""Videos that came inside a request, kept on disk until their job has ended."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Set
from contextlib import suppress
from pathlib import Path

# So much goes into the page cache in less time than it takes to hand it to a thread.
_QUICK_BYTES = 256 * 1024


class Spool:
    """A directory of files named after their jobs."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)

    def path(self, name: str) -> Path:
        """Where the video of that name lies."""
        return self._directory / name

    async def put(self, name: str, content: bytes, *, survives: bool = True) -> None:
        """Write a file. A job names it only afterwards, so nobody reads half of one.

        survives: power loss too; needless where its job ends with this process
        """
        if survives or len(content) > _QUICK_BYTES:
            await asyncio.to_thread(self._write, name, content, survives)
        else:
            self._write(name, content, survives)

    def remove(self, name: str) -> None:
        """Delete a file, if it is there."""
        self.path(name).unlink(missing_ok=True)

    def keep_only(self, names: Set[str], *, older_than_s: float) -> None:
        """Delete what no job needs: the remains of a process that died.

        older_than_s: a younger file may belong to a job that is just being submitted
        """
        keep_only(self._directory, names, older_than_s=older_than_s)

    def _write(self, name: str, content: bytes, survives: bool) -> None:
        with self.path(name).open("xb") as file:
            file.write(content)
            if survives:
                file.flush()
                os.fsync(file.fileno())
        if survives:
            sync_directory(self._directory)


def keep_only(directory: Path, names: Set[str], *, older_than_s: float) -> None:
    """Delete the files of a directory that have other names and have long been as they are."""
    youngest = time.time() - older_than_s
    for path in directory.iterdir():
        if path.name in names or not path.is_file():
            continue
        with suppress(FileNotFoundError):  # whoever ended its job was here first
            # Its change time: a second name for an old file is new, and its modification time is not.
            if path.stat().st_ctime < youngest:
                path.unlink()


def sync_directory(directory: Path) -> None:
    """Make the names in a directory survive power loss."""
    number = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
