"""A server that is asked to stop ends in the time that it is given, whatever its clients do."""

import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from urllib.parse import urlsplit

import httpx
import pytest
from served import ENDPOINT_ID, Server, data_uri, make_clip

from omnireel.store.sqlite.database import connect

BODY = {"prompt": "w " * 1000, "video_url": data_uri(make_clip(seconds=0.3))}
VARIABLES = {"OMNIREEL_SHUTDOWN_S": "1", "OMNIREEL_ECHO_TOKEN_S": "0.2", "OMNIREEL_MAX_RUNNING": "1"}


@pytest.mark.timeout(120)
def test_callers_get_503_and_readers_hold_nothing_up(tmp_path):
    with (
        Server(tmp_path, **VARIABLES) as server,
        httpx.Client(base_url=server.url, timeout=60, trust_env=False) as client,
        ThreadPoolExecutor(2) as callers,
        socket.socket() as reader,
        socket.socket() as silent,
    ):
        stored = client.post("/cdn/files/upload", content=b"x" * 16_000_000).json()["access_url"]
        parts = urlsplit(stored)
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        for connection in (reader, silent):
            connection.connect((parts.hostname, parts.port))
        reader.sendall(f"GET {parts.path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        silent.sendall(f"POST /{ENDPOINT_ID} HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n".encode())
        silent.sendall(b"Content-Type: application/json\r\n\r\n")
        asked = [callers.submit(client.post, f"/{ENDPOINT_ID}", json=BODY) for _ in range(2)]
        until = time.monotonic() + 30
        while not any((tmp_path / "incoming").iterdir()):
            assert time.monotonic() < until
            time.sleep(0.02)
        time.sleep(0.5)  # one of them runs, and the other one waits
        assert server.stop() == 0
        answers = [answer.result() for answer in asked]
    assert [answer.status_code for answer in answers] == [503, 503]
    assert {answer.json()["error_type"] for answer in answers} == {"runner_disconnected"}


@pytest.mark.timeout(120)
def test_a_request_that_two_callers_wait_for_outlasts_the_server_and_may_be_asked_for_again(tmp_path):
    body, key = BODY | {"prompt": "a b c d e f g h i j k l"}, {"idempotency-key": "once"}
    with (
        Server(tmp_path, **VARIABLES | {"OMNIREEL_SHUTDOWN_S": "0.2"}) as server,
        ThreadPoolExecutor(2) as callers,
        closing(connect(tmp_path / "omnireel.db", reads_only=True)) as db,
    ):
        asked = [callers.submit(call, server, body, key) for _ in range(2)]
        until = time.monotonic() + 30
        while not db.execute("SELECT 1 FROM jobs WHERE pinned_to IS NULL AND state = 'running'").fetchall():
            assert time.monotonic() < until
            time.sleep(0.02)
        assert server.stop() == 0
        assert [one.result().status_code for one in asked] == [503, 503]
    with Server(tmp_path) as server:
        assert call(server, body, key).json()["output"] == f"echo: {body['prompt']}"


def call(server, body, headers):
    return httpx.post(f"{server.url}/{ENDPOINT_ID}", json=body, headers=headers, timeout=60, trust_env=False)
