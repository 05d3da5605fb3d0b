"""fal's own Python client, unmodified, uploads to a real server to which fal's host names resolve."""

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from served import Server, make_clip
from tunnel import Tunnel

from omnireel.cli.serving.recipes import recipe

ID = "nvidia/nemotron-3-nano-omni/video"
HEAD = """
import asyncio, hashlib, json, os, sys
from pathlib import Path
import httpx
import fal_client
ID, CLIP = sys.argv[1:]
def show(value): print(json.dumps(value))
def sha(data): return hashlib.sha256(data).hexdigest()
def get(url, **more): return httpx.get(url, timeout=60, **more)
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    variables = {"OMNIREEL_TLS": "dev", "OMNIREEL_TLS_PORT": "0"}
    with Server(tmp_path_factory.mktemp("fal uploads"), **variables) as server:
        yield server


@pytest.fixture(scope="module")
def program(server):
    """Runs a program that uses the client with fal's host names. Returns the values that it shows."""
    host, _, port = server.tls_url.removeprefix("https://").partition(":")
    clip = server.folder / "clip.mp4"
    clip.write_bytes(make_clip())
    with Tunnel((host, int(port))) as tunnel:
        environment = {key: value for key, value in os.environ.items() if "proxy" not in key.lower()} | {
            "HTTPS_PROXY": tunnel.url,
            "SSL_CERT_FILE": str(server.folder / "tls" / "ca.pem"),
            "FAL_KEY": "any:key",
        }

        def run(source):
            command = [sys.executable, "-c", HEAD + textwrap.dedent(source), ID, str(clip)]
            ran = subprocess.run(command, env=environment, capture_output=True, timeout=120, check=False)
            assert ran.returncode == 0, ran.stderr.decode()
            return [json.loads(line) for line in ran.stdout.splitlines()]

        yield run
        assert tunnel.hosts <= {
            f"{name}:443" for name in ("fal.run", "queue.fal.run", "rest.fal.ai", "v3.fal.media")
        }


def peak_mb(server):
    """The most memory that the server has used so far."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def test_an_uploaded_clip_is_asked_about_and_read_back(program):
    url, output, same, kind = program("""
        url = fal_client.upload_file(CLIP)
        show(url)
        show(fal_client.run(ID, arguments={"prompt": "hello", "video_url": url})["output"])
        back = get(url)
        show(back.content == Path(CLIP).read_bytes())
        show(back.headers["content-type"])
    """)
    assert url.startswith("https://v3.fal.media/files/")
    assert "clip" not in url
    assert (output, same, kind) == ("echo: hello", True, "video/mp4")


def test_the_other_repository_and_the_queue(program):
    url, output, old = program("""
        url = fal_client.upload_file(CLIP, repository="fal")
        show(url)
        show(fal_client.subscribe(ID, arguments={"prompt": "hello", "video_url": url})["output"])
        import warnings
        warnings.simplefilter("ignore")
        show(fal_client.upload(b"x" * 1024, "video/mp4", repository="cdn"))
    """)
    assert url.startswith("https://rest.fal.ai/cdn/files/")
    assert output == "echo: hello"
    assert old.startswith("https://v3.fal.media/files/")


def test_a_file_that_was_sent_in_parts_is_read_back_whole(program):
    found = program("""
        client = fal_client.client
        client.MULTIPART_THRESHOLD, client.MULTIPART_CHUNK_SIZE = 1 << 20, 1 << 18
        data = os.urandom((2 << 20) + 123)
        path = Path(CLIP).with_name("big.mp4")
        path.write_bytes(data)
        for url in (
            fal_client.upload(data, "video/mp4", file_name="big.mp4"),
            fal_client.upload_file(path),
            asyncio.run(fal_client.AsyncClient().upload(data, "video/mp4", file_name="big.mp4")),
        ):
            show([url.endswith(".mp4"), sha(get(url).content) == sha(data)])
    """)
    assert found == [[True, True]] * 3


def test_a_large_file_takes_no_memory(program, server):
    program('fal_client.upload(os.urandom(1024), "video/mp4")')
    before = peak_mb(server)
    found = program("""
        for size in (1024, 5_000_000, 95_000_000):
            data = os.urandom(1 << 20) * (size >> 20) + os.urandom(size & 0xFFFFF)
            url = fal_client.upload(data, "application/octet-stream")
            end = get(url, headers={"range": "bytes=-7"})
            show([end.headers["etag"] == f'"{sha(data)}"', end.content == data[-7:]])
    """)
    assert found == [[True, True]] * 3
    assert peak_mb(server) - before < 24


def test_the_clients_lifecycle_names_are_understood(program):
    url, refused = program("""
        from fal_client.client import StorageSettings, StorageACL, FalClientHTTPError
        closed = StorageSettings(expires_in="1h", initial_acl=StorageACL(default="forbid"))
        show(fal_client.upload(b"x", "video/mp4", lifecycle=closed))
        try:
            open_to_all = StorageSettings(initial_acl=StorageACL(default="allow"))
            fal_client.upload(b"x", "video/mp4", lifecycle=open_to_all)
        except FalClientHTTPError as error:
            show([error.status_code, error.message])
    """)
    assert url
    assert refused[0] == 400
    assert "their owners only" in refused[1]


def test_a_clip_in_the_request_needs_no_upload(program):
    (output,) = program("""
        clip = fal_client.encode_file(CLIP)
        show(fal_client.run(ID, arguments={"prompt": "hello", "video_url": clip})["output"])
    """)
    assert output == "echo: hello"


def test_the_printed_upload_command_keeps_the_type_of_the_file(server, program):
    ca = server.folder / "tls" / "ca.pem"
    text = recipe(server.url, server.tls_url, ca)
    (command,) = [line for line in text.splitlines() if "--data-binary" in line]
    ran = subprocess.run(
        ["bash", "-c", command],
        cwd=server.folder,
        env={"PATH": os.environ["PATH"], "no_proxy": "*"},
        capture_output=True,
        timeout=60,
        check=True,
    )
    stored = json.loads(ran.stdout)
    assert (stored["content_type"], stored["access_url"].endswith(".mp4")) == ("video/mp4", True)


def test_what_works_on_every_machine_is_named_before_what_needs_fals_host_names():
    text = recipe("http://127.0.0.1:8000", "https://127.0.0.1:8443", Path("ca.pem"))
    assert 0 < text.index("fal_client.encode_file") < text.index("fal_client.upload_file")
    assert "rest.fal.ai" in text
