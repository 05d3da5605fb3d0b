"""A server that cannot write its store says so with a status that clients repeat, and recovers by itself."""

import resource
from contextlib import contextmanager

import httpx
from served import Server

ID = "nvidia/nemotron-3-nano-omni/video"
BODY = {"prompt": "hi", "video_url": "https://127.0.0.1/x.mp4"}


@contextmanager
def unwritable(pid):
    """While this is open, each write of the process to a file fails, as on a disk that fails or is read-only."""
    limits = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, limits[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, limits)


def test_a_store_that_cannot_be_written_is_a_503_until_it_can_be_again(tmp_path):
    with Server(tmp_path) as server, httpx.Client(base_url=server.url, timeout=60) as client:
        job = client.post(f"/queue/{ID}", json=BODY).json()
        with unwritable(server.process.pid):
            for path, body in (
                (f"/queue/{ID}", BODY),
                (f"/{ID}", BODY),
                ("/rest/storage/upload/initiate", {}),
            ):
                refused = client.post(path, json=body)
                assert (refused.status_code, refused.headers["retry-after"]) == (503, "5"), path
                assert refused.json() == {
                    "detail": "The store cannot be written: its disk failed.",
                    "message": "The store cannot be written: its disk failed.",
                    "error_type": "storage_unavailable",
                }
                assert refused.headers["x-fal-error-type"] == "storage_unavailable"
            assert client.get(job["status_url"]).status_code in (200, 202)
            assert client.get("/health").status_code == 200
        assert client.post(f"/queue/{ID}", json=BODY).status_code == 200
