"""The log has no content of requests and no secrets, whichever route they were sent to."""

import json
import tempfile
import time
from pathlib import Path

import httpx
import pytest
from keyed import caller, create_key
from served import Server

ID = "nvidia/nemotron-3-nano-omni/video"
PROMPT, SYSTEM, SIGNATURE, CONTENT, HOOK, WRONG = (
    f"canary-of-the-{word}" for word in ("prompt", "system", "signature", "content", "hook", "wrong")
)
NOWHERE = f"https://127.0.0.1/clip.mp4?X-Amz-Signature={SIGNATURE}"
BODY = {"prompt": PROMPT, "system_prompt": SYSTEM}


@pytest.fixture(scope="module")
def keyed():
    with tempfile.TemporaryDirectory() as folder, Server(Path(folder), OMNIREEL_AUTH="keys") as server:
        yield server


@pytest.fixture(scope="module")
def key(keyed):
    return create_key(keyed.folder, account="ann")


def bodies(clip_uri):
    """Bodies that succeed, fail in the job, fail in validation, or are no objects."""
    yield BODY | {"video_url": clip_uri}
    yield BODY | {"video_url": NOWHERE}
    yield BODY | {"video_url": f"data:video/mp4;base64,{CONTENT}"}
    yield BODY | {"video_url": NOWHERE, "max_tokens": CONTENT, CONTENT[:5]: CONTENT}
    yield [PROMPT, CONTENT]


def test_no_route_logs_content_or_secrets(keyed, key, clip_uri):
    with caller(keyed.url, key) as client:
        routes = client.get("/openapi.json").json()["paths"]
    hook = {"fal_webhook": f"https://127.0.0.1/hook?token={HOOK}", "logs": "1", "X-Amz-Signature": SIGNATURE}
    num_answers = 0
    for who in (key, f"{key.partition(':')[0]}:{WRONG}", WRONG):
        with caller(keyed.url, who) as client:
            for path, methods in routes.items():
                address = path.replace("{", "").replace("}", "")
                for method in methods:
                    for body in bodies(clip_uri):
                        client.request(method, address, json=body, params=hook)
                        num_answers += 1
            client.post(
                "/api/fal/proxy",
                json=BODY,
                headers={"x-fal-target-url": f"https://fal.run/{ID}?k={SIGNATURE}"},
            )
            client.post(f"/{ID}", content=CONTENT.encode(), headers={"content-type": "application/json"})
    wait_for_lines(keyed, num_answers)
    text = keyed.log_path.read_text()
    for canary in (PROMPT, SYSTEM, SIGNATURE, CONTENT, HOOK, WRONG, key.partition(":")[2], "base64,"):
        assert canary not in text
    assert all(isinstance(json.loads(line), dict) for line in text.splitlines())


def wait_for_lines(server, number):
    ends_at = time.monotonic() + 30
    while sum(event["event"] == "request" for event in server.log()) < number and time.monotonic() < ends_at:
        time.sleep(0.1)
    assert sum(event["event"] == "request" for event in server.log()) >= number


def test_the_stores_files_hold_no_secret_of_a_key(keyed, key):
    secret = key.partition(":")[2].encode()
    stored = [path for path in keyed.folder.glob("omnireel.db*") if path.is_file()]
    assert stored
    for path in stored:
        assert secret not in path.read_bytes()


def test_an_upload_token_is_not_logged_when_its_address_comes_through_the_proxy(server, client):
    opened = client.post(
        "/storage/upload/initiate", json={"file_name": "a.mp4"}, headers={"host": "rest.fal.ai"}
    )
    path = httpx.URL(opened.json()["upload_url"]).path.removeprefix("/cdn")
    target = {"x-fal-target-url": f"https://v3.fal.media{path}"}
    answer = client.request("PUT", "/api/fal/proxy", content=b"x" * 100, headers=target)
    assert answer.status_code < 500
    assert path.rpartition("/")[2] not in server.log_path.read_text()
