"""Every address that a client may use reaches the same routes, and answers name that address."""

import asyncio
import time
from ipaddress import ip_network

import httpx
import pytest
from served import Server
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from omnireel.api.middleware.hosts import FalHost, FalHostRouting, base_url_of

ID = "nvidia/nemotron-3-nano-omni/video"
APP = "nvidia/nemotron-3-nano-omni"
PROXY = "/api/fal/proxy"


@pytest.fixture
def run_body(clip_uri):
    return {"prompt": "what moves", "video_url": clip_uri}


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        (f"/{ID}", {}),
        (f"/sync/{ID}/", {}),
        (f"/{ID}", {"host": "fal.run"}),
        (f"/{ID}/", {"host": "fal.run:443"}),
        (f"/{ID}", {"host": "anything.example"}),
        (f"/{ID}", {"host": "api.fal.ai"}),
        (f"/sync/{ID}", {"host": "queue.fal.run"}),
        (PROXY, {"x-fal-target-url": f"https://fal.run/{ID}"}),
        (PROXY + "/", {"x-fal-target-url": f"https://FAL.run/{ID}/?x=1"}),
    ],
)
def test_a_run_works_by_prefix_by_host_and_by_proxy(client, run_body, path, headers):
    answer = client.post(path, json=run_body, headers=headers)
    assert answer.status_code == 200, answer.text
    assert answer.json()["output"] == "echo: what moves"


@pytest.mark.parametrize(
    "target",
    [
        None,
        "",
        "https://evil.example/x",
        "https://fal.run.evil.example/x",
        "https://evil.example/fal.run",
        "https://fal.run@evil.example/x",
        "https://user@fal.run/x",
        "https://fal.run:8443/x",
        "http://fal.run/x",
        "file:///etc/passwd",
        "//fal.run/x",
        "fal.run/x",
        "https://[x/",
        "https://127.0.0.1/health",
    ],
)
def test_the_proxy_route_serves_fals_own_hosts_and_never_forwards(client, target):
    headers = {} if target is None else {"x-fal-target-url": target}
    answer = client.post(PROXY, json={}, headers=headers)
    body = answer.json()
    assert answer.status_code == 400
    assert body["error_type"] == answer.headers["x-fal-error-type"] == "bad_request"
    assert body["detail"] == body["message"]
    assert "x-fal-target-url" in body["detail"]
    assert len(answer.headers["x-fal-request-id"]) == 36


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/health", 200),
        ("GET", "/openapi.json", 200),
        ("GET", "/llms.txt", 200),
        ("GET", "/nowhere", 404),
        ("PUT", "/health", 405),
        ("POST", "/sync/nvidia/nemotron-3-nano-omni/video", 422),
    ],
)
def test_no_answer_runs_in_a_browser_or_names_the_software(client, method, path, status):
    answer = client.request(method, path)
    assert answer.status_code == status
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-security-policy"] == "sandbox; default-src 'none'"
    assert "server" not in answer.headers


def test_a_refused_target_is_not_echoed_at_length(client):
    answer = client.post(PROXY, headers={"x-fal-target-url": "https://evil.example/" + "x" * 5000})
    assert answer.status_code == 400
    assert len(answer.text) < 1000


@pytest.mark.parametrize(
    ("path", "headers", "detail"),
    [
        ("/nowhere", {}, "Path /nowhere not found"),
        ("/sync", {}, "Path / not found"),
        ("/models", {}, f"Path /models not found. The model is described at /models/{APP}/video."),
        ("/synchronous", {}, "Path /synchronous not found"),
        ("/v1", {}, "Path /v1 not found"),
        ("/v1/chat/completions", {}, 'Application "v1/chat" not found'),
        ("/fal-ai/flux/dev", {}, 'Application "fal-ai/flux" not found'),
        ("/queue/fal-ai/flux", {}, 'Application "fal-ai/flux" not found'),
        (f"/{APP}/x", {"host": "queue.fal.run"}, f"Path /{APP}/x not found"),
        ("/storage/nowhere", {"host": "rest.fal.ai"}, "Path /storage/nowhere not found"),
        (PROXY, {"x-fal-target-url": "https://fal.run/health"}, "Path /health not found"),
        (PROXY, {"x-fal-target-url": f"https://fal.run{PROXY}"}, 'Application "api/fal" not found'),
    ],
)
def test_an_unknown_path_is_named_as_the_client_wrote_it(client, path, headers, detail):
    answer = client.post(path, headers=headers)
    assert (answer.status_code, answer.json()["detail"]) == (404, detail)


@pytest.mark.parametrize("host", ["127.0.0.1", "queue.fal.run", "rest.fal.ai"])
def test_pages_are_served_under_every_host_name(client, host):
    for path in ("/health", "/health/", "/health/ready", "/openapi.json"):
        assert client.get(path, headers={"host": host}).status_code == 200


def test_the_log_names_the_target_of_a_proxied_request(client, server):
    answer = client.post(PROXY, headers={"x-fal-target-url": f"https://fal.run/{ID}?secret=1"})
    request_id, ends_at = answer.headers["x-fal-request-id"], time.monotonic() + 10
    # The line is written after the response was sent.
    while not (lines := [e for e in server.log() if e.get("request_id") == request_id]):
        assert time.monotonic() < ends_at
        time.sleep(0.02)
    [line] = lines
    assert (line["path"], line["target"]) == (PROXY, f"/sync/{ID}")


async def _report(request: Request) -> JSONResponse:
    base_url = base_url_of(request)
    return JSONResponse({
        "path": request.scope["path"],
        "raw_path": request.scope["raw_path"].decode(),
        "query": str(request.query_params),
        "url": base_url.url("/x"),
        "upload": base_url.url("/f", FalHost.CDN),
    })  # fmt: skip


@pytest.fixture
def seen_by_route():
    """What a route behind `FalHostRouting` sees of a request."""
    app = Starlette(routes=[Route("/{rest:path}", _report, methods=["GET"])])

    async def get(routing, url, *, client, headers):
        transport = httpx.ASGITransport(routing, client=(client, 1))
        async with httpx.AsyncClient(transport=transport) as http:
            return (await http.get(url, headers=headers)).json()

    def report(path, *, client="127.0.0.1", trusted=(), scheme="http", allowed=("*",), **headers):
        networks = [ip_network(net) for net in trusted]
        routing = FalHostRouting(app, pages=["/", "/health"], trusted=networks, allowed_hosts=allowed)
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        return asyncio.run(get(routing, f"{scheme}://box:8000{path}", client=client, headers=sent))

    return report


CANONICAL = [
    ("/a/b", {}, "/sync/a/b", "http://box:8000/x"),
    ("/sync/a/b", {}, "/sync/a/b", "http://box:8000/sync/x"),
    ("/queue/a/b", {}, "/queue/a/b", "http://box:8000/queue/x"),
    ("/rest/a/", {}, "/rest/a/", "http://box:8000/rest/x"),
    ("/cdn/a", {}, "/cdn/a", "http://box:8000/cdn/x"),
    ("/platform/v1/models", {}, "/platform/v1/models", "http://box:8000/platform/x"),
    ("/v1/models", {}, "/sync/v1/models", "http://box:8000/x"),
    ("/v1/models", {"host": "api.fal.ai"}, "/platform/v1/models", "http://api.fal.ai/x"),
    ("/v1/models", {"host": "API.fal.ai:80"}, "/platform/v1/models", "http://API.fal.ai/x"),
    ("/v10/models", {"host": "api.fal.ai"}, "/sync/v10/models", "http://api.fal.ai/x"),
    ("/a/b", {"host": "api.fal.ai"}, "/sync/a/b", "http://api.fal.ai/x"),
    ("/v1/models", {"host": "api.box.lan"}, "/sync/v1/models", "http://api.box.lan/x"),
    ("/queues/a", {}, "/sync/queues/a", "http://box:8000/x"),
    ("/a/b", {"host": "queue.fal.run"}, "/queue/a/b", "http://queue.fal.run/x"),
    ("/a/b", {"host": "QUEUE.box.lan:81"}, "/queue/a/b", "http://QUEUE.box.lan:81/x"),
    ("/a", {"host": "rest.fal.ai"}, "/rest/a", "http://rest.fal.ai/x"),
    ("/a", {"host": "v3.fal.media:80"}, "/cdn/a", "http://v3.fal.media/x"),
    ("/a", {"host": "queue"}, "/sync/a", "http://queue/x"),
    ("/a", {"host": "queueing.example"}, "/sync/a", "http://queueing.example/x"),
    ("/cdn/a", {"host": "rest.fal.ai"}, "/cdn/a", "http://rest.fal.ai/cdn/x"),
    ("/queue/a", {"host": "[::1]:8000"}, "/queue/a", "http://[::1]:8000/queue/x"),
    ("/queue/a", {"host": "a b/<x>"}, "/queue/a", "http://box:8000/queue/x"),
    ("/health", {"host": "queue.fal.run"}, "/health", "http://queue.fal.run/x"),
    ("/", {}, "/", "http://box:8000/x"),
]


@pytest.mark.parametrize(("url", "headers", "path", "returned"), CANONICAL)
def test_each_address_has_one_canonical_path_and_answers_name_that_address(
    seen_by_route, url, headers, path, returned
):
    seen = seen_by_route(url, **headers)
    assert (seen["path"], seen["raw_path"], seen["url"]) == (path, path, returned)


def test_the_query_and_escapes_are_kept(seen_by_route):
    seen = seen_by_route("/a/b%20c?logs=1&x=%2F", host="queue.fal.run")
    assert (seen["path"], seen["raw_path"]) == ("/queue/a/b c", "/queue/a/b%20c")
    assert seen["query"] == "logs=1&x=%2F"


def test_a_proxied_request_has_its_targets_path_and_query_and_our_address(seen_by_route):
    target = "https://queue.fal.run/a/b%20c/status?logs=1"
    seen = seen_by_route(f"{PROXY}?ignored=1", x_fal_target_url=target)
    assert (seen["path"], seen["raw_path"]) == ("/queue/a/b c/status", "/queue/a/b%20c/status")
    assert seen["query"] == "logs=1"
    assert seen["url"] == "http://box:8000/queue/x"
    assert seen["upload"] == "http://box:8000/cdn/f"


def test_every_fal_host_is_reachable_from_every_other(seen_by_route):
    assert seen_by_route("/rest/a")["upload"] == "http://box:8000/cdn/f"
    assert seen_by_route("/a", host="rest.fal.ai", scheme="https")["upload"] == "https://rest.fal.ai/cdn/f"


FORWARDED = {
    "x_forwarded_proto": "https",
    "x_forwarded_host": "queue.example.org",
    "x_forwarded_prefix": "/reel/",
}


def test_forwarded_headers_are_used_from_a_trusted_proxy_only(seen_by_route):
    assert seen_by_route("/a", **FORWARDED)["url"] == "http://box:8000/x"
    assert (
        seen_by_route("/a", client="10.1.2.4", trusted=["10.1.2.3/32"], **FORWARDED)["url"]
        == "http://box:8000/x"
    )
    for client in ("10.1.2.3", "::ffff:10.1.2.3"):
        seen = seen_by_route("/a", client=client, trusted=["10.0.0.0/8"], **FORWARDED)
        assert (seen["path"], seen["url"]) == ("/queue/a", "https://queue.example.org/reel/x")


def test_a_forwarded_port_is_used_and_the_nearest_proxys_host(seen_by_route):
    forwarded = {"x_forwarded_host": "lie.example, box.example:1", "x_forwarded_port": "444"}
    assert (
        seen_by_route("/queue/a", trusted=["127.0.0.1"], **forwarded)["url"]
        == "http://box.example:444/queue/x"
    )
    bad = {"x_forwarded_prefix": "//evil.example/\\", "x_forwarded_proto": "gopher"}
    assert seen_by_route("/queue/a", trusted=["127.0.0.1"], **bad)["url"] == "http://box:8000/queue/x"


def preflight(client, path, *, method="POST", headers="authorization,content-type,x-fal-queue-priority"):
    sent = {
        "origin": "https://page.example",
        "access-control-request-method": method,
        "access-control-request-headers": headers,
    }
    return client.options(path, headers=sent)


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
@pytest.mark.parametrize("path", [f"/{ID}", f"/queue/{ID}", PROXY, "/health"])
def test_a_browser_may_send_what_the_official_client_sends(client, path, method):
    answer = preflight(client, path, method=method)
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-credentials" not in answer.headers
    assert method in answer.headers["access-control-allow-methods"]
    allowed = answer.headers["access-control-allow-headers"].lower()
    assert {"authorization", "content-type", "x-fal-queue-priority"} <= set(allowed.split(","))


def test_a_browser_may_send_our_own_headers_too_and_no_other_method(client):
    assert preflight(client, f"/{ID}", headers="x-omnireel-anything").status_code == 200
    assert preflight(client, f"/{ID}", method="PATCH").status_code == 400


def test_a_web_page_may_read_answers_refusals_and_the_official_headers(client, run_body):
    origin = {"origin": "https://page.example"}
    for answer in (
        client.post(f"/{ID}", json=run_body, headers=origin),
        client.post(f"/{ID}", json={}, headers=origin),
        client.post(PROXY, headers=origin),
        client.get("/nowhere", headers=origin),
    ):
        assert answer.headers["access-control-allow-origin"] == "*"
        exposed = set(answer.headers["access-control-expose-headers"].split(", "))
        assert exposed == {
            "x-fal-request-id",
            "x-fal-billable-units",
            "x-fal-request-timeout-type",
            "x-fal-error-type",
            "x-omnireel-ignored-fields",
            "etag",
            "content-range",
        }


def test_a_setting_lists_the_origins_that_may_read_answers(tmp_path):
    with Server(tmp_path, OMNIREEL_CORS_ORIGINS="https://a.example, http://b.example:81") as server:
        for origin, allowed in (
            ("https://a.example", "https://a.example"),
            ("http://b.example:81", "http://b.example:81"),
            ("https://c.example", None),
        ):
            answer = httpx.get(f"{server.url}/health", headers={"origin": origin})
            assert answer.headers.get("access-control-allow-origin") == allowed
            assert "origin" in answer.headers["vary"].lower()


@pytest.mark.parametrize(
    "host", ["box.lan", "BOX.lan:81", "box.lan.", "a.example.com", "example.com", "[::1]:8000"]
)
def test_an_allowed_host_is_served(seen_by_route, host):
    assert "upload" in seen_by_route("/a", host=host, allowed=("box.lan", ".example.com", "[::1]"))


@pytest.mark.parametrize(
    "host", ["evil.example", "notexample.com", "box.lan.evil.example", "xbox.lan", "127.0.0.1"]
)
def test_a_host_that_is_not_allowed_is_refused_without_its_name(seen_by_route, host):
    answer = seen_by_route("/a", host=host, allowed=("box.lan", ".example.com"))
    assert answer["detail"] == "This host name is not allowed."


def test_the_host_that_a_trusted_proxy_names_is_checked(seen_by_route):
    allowed = {
        "allowed": ("public.example",),
        "trusted": ["10.0.0.0/8"],
        "x_forwarded_host": "public.example",
    }
    assert "upload" in seen_by_route("/a", client="10.1.2.3", host="inner:8000", **allowed)
    assert "detail" in seen_by_route("/a", client="11.1.2.3", host="inner:8000", **allowed)
