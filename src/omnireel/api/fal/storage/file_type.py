"""The type of an uploaded file, as its sender names it, and the suffix of a file of that type."""

import re
from mimetypes import MimeTypes

ANY_TYPE = "application/octet-stream"
_MEDIA_TYPE = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,126}/[a-z0-9][a-z0-9!#$&^_.+-]{0,126}")
# What an HTTP client says when it was told nothing: curl of --data-binary, for one.
_UNTOLD = frozenset({"application/x-www-form-urlencoded"})
_VIDEO_SUFFIXES = {
    "video/x-m4v": ".m4v",
    "video/x-matroska": ".mkv",
    "video/matroska": ".mkv",
    "video/avi": ".avi",
    "video/3gpp": ".3gp",
    "video/mp2t": ".ts",
    "video/ogg": ".ogv",
    "image/webp": ".webp",
    "image/avif": ".avif",
}
# Python's own table, not that of the machine: a suffix must not depend on what is installed.
_KNOWN_TYPES = MimeTypes(filenames=())


def media_type(text: str) -> str:
    """The type without its parameters; application/octet-stream where the sender named none."""
    found = text.partition(";")[0].strip().lower()
    return found if _MEDIA_TYPE.fullmatch(found) and found not in _UNTOLD else ANY_TYPE


def default_name(content_type: str) -> str:
    """The name of a file whose sender gave it none; its suffix is that of the type, `.bin` where none is known."""
    kind = media_type(content_type)
    return "upload" + (_VIDEO_SUFFIXES.get(kind) or _KNOWN_TYPES.guess_extension(kind) or ".bin")
