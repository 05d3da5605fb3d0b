"""Parses web addresses, more strictly than a browser does.

One parser for every purpose: the host that is checked is the same string that is resolved, sent as Host and SNI,
and compared with the certificate. Text that two parsers could read differently is refused, not corrected.
Blanks and line ends are read as a browser reads them, but only around the address and after its host, where they
cannot change which host is meant.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from urllib.parse import quote, urljoin

import idna

from omnireel.net.addresses import Address
from omnireel.net.errors import FetchError

MAX_LENGTH = 8192  # characters; the longest request line that common servers and CDNs take
DEFAULT_PORTS = {"https": 443, "http": 80}
_MAX_HOST = 253  # characters of a host name; RFC 1035

_BLANKS = " \t\n\r\f\v"
_FOLDS = dict.fromkeys(map(ord, "\t\n\r"))
_URL = re.compile(r"(https?)://([^/?#]+)(/[^?#]*)?(\?[^#]*)?(?:#.*)?", re.IGNORECASE)
_UP_TO_HOST = re.compile(r"[a-z]+://[^/?#]*", re.IGNORECASE)
_AUTHORITY = re.compile(r"(\[[0-9a-f:.]+\]|[^:\[\]]+)(?::([0-9]{1,5}))?", re.IGNORECASE)
_NAME = re.compile(r"[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*")
# Resolvers read a host with such a last label as an IPv4 address: 127.1, 0x7f000001, 2130706433.
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_UNQUOTED = "%/?:@!$&'()*+,;=~[]"


@dataclass(frozen=True)
class Target:
    """The destination of one HTTP request.

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
        """The host as an IP address; None where it is a name."""
        if ":" in self.host:
            return IPv6Address(self.host)
        return IPv4Address(self.host) if self.host.rpartition(".")[2].isdigit() else None

    @property
    def authority(self) -> str:
        """The value of the Host header; it has the port only where that is not the scheme's default."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"


def parse_url(url: str) -> Target:
    """The parts of an https or http address. Raises FetchError for any other text."""
    if len(url) > MAX_LENGTH:
        raise FetchError(f"it has {len(url)} characters, limit {MAX_LENGTH}")
    url = without_blanks(url)
    if not _is_plain(url):
        raise FetchError("it has control characters or backslashes", hint="Percent-encode them.")
    parts = _URL.fullmatch(url)
    if parts is None:
        raise FetchError("it is not a complete https address", hint="Write https://host/path.")
    scheme, authority, path, query = parts.groups()
    if "@" in authority:
        raise FetchError("it has a user name or password", hint="Use an address that needs neither.")
    if " " in authority:
        raise _bad_host()
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


def without_blanks(url: str) -> str:
    """`url` without what a browser leaves out: blanks around it, and line ends and tabs after its host.

    Blanks after the host stay; they are sent percent-encoded.
    """
    url = url.strip(_BLANKS)
    found = _UP_TO_HOST.match(url)
    host_end = found.end() if found else len(url)
    return url[:host_end] + url[host_end:].translate(_FOLDS)


def redirected(target: Target, location: bytes) -> Target:
    """The destination in the Location header of a response from `target`. Raises FetchError as `parse_url` does."""
    try:
        text = location.decode("utf-8")
    except UnicodeDecodeError:
        raise FetchError("it redirects to an invalid address") from None
    # Checked before joining, because urljoin silently drops tabs and line breaks.
    if not _is_plain(text):
        raise FetchError("it redirects to an invalid address")
    try:
        url = urljoin(f"{target.scheme}://{target.authority}{target.resource}", text.replace(" ", "%20"))
    except ValueError:
        raise FetchError("it redirects to an invalid address") from None
    return parse_url(url)


def _is_plain(text: str) -> bool:
    """Whether it has no control characters and no backslashes, which parsers read differently."""
    return text.isprintable() and "\\" not in text


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
    """The canonical form; raises FetchError unless it is four decimal numbers without leading zeros."""
    try:
        return str(IPv4Address(text))
    except ValueError:
        raise _bad_host() from None


def _parse_ipv6(text: str) -> str:
    try:
        return str(IPv6Address(text))
    except ValueError:
        raise _bad_host() from None


def _bad_host() -> FetchError:
    return FetchError("it has no valid host name", hint="Write https://host/path with a full host name.")


def is_one_of(host: str, patterns: Sequence[str]) -> bool:
    """Whether a host matches a list such as `fetch_hosts`.

    patterns: "*" for every host, a name for that host, ".name" for all names below it
    """
    name = "." + host.lower().rstrip(".")
    return any(
        pattern == "*" or name == "." + pattern or (pattern.startswith(".") and name.endswith(pattern))
        for pattern in patterns
    )
