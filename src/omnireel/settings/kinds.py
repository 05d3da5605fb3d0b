"""The kinds of values that settings take, and how flags, variables and TOML values are parsed."""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Any, Generic, TypeVar

Network = IPv4Network | IPv6Network
MIB = 1024 * 1024
_MAX_MICRO_USD = 10**15
_BYTE_UNITS = ((1024**4, "TiB"), (1024**3, "GiB"), (MIB, "MiB"), (1024, "KiB"))
_TIME_UNITS = ((86_400, "day"), (3600, "hour"), (60, "minute"), (1, "second"))
_T = TypeVar("_T")


@dataclass(frozen=True)
class Secret:
    """A text that is not shown."""

    value: str = field(repr=False)

    def __str__(self) -> str:
        return "not shown"


@dataclass(frozen=True)
class Kind(Generic[_T]):
    """What values a setting takes.

    parse:     turns a flag, variable or TOML value into the setting's value, or raises ValueError
    wanted:    the accepted values in words, for error messages and the reference page
    metavar:   what `--help` prints for the value of a flag; blank for a switch, whose flag takes no value
    show:      a default as text, such as "64 MiB"
    is_switch: whether the flag is a pair, such as --think and --no-think, without a value
    """

    parse: Callable[[Any], _T]
    wanted: str
    metavar: str
    show: Callable[[Any], str] = str
    is_switch: bool = False


def integer(low: int, high: int) -> Kind[int]:
    """A whole number; both limits are allowed."""

    def parse(raw: object) -> int:
        value = int(raw) if isinstance(raw, str) else raw
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise ValueError
        return value

    return Kind(parse, f"a whole number from {low} to {high}", "INTEGER")


def byte_count(low: int, high: int) -> Kind[int]:
    """A number of bytes; both limits are allowed."""
    wanted = f"a whole number of bytes from {low} to {high} ({show_bytes(high)})"
    return Kind(integer(low, high).parse, wanted, "BYTES", show_bytes)


def number(low: float, high: float, *, below: bool = False) -> Kind[float]:
    """A finite number; below: the upper limit itself is not allowed."""

    def parse(raw: object) -> float:
        value = float(raw) if isinstance(raw, str | int) and not isinstance(raw, bool) else raw
        if not isinstance(value, float) or not math.isfinite(value) or not low <= value <= high:
            raise ValueError
        if below and value == high:
            raise ValueError
        return value

    wanted = f"a number from {low:g} {'up to, but not including,' if below else 'to'} {high:g}"
    return Kind(parse, wanted, "NUMBER", "{:g}".format)


def seconds(low: float, high: float) -> Kind[float]:
    """A duration or a time in seconds; both limits are allowed."""
    wanted = f"a number of seconds from {low:g} to {high:.10g}"
    return Kind(number(low, high).parse, wanted, "SECONDS", show_seconds)


def one_of(*choices: str, metavar: str | None = None) -> Kind[str]:
    """One of at least two words. metavar: where they are too many to be shown with the flag"""

    def parse(raw: object) -> str:
        if raw not in choices:
            raise ValueError
        return str(raw)

    wanted = f"{', '.join(choices[:-1])} or {choices[-1]}"
    return Kind(parse, wanted, metavar or "|".join(choices))


def list_of(item: Kind[_T], wanted: str, metavar: str) -> Kind[tuple[_T, ...]]:
    """Several values, with commas between them, or a TOML array; wanted: the accepted values in words."""

    def parse(raw: object) -> tuple[_T, ...]:
        parts = [part.strip() for part in raw.split(",") if part.strip()] if isinstance(raw, str) else raw
        if not isinstance(parts, list | tuple):
            raise ValueError
        return tuple(item.parse(part) for part in parts)

    return Kind(parse, wanted, metavar, show_list)


def show_bytes(count: int) -> str:
    """A number of bytes in the largest unit that divides it."""
    for size, unit in _BYTE_UNITS:
        if count and count % size == 0:
            return f"{count // size} {unit}"
    return f"{count} bytes"


def show_seconds(duration_s: float) -> str:
    """A duration in the largest unit that divides it."""
    for size, unit in _TIME_UNITS:
        if duration_s and duration_s % size == 0:
            count = int(duration_s // size)
            return f"{count} {unit}" + ("s" if count > 1 else "")
    return f"{duration_s:g} seconds"


def show_list(values: tuple[object, ...]) -> str:
    """A list with commas between its values."""
    return ", ".join(map(str, values)) or "none"


def _text(raw: object) -> str:
    if not isinstance(raw, str):
        raise ValueError
    return raw


def _switch(raw: object) -> bool:
    words = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}
    value = words.get(raw.lower()) if isinstance(raw, str) else raw
    if not isinstance(value, bool):
        raise ValueError
    return value


def _path(raw: object) -> Path:
    if isinstance(raw, Path):
        return raw
    try:
        return Path(_text(raw)).expanduser()
    except RuntimeError:  # ~ without a home directory, or of a user who does not exist
        raise ValueError from None


def _network(raw: object) -> Network:
    return ip_network(_text(raw))


def _origin(raw: object) -> str:
    if not re.fullmatch(r"\*|null|[a-z][a-z0-9+.-]*://[^/?#\s]+", _text(raw)):
        raise ValueError
    return str(raw)


def _host(raw: object) -> str:
    """A host name in lower case. With a dot in front it stands for the name and all names under it."""
    if not re.fullmatch(r"\*|\.?[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*|\[[0-9A-Fa-f:.]+\]", _text(raw)):
        raise ValueError
    return str(raw).lower()


def _proxy(raw: object) -> tuple[str, int]:
    """Host and port of http://host:port."""
    found = re.fullmatch(r"http://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):([0-9]{1,5})/?", _text(raw))
    if found is None or not 0 < int(found[2]) < 65_536:
        raise ValueError
    return found[1].strip("[]"), int(found[2])


def _url(raw: object) -> str:
    if not re.fullmatch(r"https?://[^\s/,@?#]+(/[^\s,?#]*)?", _text(raw)):
        raise ValueError
    return str(raw)


def _secret(raw: object) -> Secret:
    if not re.fullmatch(r"[!-~]{8,4096}", _text(raw)):
        raise ValueError
    return Secret(str(raw))


def _micro_usd(raw: object) -> int:
    """US dollars as millionths; a bool is not a number."""
    if isinstance(raw, bool) or not isinstance(raw, str | int | float):
        raise ValueError
    try:
        micro = Decimal(str(raw)) * 1_000_000
    except InvalidOperation:
        raise ValueError from None
    if not micro.is_finite() or micro != int(micro) or not 0 <= micro <= _MAX_MICRO_USD:
        raise ValueError
    return int(micro)


def _name(raw: object) -> str:
    if not re.fullmatch(r"[\w.@+-][\w.@+ -]{0,99}", _text(raw)):
        raise ValueError
    return str(raw)


def _show_switch(value: bool) -> str:
    return "true" if value else "false"


TEXT = Kind(_text, "text", "TEXT")
PATH = Kind(_path, "a path", "PATH")
SWITCH = Kind(_switch, "true or false", " ", _show_switch, is_switch=True)
SECRET = Kind(_secret, "a key of 8 or more characters without blanks", "KEY")
URLS = list_of(
    Kind(_url, "an address like http://gpu-1:8000", "URL"),
    "addresses separated by commas, like http://gpu-1:8000,http://gpu-2:8000",
    "URLS",
)
NAME = Kind(_name, "a name of at most 100 letters, digits, spaces and . @ + - _", "NAME")
USD = Kind(_micro_usd, "US dollars like 5 or 0.25, at most six decimals", "USD")
PROXY = Kind(_proxy, "a proxy like http://proxy.internal:3128", "URL")
PORT = integer(0, 65_535)
PORTS = list_of(integer(1, 65_535), "whole numbers from 1 to 65535, separated by commas", "PORTS")
NETWORKS = list_of(
    Kind(_network, "an address or network like 10.0.0.0/8", "NETWORK"),
    "addresses or networks separated by commas, like 10.0.0.0/8",
    "NETWORKS",
)
HOSTS = list_of(
    Kind(_host, "* or a host like example.com", "HOST"),
    "* or hosts separated by commas, like example.com, or .example.com with all names under it",
    "HOSTS",
)
ORIGINS = list_of(
    Kind(_origin, "* or an origin like https://example.com", "ORIGIN"),
    "* or origins separated by commas, like https://example.com",
    "ORIGINS",
)
