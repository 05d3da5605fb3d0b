"""Videos that came inside a request, kept on disk until their job has ended."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Set
from pathlib import Path


class Spool:
    """A directory of files named after their jobs."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)

    def path(self, name: str) -> Path:
        """Where the video of that name lies."""
        return self._directory / name

    async def put(self, name: str, content: bytes, *, survives: bool = True) -> None:
        """Write a file that is whole or not there.

        survives: power loss too; needless where its job ends with this process
        """
        await asyncio.to_thread(self._write, name, content, survives)

    def remove(self, name: str) -> None:
        """Delete a file, if it is there."""
        self.path(name).unlink(missing_ok=True)

    def keep_only(self, names: Set[str], *, older_than_s: float) -> None:
        """Delete what no job needs: the remains of a process that died.

        older_than_s: a younger file may belong to a job that is just being submitted
        """
        youngest = time.time() - older_than_s
        for path in self._directory.iterdir():
            if path.is_file() and path.name not in names and path.stat().st_mtime < youngest:
                path.unlink(missing_ok=True)

    def _write(self, name: str, content: bytes, survives: bool) -> None:
        part = self.path(name + ".part")
        with part.open("wb") as file:
            file.write(content)
            file.flush()
            if survives:
                os.fsync(file.fileno())
        part.replace(self.path(name))
        if not survives:
            return
        directory = os.open(self._directory, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
