"""A server to download from, with real sockets and real TLS. It behaves well, or badly on purpose."""

import socket
import ssl
import struct
import threading
from collections.abc import Callable
from contextlib import suppress

import trustme

NAME = "videos.example"
LOOPBACK = "127.0.0.1"

Behaviour = Callable[["Origin", socket.socket], None]


class Authority:
    """A certificate authority for the tests."""

    def __init__(self) -> None:
        self.ca = trustme.CA()

    def server_context(self, *names: str) -> ssl.SSLContext:
        """The TLS context of a server with a certificate for `names`."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.ca.issue_cert(*names).configure_cert(context)
        return context

    def trust(self) -> ssl.SSLContext:
        """The TLS context of a client that trusts only this authority."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.ca.configure_trust(context)
        return context


class Origin:
    """Listens on a loopback address and counts all connections, also those without a request.

    requests: the bytes of each request's head
    """

    def __init__(self, behave: Behaviour, tls: ssl.SSLContext | None, address: str = LOOPBACK) -> None:
        self.num_connections = 0
        self.requests: list[bytes] = []
        self._behave = behave
        self._tls = tls
        self._listener = socket.create_server((address, 0))
        self.port = self._listener.getsockname()[1]
        self._ends = threading.Event()
        self._sockets: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def __enter__(self) -> "Origin":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop listening and close all connections. Further calls do nothing."""
        self._ends.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that waits in accept
        self._listener.close()
        for sock in self._sockets:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)

    def wait(self, seconds: float) -> bool:
        """Pause. Returns True if the test is over."""
        return self._ends.wait(seconds)

    def is_disconnected(self, *, within_s: float) -> bool:
        """Whether every client closes its connection in time."""
        for thread in self._threads[1:]:
            thread.join(within_s)
        return not any(thread.is_alive() for thread in self._threads[1:])

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                sock, _ = self._listener.accept()
                self.num_connections += 1
                self._sockets.append(sock)
                thread = threading.Thread(target=self._serve, args=(sock,))
                self._threads.append(thread)
                thread.start()

    def _serve(self, sock: socket.socket) -> None:
        with suppress(OSError), sock:  # in most of these tests the client closes the connection early
            if self._tls is None:
                self._answer(sock)
                return
            with self._tls.wrap_socket(sock, server_side=True) as secured:
                self._answer(secured)

    def _answer(self, sock: socket.socket) -> None:
        if head := read_head(sock):
            self.requests.append(head)
            self._behave(self, sock)


def read_head(sock: socket.socket) -> bytes:
    """The bytes of a request up to its empty line; none if the client closes the connection before."""
    head = b""
    while b"\r\n\r\n" not in head:
        piece = sock.recv(4096)
        if not piece:
            return b""
        head += piece
    return head


class Names:
    """Replaces the resolver. Each lookup of a name returns its next answer; the last answer is repeated.

    asked: the names in the order of the lookups
    """

    def __init__(self, answers: dict[str, list[list[str]]] | None = None) -> None:
        self.asked: list[str] = []
        self._answers = {NAME: [[LOOPBACK]]} | (answers or {})

    async def resolve(self, host: str, port: int) -> list[str]:
        self.asked.append(host)
        answers = self._answers[host]
        return answers.pop(0) if len(answers) > 1 else answers[0]


def says(*pieces: bytes, gap_s: float = 0) -> Behaviour:
    """Sends `pieces`, waits between them, and closes the connection."""

    def behave(origin: Origin, sock: socket.socket) -> None:
        for piece in pieces:
            sock.sendall(piece)
            if gap_s and origin.wait(gap_s):
                return

    return behave


def repeats(start: bytes, piece: bytes, *, gap_s: float = 0) -> Behaviour:
    """Sends `start`, then `piece` again and again."""

    def behave(origin: Origin, sock: socket.socket) -> None:
        sock.sendall(start)
        while not origin.wait(gap_s):
            sock.sendall(piece)

    return behave


def redirects(*locations: str, last: Behaviour, status: int = 302) -> Behaviour:
    """Redirects each connection to the next of `locations`, then behaves as `last`."""
    left = iter(locations)

    def behave(origin: Origin, sock: socket.socket) -> None:
        location = next(left, None)
        if location is None:
            last(origin, sock)
        else:
            answer = f"HTTP/1.1 {status} Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n"
            sock.sendall(answer.encode("latin-1"))

    return behave


def resets(origin: Origin, sock: socket.socket) -> None:
    """Breaks the connection with a reset, in the middle of a response."""
    sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + bytes(1000))
    origin.wait(0.05)  # else the reset can overtake the bytes
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def one_after_the_other(*behaviours: Behaviour) -> Behaviour:
    """Each connection gets the next behaviour; further ones get the last."""
    left = list(behaviours)

    def behave(origin: Origin, sock: socket.socket) -> None:
        following = left.pop(0) if len(left) > 1 else left[0]
        following(origin, sock)

    return behave


def file(content: bytes, *headers: str, status: str = "200 OK") -> bytes:
    """A response with a Content-Length."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(content)}", *headers, "", ""]
    return "\r\n".join(lines).encode("latin-1") + content
