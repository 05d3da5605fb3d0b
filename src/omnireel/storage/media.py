"""Fetches the file for a media reference.

A reference is an https address, a data: URI or, for callers on this machine only, a path. The content of the file is
not checked here.
"""

import asyncio
import os
import re
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from omnireel.errors import InputError
from omnireel.net.download import download
from omnireel.net.errors import FetchError, TooLargeError
from omnireel.net.policy import EgressPolicy, egress_policy
from omnireel.settings import Settings
from omnireel.storage.data_uri import data_uri_pieces, file_too_large, is_data_uri
from omnireel.storage.directories import make_directory
from omnireel.storage.disk import Disk, Promise
from omnireel.storage.local_blobs import disk_failures_named
from omnireel.storage.work_directory import work_directory

_SCHEME = re.compile(r"\s{0,8192}([a-z][a-z0-9+.-]*)://", re.ASCII | re.IGNORECASE)
_SEND_AS_DATA = "Send the video itself as data:video/mp4;base64,..."


@dataclass(frozen=True)
class FetchPolicy:
    """Which references are accepted, and the largest files.

    incoming_dir: directory for files that belong to one request; they are removed after it
    max_bytes:    largest file in a data: URI
    egress:       the policy for downloads
    takes_paths:  whether a path of this machine is accepted; only for callers who own the machine
    disk:         of incoming_dir; None: without a reserve
    """

    incoming_dir: Path
    max_bytes: int
    egress: EgressPolicy
    takes_paths: bool = False
    disk: Disk | None = None


def fetch_policy(settings: Settings, *, takes_paths: bool = False, disk: Disk | None = None) -> FetchPolicy:
    """The policy of this deployment for `fetch_video`; takes_paths, disk: see FetchPolicy."""
    egress = egress_policy(settings)
    return FetchPolicy(settings.incoming_dir, settings.max_data_uri_bytes, egress, takes_paths, disk)


@asynccontextmanager
async def fetch_video(source: str, policy: FetchPolicy) -> AsyncIterator[Path]:
    """The file that `source` refers to, while the context is open.

    source: an https address, a data: URI, or a path where the policy takes paths
    Raises InputError: invalid_data_uri, file_too_large, file_download_error, file_not_found; CapacityError if the disk
    is full, StorageError if it cannot be written; where the policy takes paths, OmnireelError with the directory.
    """
    scheme = _scheme(source, policy)
    if scheme is None:
        yield _local_file(source, policy)
        return
    if policy.takes_paths:  # who owns the machine is told which directory cannot be used
        make_directory(policy.incoming_dir)
    with ExitStack() as removed:
        with disk_failures_named():
            policy.incoming_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
            path = removed.enter_context(work_directory(policy.incoming_dir)) / "video"
            await _write(source, scheme, path, policy)
        yield path


async def _write(source: str, scheme: str, path: Path, policy: FetchPolicy) -> None:
    disk = policy.disk or Disk(policy.incoming_dir)
    with disk.promise() as promise:
        if scheme == "data":
            await asyncio.to_thread(_write_data_uri, source, path, policy.max_bytes, promise)
        else:
            await _download(source, path, policy.egress, promise)


async def _download(url: str, path: Path, policy: EgressPolicy, promise: Promise) -> None:
    """Download, with errors for the caller. `FetchError.reason` is left out: it may name internal addresses."""
    try:
        await download(url, path, policy, before_write=promise.spend)
    except FetchError as error:
        raise InputError(
            f"The address cannot be fetched: {error.why}.",
            kind="file_download_error",
            about="media",
            hint=error.hint or _SEND_AS_DATA,
        ) from None
    except TooLargeError as error:
        raise file_too_large(error.max_bytes, error.num_bytes) from None


def _scheme(source: str, policy: FetchPolicy) -> str | None:
    """data, https or http; None if there is none. Raises InputError for any other."""
    if is_data_uri(source):
        return "data"
    found = _SCHEME.match(source)
    scheme = found[1].lower() if found else None
    if scheme not in (None, "https", "http"):
        raise InputError(
            f"Addresses that begin with {scheme[:20]}:// are never fetched.",
            kind="file_download_error",
            about="media",
            hint="Give the path of a file, or an https address."
            if policy.takes_paths
            else "Use an https address, or send the video itself as data:video/mp4;base64,...",
        )
    return scheme


def _local_file(source: str, policy: FetchPolicy) -> Path:
    if not policy.takes_paths:
        raise InputError(
            "The video is neither an https address nor a data: URI.",
            kind="file_download_error",
            about="media",
            hint="Write https://host/path, or send the video as data:video/mp4;base64,...",
        )
    return _readable_file(Path(source).expanduser())


def _write_data_uri(uri: str, path: Path, max_bytes: int, promise: Promise) -> None:
    with path.open("wb") as file:
        for piece in data_uri_pieces(uri, max_bytes):
            promise.spend(len(piece))
            file.write(piece)


def _readable_file(path: Path) -> Path:
    if not path.exists():
        raise _bad_path(
            f"there is no file {path}", "Check the path; a relative one starts in this directory."
        )
    if not path.is_file():
        raise _bad_path(f"{path} is not a file", "Give the path of the video file itself.")
    if not os.access(path, os.R_OK):
        raise _bad_path(f"this user has no permission to read {path}", "Change the file's permissions.")
    return path


def _bad_path(why: str, hint: str) -> InputError:
    return InputError(f"The video cannot be read: {why}.", kind="file_not_found", about="media", hint=hint)
