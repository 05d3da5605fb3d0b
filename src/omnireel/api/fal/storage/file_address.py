"""The addresses of stored files: how they are made and recognised."""

import re
from urllib.parse import urlsplit

from omnireel.api.middleware.hosts import HOSTED, PublicBaseUrl

_NAME = re.compile(r"([A-Za-z0-9_-]{32})(?:\.[a-z0-9]{1,8})?")
_PATH = re.compile(r"(?:/[^/]+)*/files/([^/]+)")
_SUFFIX = re.compile(r"\.[a-z0-9]{1,8}")


def file_path(file_id: str, file_name: str) -> str:
    """The path of a file on fal's CDN host. It has the owner's file name only as a short suffix."""
    suffix = file_name[file_name.rfind(".") :].lower() if "." in file_name else ""
    return f"/files/{file_id}{suffix if _SUFFIX.fullmatch(suffix) else ''}"


def file_id_in(name: str) -> str | None:
    """The file id in the last part of a path that `file_path` made; None if there is none."""
    found = _NAME.fullmatch(name)
    return found[1] if found else None


def origin_of(base_url: PublicBaseUrl) -> str:
    """Scheme, host and port as the client used them."""
    port = "" if base_url.port is None else f":{base_url.port}"
    return f"{base_url.scheme}://{base_url.host}{port}".lower()


def file_address(url: str) -> tuple[str, str] | None:
    """Origin and file id of an address that has the form of a stored file's, on any host; None for others."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    path = _PATH.fullmatch(parts.path)
    file_id = file_id_in(path[1]) if path else None
    if file_id is None or parts.scheme not in ("http", "https") or "@" in parts.netloc:
        return None
    host = parts.netloc.rpartition(":")[0] if port is not None else parts.netloc.removesuffix(":")
    is_default = port in (None, {"http": 80, "https": 443}[parts.scheme])
    return f"{parts.scheme}://{host}{'' if is_default else f':{port}'}".lower(), file_id


def is_our_origin(origin: str, base_url: PublicBaseUrl) -> bool:
    """Whether the origin is certainly this server: the host of the request, or one of fal's hosts."""
    return origin == origin_of(base_url) or origin.removeprefix("https://") in HOSTED
