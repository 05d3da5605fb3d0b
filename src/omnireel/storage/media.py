"""From what a caller wrote as `video_url` to a file that can be read.

Takes https addresses, data: URIs and, for callers on this machine only, paths. Knows nothing of what is in
the file.
"""

import asyncio
import base64
import os
import re
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from omnireel.errors import InputError
from omnireel.net.connector import EgressPolicy
from omnireel.net.download import download
from omnireel.net.errors import LOC, too_large

_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*)://", re.IGNORECASE)
_MEDIA_TYPE = re.compile(r"(video/[\w.+-]+|application/octet-stream)", re.IGNORECASE)


@dataclass(frozen=True)
class FetchPolicy:
    """What may be fetched, and how much.

    incoming_dir: videos that arrive in a request are written here and removed after it
    max_bytes:    largest file that a data: URI may hold
    egress:       what may be downloaded
    takes_paths:  a plain path is read where it lies; only for callers who own this machine
    """

    incoming_dir: Path
    max_bytes: int
    egress: EgressPolicy
    takes_paths: bool = False


@asynccontextmanager
async def fetch_video(source: str, policy: FetchPolicy) -> AsyncIterator[Path]:
    """The file that `source` names, for as long as the context is open.

    source: an https address, a data: URI, or a path where the rule takes paths
    Raises InputError: invalid_data_uri, file_too_large, file_download_error, file_not_found.
    """
    scheme = _scheme(source)
    if scheme is None:
        yield _local_file(source, policy)
        return
    policy.incoming_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    # A cancelled request may leave its thread writing for a moment after the directory has gone.
    with tempfile.TemporaryDirectory(dir=policy.incoming_dir, ignore_cleanup_errors=True) as folder:
        path = Path(folder, "video")
        if scheme == "data":
            await asyncio.to_thread(_write_data_uri, source, path, policy.max_bytes)
        else:
            await download(source, path, policy.egress)
        yield path


def _scheme(source: str) -> str | None:
    """data, https or http; None where there is none. Raises InputError for any other."""
    if is_data_uri(source):
        return "data"
    found = _SCHEME.match(source)
    scheme = found[1].lower() if found else None
    if scheme not in (None, "https", "http"):
        raise InputError(
            f"addresses that begin with {scheme[:20]}:// are never fetched",
            kind="file_download_error",
            loc=LOC,
            hint="use an https address, or send the video itself as data:video/mp4;base64,...",
        )
    return scheme


def _local_file(source: str, policy: FetchPolicy) -> Path:
    if not policy.takes_paths:
        raise InputError(
            "video_url is neither an https address nor a data: URI",
            kind="file_download_error",
            loc=LOC,
            hint="write https://host/path, or send the video as data:video/mp4;base64,...",
        )
    return _readable_file(Path(source).expanduser())


def is_data_uri(source: str) -> bool:
    """Whether the source holds the video itself."""
    return source[:5].lower() == "data:"


def _write_data_uri(uri: str, path: Path, max_bytes: int) -> None:
    path.write_bytes(read_data_uri(uri, max_bytes))


def read_data_uri(uri: str, max_bytes: int) -> bytes:
    """The video that a base64 data: URI holds. Raises InputError: invalid_data_uri, file_too_large."""
    header, comma, payload = uri.partition(",")
    media_type, *parameters = header[5:].split(";")
    if not comma or not parameters or parameters[-1].strip().lower() != "base64":
        raise _bad_data_uri("it has no ;base64, before its data")
    if not _MEDIA_TYPE.fullmatch(media_type.strip()):
        raise _bad_data_uri("its media type is not video/*")
    num_bytes = len(payload) // 4 * 3 - payload[-2:].count("=")
    if num_bytes > max_bytes:
        raise too_large(max_bytes, num_bytes)
    try:
        return base64.b64decode(payload, validate=True)
    except ValueError:
        raise _bad_data_uri("its data is not base64") from None


def _bad_data_uri(why: str) -> InputError:
    return InputError(
        f"video_url is not a usable data: URI: {why}",
        kind="invalid_data_uri",
        loc=LOC,
        hint="write data:video/mp4;base64, and then the file in plain base64",
    )


def _readable_file(path: Path) -> Path:
    if not path.exists():
        raise _bad_path(f"there is no file {path}", "check the path; a relative one starts in this directory")
    if not path.is_file():
        raise _bad_path(f"{path} is not a file", "name the video file itself")
    if not os.access(path, os.R_OK):
        raise _bad_path(f"{path} may not be read by this user", "change the file's permissions")
    return path


def _bad_path(message: str, hint: str) -> InputError:
    return InputError(message, kind="file_not_found", loc=LOC, hint=hint)
