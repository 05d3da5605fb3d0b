"""A real server fetches the clips of requests from https addresses."""

import httpx
import pytest
from origin import Authority, Origin, file
from served import Server, make_clip

ID = "nvidia/nemotron-3-nano-omni/video"
LIMIT = 100_000


def clip_or_too_much(origin, sock):
    is_big = origin.requests[-1].startswith(b"GET /big")
    sock.sendall(file(bytes(LIMIT + 1) if is_big else make_clip()))


@pytest.fixture(scope="module")
def origin(authority):
    with Origin(clip_or_too_much, authority.server_context("127.0.0.1")) as origin:
        yield origin


@pytest.fixture(scope="module")
def authority():
    return Authority()


@pytest.fixture(scope="module")
def fetching(authority, origin, tmp_path_factory):
    """A server that may fetch from one loopback address and trusts the tests' certificate authority."""
    folder = tmp_path_factory.mktemp("fetching")
    authority.ca.cert_pem.write_to_path(folder / "ca.pem")
    variables = {
        "OMNIREEL_FETCH_ALLOW": "127.0.0.1",
        "OMNIREEL_FETCH_PORTS": f"{origin.port},9",
        "OMNIREEL_MAX_DOWNLOAD_BYTES": str(LIMIT),
        "SSL_CERT_FILE": str(folder / "ca.pem"),
    }
    with Server(folder, **variables) as server:
        yield server


def ask(server, video_url):
    body = {"prompt": "what moves", "video_url": video_url}
    return httpx.post(f"{server.url}/{ID}", json=body, timeout=30, trust_env=False)


def test_a_video_is_fetched_from_its_address(fetching, origin):
    answer = ask(fetching, f"https://127.0.0.1:{origin.port}/clip.mp4")
    assert answer.status_code == 200
    assert answer.json()["output"] == "echo: what moves"
    assert list((fetching.folder / "incoming").iterdir()) == []


def test_blocked_and_unreachable_addresses_get_the_same_body_and_the_log_says_which(fetching):
    bodies = {}
    for host in ("127.0.0.1:9", "127.0.0.2:9", "[::ffff:127.0.0.2]:9", "[64:ff9b::7f00:1]:9"):
        url = f"https://{host}/clip.mp4"
        answer = ask(fetching, url)
        assert answer.status_code == 422
        assert answer.json()["detail"][0]["type"] == "file_download_error"
        bodies[host] = answer.text.replace(url, "URL")
    assert len(set(bodies.values())) == 1
    events = [event["event"] for event in fetching.log()]
    assert any("127.0.0.2 is not allowed: loopback" in event for event in events)
    assert any("127.0.0.1: " in event for event in events), "a refused connection is logged too"


def test_a_server_fetches_nothing_from_loopback_by_default(server, origin):
    before = origin.num_connections
    assert ask(server, f"https://127.0.0.1:{origin.port}/clip.mp4").status_code == 422
    assert origin.num_connections == before


def test_a_file_beyond_the_limit_is_too_large_and_names_the_limit(fetching, origin):
    [problem] = ask(fetching, f"https://127.0.0.1:{origin.port}/big").json()["detail"]
    assert problem["type"] == "file_too_large"
    assert problem["ctx"]["max_size"] == LIMIT
    assert problem["loc"] == ["body", "video_url"]
