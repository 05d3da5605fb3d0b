"""What values a setting takes, and how a flag, a variable or a line of TOML is read as one."""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Any

Network = IPv4Network | IPv6Network
_MAX_MICRO_USD = 10**15


@dataclass(frozen=True)
class Kind:
    """What values a setting takes.

    parse:  turns a flag, variable or TOML value into the setting's value, or raises ValueError
    wanted: the same in words, for the error message
    """

    parse: Callable[[Any], Any]
    wanted: str


def integer(low: int, high: int) -> Kind:
    """A whole number; both limits are allowed."""

    def parse(raw: object) -> int:
        value = int(raw) if isinstance(raw, str) else raw
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise ValueError
        return value

    return Kind(parse, f"a whole number from {low} to {high}")


def number(low: float, high: float, *, below: bool = False) -> Kind:
    """A finite number; below: the upper limit itself is not allowed."""

    def parse(raw: object) -> float:
        value = float(raw) if isinstance(raw, str | int) and not isinstance(raw, bool) else raw
        if not isinstance(value, float) or not math.isfinite(value) or not low <= value <= high:
            raise ValueError
        if below and value == high:
            raise ValueError
        return value

    return Kind(parse, f"a number from {low:g} to {'below ' if below else ''}{high:g}")


def _text(raw: object) -> str:
    if not isinstance(raw, str):
        raise ValueError
    return raw


def one_of(*choices: str) -> Kind:
    """One of a few words."""

    def parse(raw: object) -> str:
        if raw not in choices:
            raise ValueError
        return str(raw)

    return Kind(parse, " or ".join(choices))


def _switch(raw: object) -> bool:
    words = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}
    value = words.get(raw.lower()) if isinstance(raw, str) else raw
    if not isinstance(value, bool):
        raise ValueError
    return value


def _path(raw: object) -> Path:
    return raw if isinstance(raw, Path) else Path(_text(raw)).expanduser()


def list_of(item: Kind) -> Kind:
    """Several, with commas between them, or a TOML array."""

    def parse(raw: object) -> tuple[Any, ...]:
        parts = [part.strip() for part in raw.split(",") if part.strip()] if isinstance(raw, str) else raw
        if not isinstance(parts, list | tuple):
            raise ValueError
        return tuple(item.parse(part) for part in parts)

    return Kind(parse, f"{item.wanted}, with commas between several")


def _network(raw: object) -> Network:
    return ip_network(_text(raw))


def _origin(raw: object) -> str:
    if not re.fullmatch(r"\*|null|[a-z][a-z0-9+.-]*://[^/?#\s]+", _text(raw)):
        raise ValueError
    return str(raw)


def _host(raw: object) -> str:
    """A name in small letters; with a dot in front, all names under it and itself."""
    if not re.fullmatch(r"\*|\.?[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*|\[[0-9A-Fa-f:.]+\]", _text(raw)):
        raise ValueError
    return str(raw).lower()


def _proxy(raw: object) -> tuple[str, int]:
    """Host and port of http://host:port."""
    found = re.fullmatch(r"http://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):([0-9]{1,5})/?", _text(raw))
    if found is None or not 0 < int(found[2]) < 65_536:
        raise ValueError
    return found[1].strip("[]"), int(found[2])


def _micro_usd(raw: object) -> int:
    """US dollars as millionths; a bool is no number."""
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


TEXT = Kind(_text, "text")
PATH = Kind(_path, "a path")
SWITCH = Kind(_switch, "true or false")
NAME = Kind(_name, "a name of at most 100 letters, digits and . @ + - _")
USD = Kind(_micro_usd, "US dollars like 5 or 0.25, at most six decimals")
SECOND = number(0, 86_400)
NETWORKS = list_of(Kind(_network, "an address or network like 10.0.0.0/8"))
PROXY = Kind(_proxy, "a proxy like http://proxy.internal:3128")
HOSTS = list_of(Kind(_host, "* or a host like example.com, or .example.com with all names under it"))
ORIGINS = list_of(Kind(_origin, "* or an origin like https://example.com"))
