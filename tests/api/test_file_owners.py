"""A file belongs to whoever sent it: nobody else reads it, asks about it or goes on with its upload."""

import pytest
from served import make_clip
from starlette.testclient import TestClient

from omnireel.api.app import create_app
from omnireel.backends.echo import EchoBackend
from omnireel.settings import Settings

ID = "nvidia/nemotron-3-nano-omni/video"


@pytest.fixture(scope="module", params=["none", "keys"])
def auth(request):
    return request.param


@pytest.fixture(scope="module")
def caller(auth, tmp_path_factory):
    """A client of one account; accounts are told apart in front of the application."""
    app = create_app(EchoBackend(), Settings(data_dir=tmp_path_factory.mktemp("owners"), auth=auth))

    async def as_account(scope, receive, send):
        if scope["type"] == "http":
            owner = dict(scope["headers"]).get(b"x-account", b"").decode()
            scope.setdefault("state", {})["owner"] = owner
        await app(scope, receive, send)

    with TestClient(as_account) as client:
        yield lambda account: _Caller(client, account)


class _Caller:
    def __init__(self, client, account):
        self.client, self.account = client, account

    def __getattr__(self, method):
        def send(url, headers=(), **more):
            named = {"x-account": self.account} | dict(headers)
            return getattr(self.client, method)(url, headers=named, **more)

        return send

    def ask(self, url):
        return self.post(f"/sync/{ID}", json={"prompt": "hi", "video_url": url})


def test_a_file_is_its_owners_alone(caller, auth):
    ann, bob = caller("ann"), caller("bob")
    url = ann.post("/cdn/files/upload", content=make_clip()).json()["access_url"]
    assert ann.get(url).status_code == 200
    assert ann.ask(url).json()["output"] == "echo: hi"
    unknown = url.replace(url.rpartition("/")[2], "x" * 32)
    for stranger in (bob, caller("")) if auth == "none" else (bob,):
        assert stranger.get(url).status_code == stranger.head(url).status_code == 404
        assert stranger.get(url).json() == stranger.get(unknown).json()
        refused, never = stranger.ask(url), stranger.ask(unknown)
        assert refused.status_code == 422
        assert refused.text.replace(url, "") == never.text.replace(unknown, "")


def test_a_cdn_token_stands_for_the_account_that_asked_for_it(caller, auth):
    ann, nobody = caller("ann"), caller("")
    token = ann.post("/rest/storage/auth/token?storage_type=fal-cdn-v3", json={}).json()
    bearer = {"authorization": f"{token['token_type']} {token['token']}"}
    url = nobody.post("/cdn/files/upload", content=make_clip(), headers=bearer).json()["access_url"]
    assert ann.ask(url).status_code == 200
    assert nobody.get(url, headers=bearer).status_code == 200
    for wrong in ({}, {"authorization": "Bearer wrong"}):
        assert nobody.get(url, headers=wrong).status_code == (404 if auth == "none" else 401)
        sent = nobody.post("/cdn/files/upload", content=b"x", headers=wrong)
        assert sent.status_code == (200 if auth == "none" else 401)


def test_an_upload_address_is_all_that_it_takes_to_send_the_bytes(caller):
    ann, nobody = caller("ann"), caller("")
    named = {"file_name": "a.mp4", "content_type": "video/mp4"}
    opened = ann.post("/rest/storage/upload/initiate", json=named).json()
    assert nobody.put(opened["upload_url"], content=make_clip()).status_code == 200
    assert ann.get(opened["file_url"]).status_code == 200
