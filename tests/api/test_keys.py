"""Requests with and without keys to a real server with --auth keys."""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx
import pytest
from keyed import caller, create_key, revoke_key
from served import Server

ID = "nvidia/nemotron-3-nano-omni/video"
APP = "nvidia/nemotron-3-nano-omni"
PROXY = "/api/fal/proxy"


@pytest.fixture(scope="module")
def keyed():
    variables = {"OMNIREEL_AUTH": "keys", "OMNIREEL_TLS": "dev", "OMNIREEL_TLS_PORT": "0"}
    with tempfile.TemporaryDirectory() as folder, Server(Path(folder), **variables) as server:
        yield server


@pytest.fixture(scope="module")
def ann_key(keyed):
    return create_key(keyed.folder, account="ann")


@pytest.fixture(scope="module")
def keyless(keyed):
    """A client without a key."""
    with httpx.Client(base_url=keyed.url, timeout=30, trust_env=False) as client:
        yield client


@pytest.fixture(scope="module")
def ann_client(keyed, ann_key):
    """A client with ann's key."""
    with caller(keyed.url, ann_key) as client:
        yield client


@pytest.fixture
def body(clip_uri):
    return {"prompt": "hello there", "video_url": clip_uri}


def ended(client, status_url):
    while (answer := client.get(status_url)).status_code == 202:
        time.sleep(0.02)
    return answer.json()


def test_a_key_is_accepted_in_every_spelling(keyless, ann_key, body):
    for scheme in ("Key ", "key ", "KEY  ", "Bearer ", "bearer "):
        headers = {"authorization": scheme + ann_key}
        assert keyless.get(f"/queue/{APP}/requests/x/status", headers=headers).status_code == 404
    assert keyless.post(f"/{ID}", json=body, headers=headers).json()["output"] == "echo: hello there"
    target = headers | {"x-fal-target-url": f"https://fal.run/{ID}"}
    assert keyless.post(PROXY, json=body, headers=target).status_code == 200


@pytest.mark.parametrize(
    ("header", "words"),
    [
        (None, 'Cannot access application "nvidia/nemotron-3-nano-omni"'),
        ("", "<key_id>:<key_secret>"),
        ("Key", "<key_id>:<key_secret>"),
        ("Key nonsense", "<key_id>:<key_secret>"),
        ("Key :", "<key_id>:<key_secret>"),
        ("Digest a:b", "<key_id>:<key_secret>"),
        ("Key nobody:nothing", "Invalid key credentials."),
        ("Key ID:wrong", "Invalid key credentials."),
        ("Bearer ey.ey.ey", "Invalid key credentials."),
    ],
)
def test_a_request_without_a_valid_key_is_refused_before_any_work(keyless, ann_key, header, words):
    headers = {} if header is None else {"authorization": header.replace("ID", ann_key.partition(":")[0])}
    for method, path in (
        ("POST", f"/{ID}"),
        ("POST", f"/sync/{ID}/stream"),
        ("POST", f"/queue/{ID}"),
        ("GET", f"/queue/{APP}/requests/x/status"),
        ("PUT", f"/queue/{APP}/requests/x/cancel"),
        ("POST", "/rest/tokens/"),
        ("GET", "/nowhere"),
    ):
        answer = keyless.request(method, path, headers=headers)
        assert answer.status_code == 401
        assert words in answer.json()["detail"]
        assert answer.json()["message"] == answer.json()["detail"]
        assert answer.headers["x-fal-request-id"]
        assert answer.headers["x-fal-billable-units"] == "0"


def test_pages_without_private_data_need_no_key(keyless):
    for path in ("/health", "/health/ready", "/openapi.json"):
        assert keyless.get(path).status_code == 200
    assert keyless.get("/rest/.well-known/jwks.json").status_code != 401
    asked = {"origin": "https://page", "access-control-request-method": "POST"}
    preflight = keyless.options(f"/queue/{ID}", headers=asked)
    assert preflight.status_code == 200


def test_a_revoked_key_is_refused_at_once_and_its_jobs_still_run(keyed, keyless, body):
    key = create_key(keyed.folder, account="temp")
    with caller(keyed.url, key) as client:
        submitted = client.post(f"/queue/{ID}", json=body).json()
        revoke_key(keyed.folder, key)
        assert client.get(submitted["status_url"]).status_code == 401
        assert client.post(f"/{ID}", json=body).json()["detail"] == "Invalid key credentials."
    with caller(keyed.url, create_key(keyed.folder, account="temp")) as client:
        assert "error" not in ended(client, submitted["status_url"])


def test_a_job_of_another_account_looks_like_an_unknown_one(keyed, ann_client, body):
    submitted = ann_client.post(f"/queue/{ID}", json=body).json()
    ended(ann_client, submitted["status_url"])
    with caller(keyed.url, create_key(keyed.folder)) as other:
        for method, part in (("GET", ""), ("GET", "/status"), ("GET", "/status/stream"), ("PUT", "/cancel")):
            path = f"/queue/{APP}/requests/{{}}{part}"
            theirs = other.request(method, path.format(submitted["request_id"]))
            none = other.request(method, path.format("0" * 36))
            assert theirs.status_code == none.status_code == 404
            assert theirs.text.replace(submitted["request_id"], "0" * 36) == none.text
            if method == "GET":
                assert ann_client.request(method, path.format(submitted["request_id"])).status_code == 200


def test_a_temporary_token_runs_requests_and_nothing_else(keyless, ann_client, body):
    wanted = {"allowed_apps": ["nemotron-3-nano-omni"], "token_expiration": 120}
    token = ann_client.post("/rest/tokens/", json=wanted).json()
    stream = keyless.post(f"/sync/{ID}/stream?fal_jwt_token={token}", json=body)
    assert "echo: hello there" in stream.text
    bearer = {"authorization": f"Bearer {token}"}
    assert keyless.post(f"/{ID}", json=body, headers=bearer).status_code == 200
    assert keyless.post("/rest/tokens/", json=wanted, headers=bearer).status_code == 401
    head, claims, signature = token.split(".")
    for forged in (f"{head}.{claims}A.{signature}", f"{head}.{claims}.", f"{head}.{claims}"):
        assert keyless.post(f"/sync/{ID}/stream?fal_jwt_token={forged}", json=body).status_code == 401


def test_a_temporary_token_expires(keyless, ann_client, body):
    wanted = {"allowed_apps": ["nemotron-3-nano-omni"], "token_expiration": 1}
    token = ann_client.post("/rest/tokens/", json=wanted).json()
    time.sleep(1.1)
    assert keyless.post(f"/sync/{ID}/stream?fal_jwt_token={token}", json=body).status_code == 401
    wrong = ann_client.post("/rest/tokens/", json={"allowed_apps": ["other"], "token_expiration": 0}).json()
    assert [item["loc"][1] for item in wrong["detail"]] == ["allowed_apps", "token_expiration"]


def test_no_secret_is_written_to_the_data_directory(keyed, ann_client, ann_key, body):
    ann_client.post(f"/{ID}", json=body)
    secret = ann_key.partition(":")[2]
    for path in keyed.folder.rglob("*"):
        assert not path.is_file() or secret.encode() not in path.read_bytes(), path
    assert (keyed.folder / "pepper").stat().st_mode & 0o077 == 0


def test_the_official_client_runs_with_a_key_and_reports_a_wrong_one(keyed, ann_key, clip_uri):
    authority = keyed.tls_url.removeprefix("https://")
    program = """if True:
        import fal_client, sys
        try:
            print(fal_client.subscribe(sys.argv[1], arguments={"prompt": "hi", "video_url": sys.argv[2]}))
        except fal_client.client.FalClientHTTPError as error:
            print(error.status_code, error.message)
    """
    environment = os.environ | {
        "FAL_RUN_HOST": f"{authority}/sync",
        "FAL_QUEUE_RUN_HOST": f"{authority}/queue",
        "SSL_CERT_FILE": str(keyed.folder / "tls" / "ca.pem"),
    }

    def run(key):
        command = [sys.executable, "-c", program, ID, clip_uri]
        return subprocess.run(
            command,
            env=environment | {"FAL_KEY": key},
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        ).stdout

    assert "echo: hi" in run(ann_key)
    assert run("any:key").strip() == "401 Invalid key credentials."


def test_a_server_that_needs_keys_may_listen_on_every_address(tmp_path):
    variables = {"OMNIREEL_AUTH": "keys", "OMNIREEL_HOST": "0.0.0.0"}
    with Server(tmp_path, **variables) as server:
        assert httpx.get(f"{server.url}/health", trust_env=False).status_code == 200
