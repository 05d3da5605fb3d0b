"""From the text of an address to the parts that are connected to; stricter than any browser.

One parser for everything: the host that is checked is the very string that is resolved, sent as Host and SNI,
and compared with the certificate. Text that two parsers could read in two ways is refused, not mended.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from urllib.parse import quote, urljoin

import idna

from omnireel.errors import InputError
from omnireel.net.addresses import Address
from omnireel.net.errors import not_fetched

MAX_LENGTH = 2048  # characters, as the hosted endpoint has it
DEFAULT_PORTS = {"https": 443, "http": 80}
_MAX_HOST = 253  # RFC 1035 in its textual form

_URL = re.compile(r"(https?)://([^/?#]+)(/[^?#]*)?(\?[^#]*)?(?:#.*)?", re.IGNORECASE)
_AUTHORITY = re.compile(r"(\[[0-9a-f:.]+\]|[^:\[\]]+)(?::([0-9]{1,5}))?", re.IGNORECASE)
_NAME = re.compile(r"[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*")
# Resolvers read such a last label as part of an IPv4 address: 127.1, 0x7f000001, 2130706433.
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_UNQUOTED = "%/?:@!$&'()*+,;=~[]"


@dataclass(frozen=True)
class Target:
    """Where one HTTP request goes.

    scheme:   "https" or "http"
    host:     an ASCII name in lower case without a final dot, or an IP address in its canonical form
    resource: path and query as they are sent; fragments are dropped
    """

    scheme: str
    host: str
    port: int
    resource: str

    @property
    def literal(self) -> Address | None:
        """The host as an IP address, where it is one."""
        if ":" in self.host:
            return IPv6Address(self.host)
        return IPv4Address(self.host) if self.host.rpartition(".")[2].isdigit() else None

    @property
    def authority(self) -> str:
        """The Host header: the port only where it is not the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"


def parse_url(url: str) -> Target:
    """The parts of an https or http address. Raises InputError, file_download_error, for anything else."""
    if len(url) > MAX_LENGTH:
        raise not_fetched(f"it has {len(url)} characters, limit {MAX_LENGTH}")
    if not _is_plain(url):
        raise not_fetched("it has spaces, control characters or backslashes", hint="percent-encode them")
    parts = _URL.fullmatch(url)
    if parts is None:
        raise not_fetched("it is not a complete https address", hint="write https://host/path")
    scheme, authority, path, query = parts.groups()
    if "@" in authority:
        raise not_fetched("it has a user name or password", hint="use an address that needs neither")
    host_and_port = _AUTHORITY.fullmatch(authority)
    if host_and_port is None:
        raise _bad_host()
    host, port = host_and_port.groups()
    scheme = scheme.lower()
    return Target(
        scheme=scheme,
        host=_parse_host(host),
        port=int(port) if port else DEFAULT_PORTS[scheme],
        resource=quote((path or "/") + (query or ""), safe=_UNQUOTED),
    )


def redirected(target: Target, location: bytes) -> Target:
    """Where the Location header of an answer from `target` leads. Raises InputError as `parse_url` does."""
    try:
        text = location.decode("utf-8")
    except UnicodeDecodeError:
        raise not_fetched("it redirects to no usable address") from None
    # Checked before it is joined too: the standard library drops tabs and line ends silently.
    if not _is_plain(text):
        raise not_fetched("it redirects to no usable address")
    try:
        url = urljoin(f"{target.scheme}://{target.authority}{target.resource}", text)
    except ValueError:
        raise not_fetched("it redirects to no usable address") from None
    return parse_url(url)


def _is_plain(text: str) -> bool:
    return text.isprintable() and not set(text) & {" ", "\\"}


def _parse_host(text: str) -> str:
    if text.startswith("["):
        return _parse_ipv6(text[1:-1])
    name = (text.lower() if text.isascii() else _ascii_name(text)).removesuffix(".")
    if len(name) > _MAX_HOST or not _NAME.fullmatch(name):
        raise _bad_host()
    return _parse_ipv4(name) if _NUMBER.fullmatch(name.rpartition(".")[2]) else name


def _ascii_name(text: str) -> str:
    if len(text) > _MAX_HOST:
        raise _bad_host()
    try:
        return idna.encode(text, uts46=True, std3_rules=True).decode("ascii")
    except idna.IDNAError:
        raise _bad_host() from None


def _parse_ipv4(text: str) -> str:
    """Four decimal numbers without leading zeros, or an error."""
    try:
        return str(IPv4Address(text))
    except ValueError:
        raise _bad_host() from None


def _parse_ipv6(text: str) -> str:
    try:
        return str(IPv6Address(text))
    except ValueError:
        raise _bad_host() from None


def _bad_host() -> InputError:
    return not_fetched("it has no valid host name", hint="write https://host/path, host being a full name")


def is_one_of(host: str, patterns: Sequence[str]) -> bool:
    """Whether a list like `fetch_hosts` means a host: by "*", its name, or .name for all names under it."""
    name = "." + host.lower().rstrip(".")
    return any(
        pattern == "*" or name == "." + pattern or (pattern.startswith(".") and name.endswith(pattern))
        for pattern in patterns
    )
