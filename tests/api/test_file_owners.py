"""A file belongs to the account that sent it. Other accounts cannot read it or ask about it."""

import pytest
from keyed import create_key, revoke_key
from served import make_clip
from starlette.testclient import TestClient

from omnireel.api.app import create_app
from omnireel.backends.echo import EchoBackend
from omnireel.settings import Settings

ID = "nvidia/nemotron-3-nano-omni/video"


@pytest.fixture(scope="module")
def caller(tmp_path_factory):
    """Makes clients with the key of an account; for "", a client without a key."""
    folder = tmp_path_factory.mktemp("owners")
    app = create_app(EchoBackend(), Settings(data_dir=folder, auth="keys"))
    with TestClient(app) as client:
        client.folder = folder
        sent = {name: f"Key {create_key(folder, account=name)}" for name in ("ann", "bob")}
        yield lambda account: _Caller(client, {"authorization": sent[account]} if account else {})


class _Caller:
    def __init__(self, client, key):
        self.client, self.key = client, key

    def __getattr__(self, method):
        def send(url, headers=(), **more):
            return getattr(self.client, method)(url, headers=self.key | dict(headers), **more)

        return send

    def ask(self, url):
        return self.post(f"/sync/{ID}", json={"prompt": "hi", "video_url": url})


def test_only_its_owner_can_use_a_file(caller):
    ann, bob = caller("ann"), caller("bob")
    url = ann.post("/cdn/files/upload", content=make_clip()).json()["access_url"]
    assert ann.get(url).status_code == 200
    assert ann.ask(url).json()["output"] == "echo: hi"
    unknown = url.replace(url.rpartition("/")[2], "x" * 32)
    assert bob.get(url).status_code == bob.head(url).status_code == 404
    assert bob.get(url).json() == bob.get(unknown).json()
    refused, never = bob.ask(url), bob.ask(unknown)
    assert refused.status_code == 422
    assert refused.text.replace(url, "") == never.text.replace(unknown, "")
    assert caller("").get(url).status_code == caller("").ask(url).status_code == 401


def test_only_its_owner_gets_an_estimate_of_a_file(caller):
    ann, bob = caller("ann"), caller("bob")
    url = ann.post("/cdn/files/upload", content=make_clip()).json()["access_url"]
    asked = {"prompt": "hi", "video_url": url}
    assert ann.post(f"/sync/{ID}/estimate", json=asked).status_code == 200
    assert bob.post(f"/sync/{ID}/estimate", json=asked).status_code == 422


def test_a_cdn_token_replaces_the_key_of_its_account(caller):
    ann, keyless = caller("ann"), caller("")
    token = ann.post("/rest/storage/auth/token?storage_type=fal-cdn-v3", json={}).json()
    bearer = {"authorization": f"{token['token_type']} {token['token']}"}
    url = keyless.post("/cdn/files/upload", content=make_clip(), headers=bearer).json()["access_url"]
    assert ann.ask(url).status_code == 200
    assert keyless.get(url, headers=bearer).status_code == 200
    for wrong in ({}, {"authorization": "Bearer wrong"}):
        assert keyless.get(url, headers=wrong).status_code == 401
        assert keyless.post("/cdn/files/upload", content=b"x", headers=wrong).status_code == 401


def test_an_upload_address_is_enough_to_send_the_bytes(caller):
    ann, keyless = caller("ann"), caller("")
    named = {"file_name": "a.mp4", "content_type": "video/mp4"}
    opened = ann.post("/rest/storage/upload/initiate", json=named).json()
    assert keyless.put(opened["upload_url"], content=make_clip()).status_code == 200
    assert ann.get(opened["file_url"]).status_code == 200


def test_only_its_owner_can_delete_a_file(caller):
    ann, bob = caller("ann"), caller("bob")
    url = ann.post("/cdn/files/upload", content=make_clip()).json()["access_url"]
    assert bob.delete(url).status_code == 404
    assert caller("").delete(url).status_code == 401
    assert ann.get(url).status_code == 200
    assert ann.delete(url).status_code == 204
    assert ann.get(url).status_code == ann.delete(url).status_code == 404
    assert ann.ask(url).status_code == 422


def test_all_that_a_key_was_good_for_ends_with_it(caller):
    """Temporary tokens, tokens for the CDN host, and uploads that it has opened; not what it has stored."""
    ann, keyless = caller("ann"), caller("")
    key = create_key(ann.client.folder, account="ann")
    lost = _Caller(ann.client, {"authorization": f"Key {key}"})
    bearer = {"authorization": f"Bearer {lost.post('/rest/storage/auth/token', json={}).json()['token']}"}
    token = lost.post("/rest/tokens/", json={"allowed_apps": ["nemotron-3-nano-omni"]}).json()
    opened = [lost.post("/rest/storage/upload/initiate", json={}).json() for _ in range(2)]
    by_token = keyless.post("/cdn/files/upload/multipart", headers=bearer).json()
    stored = keyless.put(opened[0]["upload_url"], content=make_clip())
    assert stored.status_code == 200
    revoke_key(ann.client.folder, key)
    part = f"{by_token['access_url']}/multipart/{by_token['uploadId']}/1"
    assert keyless.post("/cdn/files/upload", content=b"x", headers=bearer).status_code == 401
    assert keyless.get(opened[0]["file_url"], headers=bearer).status_code == 401
    assert keyless.post(f"/sync/{ID}?fal_jwt_token={token}", json={}).status_code == 401
    assert keyless.put(opened[1]["upload_url"], content=b"x").status_code == 404
    assert keyless.put(part, content=b"x").status_code == 404
    assert ann.get(opened[0]["file_url"]).status_code == 200
