"""From what a caller wrote as `video_url` to a file that can be read.

Takes data: URIs and, for callers on this machine only, paths. Fetches nothing from the network: an https
address is refused by name. Knows nothing of what is inside the file.
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

_LOC = ("body", "video_url")
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*)://", re.IGNORECASE)
_MEDIA_TYPE = re.compile(r"(video/[\w.+-]+|application/octet-stream)", re.IGNORECASE)


@dataclass(frozen=True)
class FetchRule:
    """What may be fetched, and how much.

    incoming_dir: videos that arrive in a request are written here and removed after it
    max_bytes:    largest file that a data: URI may hold
    takes_paths:  a plain path is read where it lies; only for callers who own this machine
    """

    incoming_dir: Path
    max_bytes: int
    takes_paths: bool = False


@asynccontextmanager
async def fetch_video(source: str, rule: FetchRule) -> AsyncIterator[Path]:
    """The file that `source` names, for as long as the context is open.

    source: a data: URI, or a path where the rule takes paths
    Raises InputError: invalid_data_uri, file_too_large, feature_not_supported, file_download_error,
    file_not_found.
    """
    if is_data_uri(source):
        rule.incoming_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        # A cancelled request may leave its thread writing for a moment after the directory has gone.
        with tempfile.TemporaryDirectory(dir=rule.incoming_dir, ignore_cleanup_errors=True) as folder:
            path = Path(folder, "video")
            await asyncio.to_thread(_write_data_uri, source, path, rule.max_bytes)
            yield path
        return
    _refuse_address(source)
    if not rule.takes_paths:
        raise InputError(
            "video_url is neither a data: URI nor an address",
            kind="file_download_error",
            loc=_LOC,
            hint="send the video as data:video/mp4;base64,...",
        )
    yield _readable_file(Path(source).expanduser())


def _refuse_address(source: str) -> None:
    scheme = _SCHEME.match(source)
    if scheme is None:
        return
    if scheme[1].lower() == "https":
        raise InputError(
            "videos are not fetched over https by this version",
            kind="feature_not_supported",
            loc=_LOC,
            hint="send the video itself as data:video/mp4;base64,...",
        )
    raise InputError(
        f"addresses that begin with {scheme[1][:20].lower()}:// are never fetched",
        kind="file_download_error",
        loc=_LOC,
        hint="send the video itself as data:video/mp4;base64,...",
    )


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
        raise InputError(
            f"video is {num_bytes} bytes, limit {max_bytes}",
            kind="file_too_large",
            loc=_LOC,
            ctx={"max_size": max_bytes, "provided_size": num_bytes},
            hint="send a shorter clip or one of a lower bit rate",
        )
    try:
        return base64.b64decode(payload, validate=True)
    except ValueError:
        raise _bad_data_uri("its data is not base64") from None


def _bad_data_uri(why: str) -> InputError:
    return InputError(
        f"video_url is not a usable data: URI: {why}",
        kind="invalid_data_uri",
        loc=_LOC,
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
    return InputError(message, kind="file_not_found", loc=_LOC, hint=hint)
