"""The addresses of stored files: how they are made and recognised."""

import re

from omnireel.api.middleware.hosts import HOSTED, PublicBaseUrl
from omnireel.net.urls import DEFAULT_PORTS, MAX_LENGTH, without_blanks

_NAME = re.compile(r"([A-Za-z0-9_-]{32})(?:\.[a-z0-9]{1,8})?")
_ADDRESS = re.compile(
    r"(?P<scheme>https?)://(?P<host>\[[0-9a-f:.]+\]|[^/?#@:\[\]]+)(?::(?P<port>[0-9]{0,5}))?"
    r"(?:/[^/?#]+)*/files/(?P<name>[^/?#]+)(?:[?#].*)?",
    re.IGNORECASE,
)
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
    # Not `urlsplit`: it keeps the last hundred texts that it was given, and a data: URI has many megabytes.
    found = _ADDRESS.fullmatch(without_blanks(url)) if len(url) <= MAX_LENGTH else None
    file_id = file_id_in(found["name"]) if found else None
    if found is None or file_id is None:
        return None
    scheme, host, port = found["scheme"].lower(), found["host"].lower(), found["port"]
    is_default = not port or int(port) == DEFAULT_PORTS[scheme]
    return f"{scheme}://{host}{'' if is_default else f':{int(port)}'}", file_id


def is_our_origin(origin: str, base_url: PublicBaseUrl) -> bool:
    """Whether the origin is certainly this server: the host of the request, or one of fal's hosts."""
    return origin == origin_of(base_url) or origin.removeprefix("https://") in HOSTED
