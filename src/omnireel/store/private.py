"""Files and directories with secrets, or with what callers sent: for their owner alone, whatever they were before."""

from __future__ import annotations

import os
import stat
from pathlib import Path


def make_private(path: Path) -> None:
    """Take all permissions on a file or directory from other users.

    A directory of another user, or one that all users share, such as /tmp, stays as it is: its owner decides.
    Raises OSError: for a file of another user too, since that user could always read it.
    """
    found = path.stat()
    is_directory = stat.S_ISDIR(found.st_mode)
    if is_directory and (found.st_uid != os.geteuid() or found.st_mode & stat.S_ISVTX):
        return
    wanted = stat.S_IMODE(found.st_mode) & (stat.S_IRWXU if is_directory else stat.S_IRUSR | stat.S_IWUSR)
    if wanted != stat.S_IMODE(found.st_mode):
        path.chmod(wanted)
