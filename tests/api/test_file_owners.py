"""A file belongs to whoever sent it: nobody else reads it, asks about it or goes on with its upload."""

import pytest
from keyed import create_key
from served import make_clip
from starlette.testclient import TestClient

from omnireel.api.app import create_app
from omnireel.backends.echo import EchoBackend
from omnireel.settings import Settings

ID = "nvidia/nemotron-3-nano-omni/video"


@pytest.fixture(scope="module")
def caller(tmp_path_factory):
    """A client with the key of an account; "" has none."""
    folder = tmp_path_factory.mktemp("owners")
    app = create_app(EchoBackend(), Settings(data_dir=folder, auth="keys"))
    with TestClient(app) as client:
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


def test_a_file_is_its_owners_alone(caller):
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


def test_an_estimate_of_an_uploaded_file_is_its_owners_alone(caller):
    ann, bob = caller("ann"), caller("bob")
    url = ann.post("/cdn/files/upload", content=make_clip()).json()["access_url"]
    asked = {"prompt": "hi", "video_url": url}
    assert ann.post(f"/sync/{ID}/estimate", json=asked).status_code == 200
    assert bob.post(f"/sync/{ID}/estimate", json=asked).status_code == 422


def test_a_cdn_token_stands_for_the_account_that_asked_for_it(caller):
    ann, nobody = caller("ann"), caller("")
    token = ann.post("/rest/storage/auth/token?storage_type=fal-cdn-v3", json={}).json()
    bearer = {"authorization": f"{token['token_type']} {token['token']}"}
    url = nobody.post("/cdn/files/upload", content=make_clip(), headers=bearer).json()["access_url"]
    assert ann.ask(url).status_code == 200
    assert nobody.get(url, headers=bearer).status_code == 200
    for wrong in ({}, {"authorization": "Bearer wrong"}):
        assert nobody.get(url, headers=wrong).status_code == 401
        assert nobody.post("/cdn/files/upload", content=b"x", headers=wrong).status_code == 401


def test_an_upload_address_is_all_that_it_takes_to_send_the_bytes(caller):
    ann, nobody = caller("ann"), caller("")
    named = {"file_name": "a.mp4", "content_type": "video/mp4"}
    opened = ann.post("/rest/storage/upload/initiate", json=named).json()
    assert nobody.put(opened["upload_url"], content=make_clip()).status_code == 200
    assert ann.get(opened["file_url"]).status_code == 200
