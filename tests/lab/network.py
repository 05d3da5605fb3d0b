"""A network namespace in which every address is this machine and every connection is recorded.

Run within `unshare --map-root-user --net --mount`: the kernel then takes every IPv4 and IPv6 address
as local, so that a connection to any of them is accepted here, on the ports that an attacker would try.
"""

from __future__ import annotations

import select
import socket
import ssl
import struct
import subprocess
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from ipaddress import IPv6Address, ip_address
from pathlib import Path
from urllib.parse import unquote

from origin import read_head

PORTS = (22, 80, 443, 6379, 8080, 8443, 9200)
_A, _AAAA = 1, 28


def make_every_address_local(folder: Path, *, unreachable: str) -> None:
    """Set up the routes, and this process as the only name server."""
    ipv4 = (
        "ip link set lo up",
        "ip route add local default dev lo",
        f"ip route add unreachable {unreachable}/32",
    )
    for command in (*ipv4, "ip -6 route add local default dev lo"):
        subprocess.run(command.split(), check=True)
    resolv = folder / "resolv.conf"
    resolv.write_text("nameserver 127.0.0.1\noptions timeout:2 attempts:1\n")
    subprocess.run(["mount", "--bind", str(resolv), str(Path("/etc/resolv.conf").resolve())], check=True)


class NameServer:
    """Answers A and AAAA over UDP. Each lookup of a name returns its next answer; the last one is repeated."""

    def __init__(self, zone: Mapping[str, Sequence[Sequence[str]]]) -> None:
        self._zone = zone
        self._asked: Counter[tuple[str, int]] = Counter()
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 53))
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            question, sender = self._socket.recvfrom(4096)
            self._socket.sendto(self._answer(question), sender)

    def _answer(self, question: bytes) -> bytes:
        labels, at = [], 12
        while size := question[at]:
            labels.append(question[at + 1 : at + 1 + size].decode("latin-1").lower())
            at += size + 1
        kind = struct.unpack("!H", question[at + 1 : at + 3])[0]
        name = ".".join(labels)
        answers = self._zone.get(name)
        found = [ip_address(text) for text in self._next(answers, name, kind)] if answers else []
        wanted = [a.packed for a in found if (4 if kind == _A else 6) == a.version and kind in (_A, _AAAA)]
        # TC is never set: glibc takes up to 64 KiB over UDP here.
        head = question[:2] + struct.pack("!HHHHH", 0x8180 if answers else 0x8183, 1, len(wanted), 0, 0)
        records = (struct.pack("!HHHIH", 0xC00C, kind, 1, 0, len(packed)) + packed for packed in wanted)
        return head + question[12 : at + 5] + b"".join(records)

    def _next(self, answers: Sequence[Sequence[str]], name: str, kind: int) -> Sequence[str]:
        number = self._asked[name, kind]
        self._asked[name, kind] += 1
        return answers[min(number, len(answers) - 1)]


class LocalInternet:
    """Servers on every address: a web server on port 443 of those in `public`, a trap on every other.

    trapped: the addresses of forbidden connections
    served:  the method and path of every request to the public addresses
    """

    def __init__(self, public: frozenset[str], tls: ssl.SSLContext, clip: bytes) -> None:
        self.trapped: list[str] = []
        self.served: list[str] = []
        self._public, self._tls, self._clip = public, tls, clip
        self._listeners = [
            _listener(family, port) for family in (socket.AF_INET, socket.AF_INET6) for port in PORTS
        ]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            for listener in select.select(self._listeners, [], [])[0]:
                threading.Thread(target=self._handle, args=(listener.accept()[0],), daemon=True).start()

    def _handle(self, sock: socket.socket) -> None:
        host, port = sock.getsockname()[:2]
        address = ip_address(host.partition("%")[0])
        plain = address.ipv4_mapped if isinstance(address, IPv6Address) and address.ipv4_mapped else address
        with sock:
            if port != 443 or str(plain) not in self._public:
                self.trapped.append(f"{plain} port {port}")
                return
            with suppress(OSError), self._tls.wrap_socket(sock, server_side=True) as secured:
                self._answer(secured)

    def _answer(self, sock: ssl.SSLSocket) -> None:
        head = read_head(sock)
        if not head:
            return
        method, path = head.decode("latin-1").split(" ")[:2]
        self.served.append(f"{method} {path}")
        if path.startswith("/redirect/"):
            _, _, status, target = path.split("/", 3)
            sock.sendall(
                f"HTTP/1.1 {status} X\r\nLocation: {unquote(target)}\r\nContent-Length: 0\r\n\r\n".encode()
            )
        else:
            sock.sendall(
                f"HTTP/1.1 200 OK\r\nContent-Length: {len(self._clip)}\r\n\r\n".encode() + self._clip
            )


def _listener(family: socket.AddressFamily, port: int) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6:
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    listener.bind(("::" if family == socket.AF_INET6 else "0.0.0.0", port))
    listener.listen(512)
    return listener
