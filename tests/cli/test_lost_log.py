"""A server whose log nobody reads, or whose log is lost, goes on with its work."""

import fcntl
import json
import os
import subprocess
import sys
import time
from contextlib import contextmanager

import httpx
import pytest
from served import ENDPOINT_ID, data_uri, make_clip

CLIP = data_uri(make_clip())


@contextmanager
def logging_into_a_pipe(folder):
    """A server, its address and the end of a small pipe that its log arrives at."""
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    code = "import omnireel.cli; omnireel.cli.main()"
    command = [
        sys.executable,
        "-c",
        code,
        "serve",
        "--port",
        "0",
        "--backend",
        "echo",
        "--data-dir",
        str(folder),
    ]
    server = subprocess.Popen(command, stdout=writer, stderr=writer, cwd=folder)
    os.close(writer)
    log = os.fdopen(reader, "rb", buffering=0)
    try:
        first = json.loads(next(line for line in log if b"listening" in line))
        yield server, first["url"], log
    finally:
        log.close()
        server.kill()
        server.wait()


def run_a_job(client):
    body = {"prompt": "hello", "video_url": CLIP}
    job = client.post(f"/queue/{ENDPOINT_ID}", json=body).json()
    until = time.monotonic() + 30
    while client.get(job["status_url"]).json()["status"] != "COMPLETED":
        assert time.monotonic() < until
        time.sleep(0.02)
    assert client.get(job["response_url"]).json()["output"] == "echo: hello"
    assert client.post(f"/{ENDPOINT_ID}", json=body).json()["output"] == "echo: hello"


@pytest.mark.parametrize("reader", ["gone", "stopped"])
def test_a_server_works_and_ends_without_a_reader_of_its_log(tmp_path, reader):
    with (
        logging_into_a_pipe(tmp_path) as (server, url, log),
        httpx.Client(base_url=url, timeout=30, trust_env=False) as client,
    ):
        if reader == "gone":
            log.close()
        for _ in range(80):  # more entries than the pipe holds
            assert client.get("/health").status_code == 200
        run_a_job(client)
        assert client.get("/health/ready").status_code == 200
        if reader == "gone":
            assert client.get("/health").json()["dropped_log_entries"] > 80
        server.terminate()
        assert server.wait(30) == 0
