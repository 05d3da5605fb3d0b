"""Who may come in, from outside: a real server with --auth keys."""

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
def ann(keyed):
    return create_key(keyed.folder, account="ann")


@pytest.fixture(scope="module")
def stranger(keyed):
    """Talks to the server without a key."""
    with httpx.Client(base_url=keyed.url, timeout=30, trust_env=False) as client:
        yield client


@pytest.fixture(scope="module")
def anns(keyed, ann):
    """Talks to the server with ann's key."""
    with caller(keyed.url, ann) as client:
        yield client


@pytest.fixture
def body(clip_uri):
    return {"prompt": "hello there", "video_url": clip_uri}


def ended(client, status_url):
    while (answer := client.get(status_url)).status_code == 202:
        time.sleep(0.02)
    return answer.json()


def test_a_key_is_taken_in_every_spelling(stranger, ann, body):
    for scheme in ("Key ", "key ", "KEY  ", "Bearer ", "bearer "):
        headers = {"authorization": scheme + ann}
        assert stranger.get(f"/queue/{APP}/requests/x/status", headers=headers).status_code == 404
    assert stranger.post(f"/{ID}", json=body, headers=headers).json()["output"] == "echo: hello there"
    target = headers | {"x-fal-target-url": f"https://fal.run/{ID}"}
    assert stranger.post(PROXY, json=body, headers=target).status_code == 200


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
def test_whoever_has_no_key_is_refused_before_any_work(stranger, ann, header, words):
    headers = {} if header is None else {"authorization": header.replace("ID", ann.partition(":")[0])}
    for method, path in (
        ("POST", f"/{ID}"),
        ("POST", f"/sync/{ID}/stream"),
        ("POST", f"/queue/{ID}"),
        ("GET", f"/queue/{APP}/requests/x/status"),
        ("PUT", f"/queue/{APP}/requests/x/cancel"),
        ("POST", "/rest/tokens/"),
        ("GET", "/nowhere"),
    ):
        answer = stranger.request(method, path, headers=headers)
        assert answer.status_code == 401
        assert words in answer.json()["detail"]
        assert answer.json()["message"] == answer.json()["detail"]
        assert answer.headers["x-fal-request-id"]
        assert answer.headers["x-fal-billable-units"] == "0"


def test_what_tells_nothing_of_anybody_stays_open(stranger):
    for path in ("/health", "/health/ready", "/openapi.json"):
        assert stranger.get(path).status_code == 200
    assert stranger.get("/rest/.well-known/jwks.json").status_code != 401
    asked = {"origin": "https://page", "access-control-request-method": "POST"}
    preflight = stranger.options(f"/queue/{ID}", headers=asked)
    assert preflight.status_code == 200


def test_a_revoked_key_is_refused_at_once_and_its_jobs_still_run(keyed, stranger, body):
    key = create_key(keyed.folder, account="temp")
    with caller(keyed.url, key) as client:
        submitted = client.post(f"/queue/{ID}", json=body).json()
        revoke_key(keyed.folder, key)
        assert client.get(submitted["status_url"]).status_code == 401
        assert client.post(f"/{ID}", json=body).json()["detail"] == "Invalid key credentials."
    with caller(keyed.url, create_key(keyed.folder, account="temp")) as client:
        assert "error" not in ended(client, submitted["status_url"])


def test_another_owners_job_is_as_unknown_as_none(keyed, anns, body):
    submitted = anns.post(f"/queue/{ID}", json=body).json()
    ended(anns, submitted["status_url"])
    with caller(keyed.url, create_key(keyed.folder)) as other:
        for method, part in (("GET", ""), ("GET", "/status"), ("GET", "/status/stream"), ("PUT", "/cancel")):
            path = f"/queue/{APP}/requests/{{}}{part}"
            theirs = other.request(method, path.format(submitted["request_id"]))
            none = other.request(method, path.format("0" * 36))
            assert theirs.status_code == none.status_code == 404
            assert theirs.text.replace(submitted["request_id"], "0" * 36) == none.text
            if method == "GET":
                assert anns.request(method, path.format(submitted["request_id"])).status_code == 200


def test_a_temporary_token_runs_requests_and_nothing_else(stranger, anns, body):
    wanted = {"allowed_apps": ["nemotron-3-nano-omni"], "token_expiration": 120}
    token = anns.post("/rest/tokens/", json=wanted).json()
    stream = stranger.post(f"/sync/{ID}/stream?fal_jwt_token={token}", json=body)
    assert "echo: hello there" in stream.text
    bearer = {"authorization": f"Bearer {token}"}
    assert stranger.post(f"/{ID}", json=body, headers=bearer).status_code == 200
    assert stranger.post("/rest/tokens/", json=wanted, headers=bearer).status_code == 401
    head, claims, signature = token.split(".")
    for forged in (f"{head}.{claims}A.{signature}", f"{head}.{claims}.", f"{head}.{claims}"):
        assert stranger.post(f"/sync/{ID}/stream?fal_jwt_token={forged}", json=body).status_code == 401


def test_a_token_ends(stranger, anns, body):
    wanted = {"allowed_apps": ["nemotron-3-nano-omni"], "token_expiration": 1}
    token = anns.post("/rest/tokens/", json=wanted).json()
    time.sleep(1.1)
    assert stranger.post(f"/sync/{ID}/stream?fal_jwt_token={token}", json=body).status_code == 401
    wrong = anns.post("/rest/tokens/", json={"allowed_apps": ["other"], "token_expiration": 0}).json()
    assert [item["loc"][1] for item in wrong["detail"]] == ["allowed_apps", "token_expiration"]


def test_no_secret_is_written_anywhere(keyed, anns, ann, body):
    anns.post(f"/{ID}", json=body)
    secret = ann.partition(":")[2]
    for path in keyed.folder.rglob("*"):
        assert not path.is_file() or secret.encode() not in path.read_bytes(), path
    assert (keyed.folder / "pepper").stat().st_mode & 0o077 == 0


def test_fals_own_client_runs_with_its_key_and_is_told_of_a_wrong_one(keyed, ann, clip_uri):
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

    assert "echo: hi" in run(ann)
    assert run("any:key").strip() == "401 Invalid key credentials."


def test_a_server_that_asks_for_keys_may_be_reached_from_outside(tmp_path):
    variables = {"OMNIREEL_AUTH": "keys", "OMNIREEL_HOST": "0.0.0.0"}
    with Server(tmp_path, **variables) as server:
        assert httpx.get(f"{server.url}/health", trust_env=False).status_code == 200
