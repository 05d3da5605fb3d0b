"""The files of the playground, from the package: loaded once, with a fingerprint each."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from omnireel.api.http.fixed_content import FixedContent

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

    etag: the same for the same content, in quotes
    """

    body: FixedContent
    etag: str


@cache
def static_files() -> Mapping[str, StaticFile]:
    """All files of the playground by name."""
    folder = files("omnireel.api.pages.playground") / "static"
    found = {}
    for entry in folder.iterdir():
        _, dot, suffix = entry.name.rpartition(".")
        if media_type := MEDIA_TYPES.get(f"{dot}{suffix}"):
            content = entry.read_bytes()
            etag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
            found[entry.name] = StaticFile(FixedContent.of(content, media_type), etag)
    return found
