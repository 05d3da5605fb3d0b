"""The files of the playground, from the package: loaded once, compressed, with a fingerprint each."""

import gzip
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

INDEX = "index.html"
SAMPLE = "sample.mp4"
MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".mp4": "video/mp4",
}


@dataclass(frozen=True)
class StaticFile:
    """One file.

    packed: the content after gzip; None where that makes it no smaller
    etag:   the same for the same content, in quotes
    """

    content: bytes
    packed: bytes | None
    media_type: str
    etag: str


@cache
def static_files() -> Mapping[str, StaticFile]:
    """All files of the playground by name."""
    folder = files("omnireel.api.pages.playground") / "static"
    found = {}
    for entry in folder.iterdir():
        _, dot, suffix = entry.name.rpartition(".")
        if media_type := MEDIA_TYPES.get(f"{dot}{suffix}"):
            found[entry.name] = _file(entry.read_bytes(), media_type)
    return found


def _file(content: bytes, media_type: str) -> StaticFile:
    packed = gzip.compress(content, 9, mtime=0)
    digest = hashlib.sha256(content).hexdigest()[:32]
    return StaticFile(content, packed if len(packed) < len(content) else None, media_type, f'"{digest}"')
