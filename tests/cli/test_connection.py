"""Limits on the head of a request, tested with raw bytes that are sent to a real server."""

import re
import resource
import socket
import time
from contextlib import ExitStack, suppress
from urllib.parse import urlsplit

import pytest
from served import Server

from omnireel.cli.serving.connection import MAX_HEAD_BYTES, MAX_HEAD_S, MAX_HEADERS


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with Server(tmp_path_factory.mktemp("edge")) as server:
        yield server


def connect(server):
    parts = urlsplit(server.url)
    return socket.create_connection((parts.hostname, parts.port), timeout=MAX_HEAD_S + 10)


def answer(connection):
    """All bytes until the server closes the connection."""
    received = b""
    while chunk := connection.recv(65536):
        received += chunk
    return received


def answer_to(server, *sent):
    with connect(server) as connection:
        for part in sent:
            connection.sendall(part)
        return answer(connection)


def answers(server):
    with suppress(ConnectionError):
        return answer_to(server, request()).startswith(b"HTTP/1.1 200 ")
    return False


def request(*headers):
    return b"\r\n".join(
        [b"GET /health HTTP/1.1", b"Host: localhost", b"Connection: close", *headers, b"", b""]
    )


def test_a_head_within_the_limits_is_answered(server):
    many = [b"X-%d: 1" % n for n in range(MAX_HEADERS - 2)]
    long = b"X-Long: " + b"a" * (MAX_HEAD_BYTES - 200)
    assert answer_to(server, request(*many)).startswith(b"HTTP/1.1 200 ")
    assert answer_to(server, request(long)).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    "sent",
    [
        request(*[b"X-%d: 1" % n for n in range(MAX_HEADERS - 1)]),
        request(b"X-Long: " + b"a" * MAX_HEAD_BYTES),
        b"GET /" + b"a" * MAX_HEAD_BYTES + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ],
    ids=["headers", "a header's bytes", "the address's bytes"],
)
def test_a_head_beyond_a_limit_gets_431_and_the_connection_is_closed(server, sent):
    assert answer_to(server, sent).startswith(b"HTTP/1.1 431 Request Header Fields Too Large\r\n")


def test_a_header_that_never_ends_is_not_kept_in_memory(server):
    with connect(server) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Long: ")
        with pytest.raises(ConnectionError):
            connection.sendall(b"a" * 64 * 1024 * 1024)


BODY = b"5\r\nhello\r\n0\r\n\r\n"


@pytest.mark.parametrize(
    "headers",
    [
        [b"Content-Length: 5", b"Transfer-Encoding: chunked"],
        [b"Transfer-Encoding: chunked", b"Content-Length: 5"],
        [b"Content-Length: 5", b"Content-Length: 6"],
        [b"Content-Length: +5"],
        [b"Content-Length: 5, 5"],
        [b"Transfer-Encoding: chunked, identity"],
        [b"X-Folded: a", b" b"],
        [b"Bad Name: a"],
        [b"X-Nul: a\0b"],
        [b"X-Lone: a\rb"],
    ],
    ids=lambda headers: b" / ".join(headers).decode(),
)
def test_a_head_that_two_servers_could_read_differently_gets_400(server, headers):
    sent = request(*headers).replace(b"GET /health", b"POST /sync/x") + BODY
    assert answer_to(server, sent).startswith(b"HTTP/1.1 400 Bad Request\r\n")


def test_bytes_that_are_not_http_get_400_and_the_connection_is_closed(server):
    assert answer_to(server, b"\x16\x03\x01 hello\r\n\r\n").startswith(b"HTTP/1.1 400 Bad Request\r\n")


def test_a_head_that_does_not_arrive_in_time_gets_408(server):
    began = time.monotonic()
    with connect(server) as silent, connect(server) as half:
        half.sendall(b"GET / HTTP/1.1\r\nHost: ")
        for connection in (silent, half):
            assert answer(connection).startswith(b"HTTP/1.1 408 ")
            assert MAX_HEAD_S - 1 < time.monotonic() - began < MAX_HEAD_S + 5


def test_the_server_survives_more_connections_than_it_may_open_files(tmp_path):
    files = 160
    with Server(tmp_path) as server, ExitStack() as connections:
        resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (files, files))
        idle = [connections.enter_context(connect(server)) for _ in range(files)]
        for connection in idle[: files // 2]:
            with suppress(ConnectionResetError):
                assert connection.recv(100) == b""
        connections.close()
        until = time.monotonic() + 20
        while not (is_answered := answers(server)) and time.monotonic() < until:
            time.sleep(0.1)
        assert is_answered


def test_a_head_that_arrives_byte_by_byte_gets_no_more_time(server):
    with connect(server) as connection:
        began, is_open = time.monotonic(), True
        connection.settimeout(0.5)
        connection.sendall(b"GET / HTTP/1.1\r\n")
        while is_open and time.monotonic() - began < MAX_HEAD_S + 5:
            try:
                connection.sendall(b"X")
                is_open = bool(connection.recv(1000))
            except TimeoutError:
                continue
            except ConnectionError:
                is_open = False
        assert not is_open
        assert time.monotonic() - began < MAX_HEAD_S + 4


def test_a_second_request_on_a_connection_has_its_own_limits(server):
    with connect(server) as connection:
        for _ in range(3):
            connection.sendall(
                request(b"X-Long: " + b"a" * (MAX_HEAD_BYTES // 2)).replace(b"close", b"keep-alive")
            )
            received = b""
            while b"\r\n\r\n" not in received:
                received += connection.recv(65536)
            assert received.startswith(b"HTTP/1.1 200 ")
            head, _, body = received.partition(b"\r\n\r\n")
            length = int(re.search(rb"content-length: (\d+)", head)[1])
            while len(body) < length:
                body += connection.recv(65536)
