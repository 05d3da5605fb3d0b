"""Who may keep a connection: limits for each address, slow readers, pipelining, and what HTTP does not allow."""

import json
import socket
import time
from contextlib import ExitStack, suppress
from functools import partial
from urllib.parse import urlsplit

import httpx
import pytest
from served import ENDPOINT_ID, Server, data_uri, make_clip

MIB = 1024 * 1024
MAX_EACH = 60
LIMITS = {
    "OMNIREEL_MAX_CONNECTIONS_PER_ADDRESS": str(MAX_EACH),
    "OMNIREEL_MAX_SLOW_S": "3",
    "OMNIREEL_MIN_BYTES_PER_S": "20000",
    "OMNIREEL_ECHO_TOKEN_S": "0.1",
}
BODY = {"prompt": "hello", "video_url": data_uri(make_clip(seconds=0.3))}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with Server(tmp_path_factory.mktemp("limits"), **LIMITS) as server:
        yield server


@pytest.fixture
def client(server):
    with httpx.Client(base_url=server.url, timeout=30, trust_env=False) as client:
        yield client


def connect(server, *, small_window=False):
    parts = urlsplit(server.url)
    connection = socket.socket()
    if small_window:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.settimeout(30)
    connection.connect((parts.hostname, parts.port))
    return connection


def head(method, path, *headers, length=0):
    lines = [f"{method} {path} HTTP/1.1", "Host: x", f"Content-Length: {length}", *headers, "", ""]
    return "\r\n".join(lines).encode()


def is_closed(connection):
    """Reads to the end: a refusal may come first."""
    with suppress(ConnectionError):
        while connection.recv(65536):
            pass
    return True


def answers_soon(ask, path):
    """A new connection is closed as long as the server works on the heads of all others."""
    deadline = time.monotonic() + 20
    while True:
        try:
            assert ask(path).status_code == 200
            return
        except httpx.TransportError:
            assert time.monotonic() < deadline


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"GET / HTTP/1.1\r\nHo",
        head("POST", f"/{ENDPOINT_ID}", "Content-Type: application/json", length=10_000),
    ],
    ids=["nothing", "part of a head", "a head"],
)
def test_more_silent_connections_than_one_address_may_have_lock_nobody_out(server, client, sent):
    with ExitStack() as stack:
        silent = [stack.enter_context(connect(server)) for _ in range(MAX_EACH + 20)]
        for connection in silent:
            with suppress(ConnectionError):
                connection.sendall(sent)
        answers_soon(client.get, "/health")
        answers_soon(partial(client.post, json=BODY), f"/{ENDPOINT_ID}")
        assert is_closed(silent[0]), "the oldest one had to go"


def test_a_client_that_reads_its_file_too_slowly_is_disconnected(server, client):
    name = client.post("/cdn/files/upload", content=b"x" * 16 * MIB, headers={"content-type": "video/mp4"})
    path = urlsplit(name.json()["access_url"]).path
    with connect(server, small_window=True) as slow:
        slow.sendall(head("GET", path))
        slow.settimeout(1)
        began, is_open = time.monotonic(), True
        while is_open and time.monotonic() - began < 40:
            time.sleep(0.5)
            with suppress(TimeoutError):
                is_open = bool(slow.recv(1))
            server_closed = any(line["event"] == "connection closed" for line in server.log())
            is_open = is_open and not server_closed
    assert not is_open
    assert client.get(path).content == b"x" * 16 * MIB


def test_a_client_that_never_reads_a_short_answer_is_disconnected_too(server):
    """The answer fits into the server's buffers, so nothing waits for the client."""
    with connect(server, small_window=True) as idle:
        before = len(server.log())
        with suppress(ConnectionError):
            for _ in range(8000):
                idle.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n")
        until = time.monotonic() + 40
        while not any(line["event"] == "connection closed" for line in server.log()[before:]):
            assert time.monotonic() < until
            time.sleep(0.2)


def test_a_disconnect_is_noticed_although_another_request_was_pipelined(server, client):
    text = json.dumps(BODY | {"prompt": "w " * 1000}).encode()
    with connect(server) as connection:
        connection.sendall(
            head("POST", f"/{ENDPOINT_ID}", "Content-Type: application/json", length=len(text)) + text
        )
        connection.sendall(head("GET", "/health") * 3)
        time.sleep(1)
        running = client.get("/platform/v1/models/requests/by-endpoint").json()["items"]
    until = time.monotonic() + 20
    while True:
        ended = client.get("/platform/v1/models/requests/by-endpoint").json()["items"]
        if len(ended) > len(running) and ended[0]["status_code"] == 499:
            break
        assert time.monotonic() < until
        time.sleep(0.1)


def test_pipelined_requests_are_answered_in_their_order(server):
    text = json.dumps(BODY).encode()
    asked = head("POST", f"/{ENDPOINT_ID}", "Content-Type: application/json", length=len(text)) + text
    with connect(server) as connection:
        connection.sendall(asked + head("GET", "/health"))
        time.sleep(0.1)
        connection.sendall(head("GET", "/llms.txt") + head("GET", "/nothing", "Connection: close"))
        received = b""
        while chunk := connection.recv(65536):
            received += chunk
    found = [received.index(part) for part in (b"echo: hello", b'"sandbox"', b"# ", b"not found")]
    assert found == sorted(found)
    assert received.count(b"HTTP/1.1 ") == 4


@pytest.mark.parametrize(
    "sent",
    [
        b"GET http://other.example/health HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
        b"CONNECT other.example:443 HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
    ids=["absolute form", "two hosts", "connect"],
)
def test_a_request_that_two_servers_could_understand_differently_gets_400(server, sent):
    with connect(server) as connection:
        connection.sendall(sent)
        assert connection.recv(65536).startswith(b"HTTP/1.1 400 ")
