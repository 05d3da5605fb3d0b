"""A server on a full disk refuses new work before anything is stored, goes on with the rest, and recovers by itself."""

import os
import time

import pytest
from served import make_clip
from starlette.testclient import TestClient

from omnireel.api.app import create_app
from omnireel.backends.echo import EchoBackend
from omnireel.settings import Settings

ID = "nvidia/nemotron-3-nano-omni/video"
RESERVE = 10_000_000


@pytest.fixture
def client(tmp_path):
    settings = Settings(data_dir=tmp_path, min_free_bytes=RESERVE)
    with TestClient(create_app(EchoBackend(), settings)) as client:
        client.disk = client.app.state.supervisor.disk
        client.folder = tmp_path
        yield client


def free(client, num_bytes):
    """From now on the disk has so many bytes."""
    client.disk.statvfs = lambda _: os.statvfs_result((1, 1, 0, 0, num_bytes, 9, 9, 9, 0, 255))


def stored_rows(client):
    """Everything that the server keeps."""
    jobs = client.get("/platform/v1/models/requests/by-endpoint", params={"endpoint_id": ID})
    return jobs.json(), sorted(path.name for path in client.folder.glob("*/*"))


def ended(client, job):
    until = time.monotonic() + 60
    while client.get(job["status_url"]).status_code == 202:
        assert time.monotonic() < until
        time.sleep(0.02)
    return client.get(job["response_url"])


def test_a_full_disk_refuses_what_is_new_and_serves_what_is_there(client, clip_uri):
    body = {"prompt": "hi", "video_url": clip_uri}
    url = client.post("/cdn/files/upload", content=make_clip()).json()["access_url"]
    job = client.post(f"/queue/{ID}", json=body).json()
    assert ended(client, job).json()["output"] == "echo: hi"
    opened = client.post("/rest/storage/upload/initiate", json={}).json()
    before = stored_rows(client)
    free(client, RESERVE)
    for path in (f"/queue/{ID}", f"/{ID}", f"/sync/{ID}/stream"):
        refused = client.post(path, json=body)
        assert (refused.status_code, refused.json()["error_type"]) == (503, "insufficient_storage"), path
        assert int(refused.headers["retry-after"]) > 0
    for method, path, sent in (
        ("POST", "/cdn/files/upload", {"content": b"x"}),
        ("POST", "/rest/storage/upload/initiate", {"json": {}}),
        ("POST", "/rest/storage/upload/initiate-multipart", {"json": {}}),
        ("POST", "/cdn/files/upload/multipart", {}),
        ("PUT", opened["upload_url"], {"content": b"x"}),
    ):
        refused = client.request(method, path, **sent)
        assert (refused.status_code, refused.json()["error_type"]) == (507, "insufficient_storage"), path
    ready = client.get("/health/ready")
    assert (ready.status_code, ready.json()["status"]) == (503, "not ready")
    assert "disk is full" in ready.json()["detail"]
    assert str(client.folder) not in ready.text
    assert client.get("/health").status_code == client.get(url).status_code == 200
    assert client.get(job["response_url"]).status_code == 200
    assert stored_rows(client) == before
    free(client, 2 * RESERVE)
    assert client.get("/health/ready").status_code == 200
    assert client.post(f"/{ID}", json={"prompt": "hi", "video_url": url}).json()["output"] == "echo: hi"
    assert client.put(opened["upload_url"], content=b"x").status_code == 200


def test_an_upload_that_cannot_fit_is_refused_before_it_is_sent(client):
    free(client, RESERVE + 100)
    assert client.post("/cdn/files/upload", content=b"x" * 101).status_code == 507
    assert client.post("/cdn/files/upload", content=b"x" * 100).status_code == 200
    assert client.post("/cdn/files/upload", content=iter([b"x" * 60, b"x" * 60])).status_code == 507
    assert len(os.listdir(client.folder / "uploads")) == 1


def test_a_clip_in_a_request_that_cannot_fit_leaves_nothing(client, clip_uri):
    free(client, RESERVE + 100)
    refused = client.post(f"/queue/{ID}", json={"prompt": "hi", "video_url": clip_uri})
    assert (refused.status_code, refused.json()["error_type"]) == (503, "insufficient_storage")
    assert os.listdir(client.folder / "incoming") == []
