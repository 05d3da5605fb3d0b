"""All open connections of a server: how many there may be, which one has to go, and which read too slowly."""

import asyncio
import resource
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from typing import Protocol

import structlog

from omnireel.settings import Network

_MANY_FILES = 16_384
# Files reserved for the store, videos and downloads.
_OTHER_FILES = 512
_MAX_CHECK_S = 5.0

log = structlog.get_logger()


@dataclass(frozen=True)
class ConnectionLimits:
    """Limits on connections.

    max_per_address: of one client address, or of one IPv6 network of 64 bits
    min_bytes_per_s: slowest rate at which answers may be read
    max_slow_s:      how long a client may be behind that rate
    trusted:         proxies, which have many clients and so any number of connections
    """

    max_per_address: int
    min_bytes_per_s: int
    max_slow_s: float
    trusted: Sequence[Network] = ()


class OpenConnection(Protocol):
    """What is known of a connection here."""

    def late_s(self, min_bytes_per_s: int) -> float | None:
        """How much longer than allowed it has waited for its client; None while work is done for it."""

    def num_unread(self) -> int:
        """Bytes of answers that the client has not taken yet."""

    def num_written(self) -> int:
        """Bytes of answers in all."""

    def end(self, why: str) -> None:
        """Close it at once, whatever is unsent."""


@dataclass
class _Reading:
    """How a client reads. num_taken: bytes at the last check"""

    num_taken: int = 0
    late_s: float = 0.0


class Connections:
    """The open connections of one server."""

    def __init__(self, limits: ConnectionLimits) -> None:
        self._limits = limits
        self._groups: defaultdict[str, dict[OpenConnection, _Reading]] = defaultdict(dict)
        self._num_open = 0
        self._check_s = min(_MAX_CHECK_S, limits.max_slow_s / 4)
        self._check: asyncio.TimerHandle | None = None

    def add(self, connection: OpenConnection, address: str) -> None:
        """Count a new connection. If there are too many, the one that waits the longest for its client is closed.

        It is chosen among those of one address: that of the new one, or at the limit of the server the one with the
        most. It is the new one if work is done for all of them.
        """
        group = self._groups[_group_of(address)]
        group[connection] = _Reading()
        self._num_open += 1
        if self._check is None:
            self._check = asyncio.get_running_loop().call_later(self._check_s, self._end_slow_readers)
        if len(group) > self._limits.max_per_address and not self._is_trusted(address):
            self._end_one(group, "its address has too many connections")
        elif self._num_open > max_connections():
            largest = max(self._groups.values(), key=len)
            if not self._end_one(largest, "the server has too many connections"):
                self._end(connection, group, "the server has too many connections")

    def remove(self, connection: OpenConnection, address: str) -> None:
        """The connection has ended."""
        name = _group_of(address)
        if self._groups[name].pop(connection, None) is not None:
            self._num_open -= 1
        if not self._groups[name]:
            del self._groups[name]

    def end_all(self) -> None:
        """Close all connections at once."""
        for connection in self._all():
            connection.end("the server stops")

    def _all(self) -> list[OpenConnection]:
        return [connection for group in self._groups.values() for connection in group]

    def _is_trusted(self, address: str) -> bool:
        try:
            parsed = ip_address(address)
        except ValueError:
            return False
        if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped:
            parsed = parsed.ipv4_mapped
        return any(parsed in network for network in self._limits.trusted)

    def _end_one(self, group: dict[OpenConnection, _Reading], why: str) -> bool:
        """End the one that waits the longest; False if none waits."""
        late = {connection: connection.late_s(self._limits.min_bytes_per_s) for connection in group}
        waiting = {connection: late_s for connection, late_s in late.items() if late_s is not None}
        if not waiting:
            return False
        self._end(max(waiting, key=waiting.__getitem__), group, why)
        return True

    def _end(self, connection: OpenConnection, group: dict[OpenConnection, _Reading], why: str) -> None:
        del group[connection]  # not later: another may come before it has ended
        self._num_open -= 1
        connection.end(why)

    def _end_slow_readers(self) -> None:
        self._check = None
        for group in list(self._groups.values()):
            for connection, reading in list(group.items()):
                self._check_reading(connection, reading)
        if self._groups:
            self._check = asyncio.get_running_loop().call_later(self._check_s, self._end_slow_readers)

    def _check_reading(self, connection: OpenConnection, reading: _Reading) -> None:
        num_unread = connection.num_unread()
        num_taken = connection.num_written() - num_unread
        allowed_s = (num_taken - reading.num_taken) / self._limits.min_bytes_per_s
        reading.num_taken = num_taken
        reading.late_s = max(0.0, reading.late_s + self._check_s - allowed_s) if num_unread else 0.0
        if reading.late_s > self._limits.max_slow_s:
            connection.end("it reads too slowly")


def allow_many_files() -> None:
    """Raise the limit of open files to _MANY_FILES, or as far as the system allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < _MANY_FILES:
        wanted = _MANY_FILES if hard == resource.RLIM_INFINITY else min(hard, _MANY_FILES)
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def max_connections() -> int:
    """How many connections may be open at once. Each may have a file open as well.

    One that is still in its TLS handshake is not counted.
    """
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max((files - _OTHER_FILES) // 2, files // 4)


def _group_of(address: str) -> str:
    """Clients choose the lower half of an IPv6 address freely."""
    if ":" not in address:
        return address
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped:
        return str(parsed.ipv4_mapped)
    return parsed.packed[:8].hex()
