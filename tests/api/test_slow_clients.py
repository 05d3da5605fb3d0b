"""Clients that send slowly, or nothing, hold up nobody else, and are ended."""

import socket
import time
from contextlib import ExitStack
from urllib.parse import urlsplit

import httpx
import pytest
from served import ENDPOINT_ID, Server

MANY = 70
MAX_HEALTH_S = 2.0  # generous, because tests share the machine


@pytest.fixture(scope="module")
def impatient(tmp_path_factory):
    """A server that answers few at once, and waits for slow clients for some seconds."""
    limits = {"OMNIREEL_MAX_SLOW_S": "4", "OMNIREEL_MIN_BYTES_PER_S": "1000"}
    with Server(tmp_path_factory.mktemp("slow"), OMNIREEL_MAX_REQUESTS="8", **limits) as server:
        yield server


@pytest.fixture
def client(impatient):
    with httpx.Client(base_url=impatient.url, timeout=30, trust_env=False) as client:
        yield client


def announce(server, path, sent=b"", length=100_000):
    """A connection that announces a JSON body and sends only its beginning."""
    parts = urlsplit(server.url)
    connection = socket.create_connection((parts.hostname, parts.port), timeout=30)
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
    connection.sendall(head.encode() + sent)
    return connection


def answer(connection):
    """All bytes until the server closes the connection or has sent an answer."""
    received = b""
    while b"too slowly" not in received and (chunk := connection.recv(65536)):
        received += chunk
    return received


@pytest.mark.parametrize("sent", [b"", b'{"prompt": "' + b"a" * 1500], ids=["nothing", "half"])
def test_callers_are_served_while_many_announce_bodies_and_do_not_send_them(
    impatient, client, clip_uri, sent
):
    body = {"prompt": "hello", "video_url": clip_uri}
    paths = (f"/{ENDPOINT_ID}", f"/{ENDPOINT_ID}/stream", f"/{ENDPOINT_ID}/estimate")
    with ExitStack() as open_connections:
        silent = [
            open_connections.enter_context(announce(impatient, paths[n % 3], sent)) for n in range(MANY)
        ]
        assert [client.post(path, json=body).status_code for path in paths] == [200, 200, 200]
        began = time.monotonic()
        assert client.get("/health").status_code == 200
        assert time.monotonic() - began < MAX_HEALTH_S
        for connection in silent:
            received = answer(connection)
            assert received.startswith(b"HTTP/1.1 400 ")
            assert b"The body arrived too slowly." in received


def test_a_body_that_drips_is_ended_although_bytes_keep_coming(impatient):
    with announce(impatient, f"/queue/{ENDPOINT_ID}") as connection:
        connection.settimeout(0.1)
        began, received = time.monotonic(), b""
        while not received and time.monotonic() - began < 30:
            connection.sendall(b" ")
            try:
                received = connection.recv(65536)
            except TimeoutError:
                continue
    assert received.startswith(b"HTTP/1.1 400 ")


def test_a_slow_beginning_is_made_up_for_by_what_follows(impatient, clip_uri):
    text = b'{"prompt": "hello", "video_url": "%s"}' % clip_uri.encode()
    with announce(impatient, f"/{ENDPOINT_ID}", length=len(text)) as connection:
        time.sleep(1.5)
        connection.sendall(text[:5000])
        time.sleep(1.5)
        connection.sendall(text[5000:-1])
        time.sleep(1.5)
        connection.sendall(text[-1:])
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")
