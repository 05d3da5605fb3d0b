"""Downloads over real sockets, from correct, faulty, stalled and slow servers."""

import asyncio
import contextlib
import gzip
import socket
import threading
import time
from importlib.metadata import version
from ipaddress import ip_network

import pytest
from origin import NAME, Names, file, redirects, repeats, says
from tunnel import Tunnel

from omnireel.net.download import download
from omnireel.net.errors import FetchError, TooLargeError
from omnireel.net.policy import EgressPolicy
from omnireel.net.proxy_tunnel import Proxy

MAX_BYTES = 1_000_000
CLIP = bytes(range(256)) * 1000
OK = says(file(CLIP))


def url(origin, path="/clip.mp4", scheme="https"):
    return f"{scheme}://{NAME}:{origin.port}{path}"


def test_a_file_arrives_as_it_is_and_the_request_has_only_the_headers_it_needs(
    serve, policy_for, fetched, monkeypatch
):
    origin = serve(OK)
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert fetched(url(origin, "/clip.mp4?a=ü#part"), policy_for(origin)) == CLIP
    assert origin.requests == [
        b"GET /clip.mp4?a=%C3%BC HTTP/1.1\r\n"
        + f"Host: {NAME}:{origin.port}\r\n".encode()
        + f"User-Agent: omnireel/{version('omnireel')} (+https://pypi.org/project/omnireel/)\r\n".encode()
        + b"Accept: */*\r\nAccept-Encoding: identity\r\nConnection: close\r\n\r\n"
    ]


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    "pieces",
    [
        (file(CLIP, "Content-Encoding: identity"),),
        (CHUNKED, b"3E800;x=y\r\n" + CLIP, b"\r\n0\r\nA-Trailer: x\r\n\r\n"),
        (
            CHUNKED,
            *(b"1\r\n%c\r\n" % byte for byte in CLIP[:500]),
            b"3E60C\r\n" + CLIP[500:],
            b"\r\n0\r\n\r\n",
        ),
        (b"HTTP/1.0 200 OK\r\n\r\n", CLIP),
        (b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n", file(CLIP)),
        (file(CLIP) + b"more than was announced",),
    ],
)
def test_every_framing_of_http_is_read(serve, policy_for, fetched, pieces):
    origin = serve(says(*pieces))
    assert fetched(url(origin), policy_for(origin)) == CLIP


@pytest.mark.parametrize(
    "lines",
    [
        ("Content-Encoding:",),
        ("Content-Encoding: identity",),
        ("Content-Encoding: None",),
        ("Content-Encoding: aws-chunked",),
        ("Content-Encoding: aws-chunked, identity",),
        ("Content-Encoding: aws-chunked", "Content-Encoding: "),
    ],
)
def test_a_coding_that_changes_nothing_is_no_coding(serve, policy_for, fetched, lines):
    origin = serve(says(file(CLIP, *lines)))
    assert fetched(url(origin), policy_for(origin)) == CLIP


def test_blanks_in_an_address_and_in_a_redirect_are_sent_percent_encoded(serve, policy_for, fetched):
    origin = serve(redirects("/my clip.mp4?a b", last=OK))
    assert fetched(f" {url(origin, '/first one.mp4')}\n", policy_for(origin)) == CLIP
    assert [request.split()[1] for request in origin.requests] == [
        b"/first%20one.mp4",
        b"/my%20clip.mp4?a%20b",
    ]


def test_a_file_of_exactly_the_limit_is_taken_and_one_byte_more_is_not(serve, policy_for, fetched, refusal):
    origin = serve(OK)
    assert fetched(url(origin), policy_for(origin, max_bytes=len(CLIP))) == CLIP
    error = refusal(url(origin), policy_for(origin, max_bytes=len(CLIP) - 1))
    assert isinstance(error, TooLargeError)
    assert (error.max_bytes, error.num_bytes) == (len(CLIP) - 1, len(CLIP))


@pytest.mark.parametrize(
    "behaviour",
    [
        says(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999\r\n\r\n"),
        repeats(b"HTTP/1.1 200 OK\r\n\r\n", bytes(65536)),
        repeats(CHUNKED, b"10000\r\n" + bytes(65536) + b"\r\n"),
    ],
    ids=["announced", "until the connection closes", "chunks"],
)
def test_an_endless_body_is_cut_off_at_the_limit(serve, policy_for, refusal, tmp_path, behaviour):
    origin = serve(behaviour)
    error = refusal(url(origin), policy_for(origin))
    assert isinstance(error, TooLargeError)
    assert error.max_bytes == MAX_BYTES
    path = tmp_path / "video"
    assert not path.exists() or path.stat().st_size <= MAX_BYTES


BROKEN = {
    "a length that is not reached": (
        says(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n12345"),
        "breaks off",
    ),
    "chunks without an end": (says(CHUNKED, b"5\r\n12345\r\n"), "breaks off"),
    "two lengths": (says(file(b"1234", "Content-Length: 5")), "proper HTTP"),
    "no length": (says(b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"), "proper HTTP"),
    "no HTTP": (says(b"SSH-2.0-OpenSSH\r\n\r\n"), "proper HTTP"),
    "nothing": (says(), "proper HTTP"),
    "one long header": (says(file(CLIP, "X: " + "x" * 30_000)), "proper HTTP"),
    "many headers": (says(file(CLIP, *["X: " + "x" * 100] * 300)), "proper HTTP"),
    "endless early hints": (repeats(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n"), "proper HTTP"),
    "a gzip bomb": (says(file(gzip.compress(bytes(50_000_000)), "Content-Encoding: gzip")), "compressed"),
    "two codings": (says(file(b"", "Content-Encoding: br", "Content-Encoding: identity")), "compressed"),
    "two codings in one line": (says(file(b"", "Content-Encoding: aws-chunked,gzip")), "compressed"),
    "a coded transfer": (says(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"), "proper HTTP"),
    "tiny chunks": (repeats(CHUNKED, b"1\r\nx\r\n" * 100), "too many small chunks"),
    "not found": (says(file(b"", status="404 Not Found")), "status 404"),
    "part": (says(file(b"x", status="206 Partial Content")), "status 206"),
    "no content": (says(b"HTTP/1.1 204 No Content\r\n\r\n"), "status 204"),
    "server error": (says(file(b"", status="500 Oops")), "status 500"),
    "a redirect to nowhere": (says(file(b"", status="302 Found")), "status 302"),
}


@pytest.mark.parametrize(("behaviour", "message"), BROKEN.values(), ids=BROKEN)
def test_a_response_that_is_not_a_plain_file_is_refused(serve, policy_for, refusal, behaviour, message):
    origin = serve(behaviour)
    error = refusal(url(origin), policy_for(origin))
    assert isinstance(error, FetchError)
    assert message in error.message


HALF = file(CLIP)[:-1000]
NO_MINIMUM_RATE = {"min_bytes_per_s": 0}
SLOW = {
    "slow headers": (repeats(b"HTTP/1.1 200 OK\r\n", b"X", gap_s=0.05), {"idle_s": 0.5}, "nothing arrived"),
    "no response": (repeats(b"", b"", gap_s=1), {"idle_s": 0.3}, "nothing arrived for 0.3 s"),
    "stalled body": (repeats(HALF, b"", gap_s=1), {"idle_s": 0.3}, "nothing arrived"),
    "slow body": (repeats(HALF, b"x", gap_s=0.05), {"slow_window_s": 0.3}, "less than 65536"),
    "total time": (repeats(HALF, b"x", gap_s=0.05), {"total_s": 0.5} | NO_MINIMUM_RATE, "longer than 0.5 s"),
}


@pytest.mark.parametrize("case", SLOW.values(), ids=SLOW)
def test_a_download_from_a_slow_server_is_ended(serve, policy_for, refusal, case):
    behaviour, limits, message = case
    origin = serve(behaviour)
    since = time.monotonic()
    error = refusal(url(origin), policy_for(origin, limits=limits))
    assert isinstance(error, FetchError)
    assert message in error.message
    assert time.monotonic() - since < 10


def test_a_download_does_not_block_the_event_loop(serve, policy_for, tmp_path):
    origin = serve(says(file(CLIP), gap_s=0.01))

    async def run():
        longest, last = 0.0, time.monotonic()
        task = asyncio.create_task(download(url(origin), tmp_path / "video", policy_for(origin)))
        while not task.done():
            await asyncio.sleep(0.001)
            longest, last = max(longest, time.monotonic() - last), time.monotonic()
        await task
        return longest

    assert asyncio.run(run()) < 1


def test_a_cancelled_download_closes_its_connection(serve, policy_for, tmp_path):
    origin = serve(repeats(CHUNKED, b"100\r\n" + bytes(256) + b"\r\n", gap_s=0.02))

    async def run():
        task = asyncio.create_task(download(url(origin), tmp_path / "video", policy_for(origin)))
        while not origin.requests:
            await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.wait({task}, timeout=5)
        assert task.cancelled()

    asyncio.run(run())
    assert origin.is_disconnected(within_s=5)


@pytest.mark.parametrize("holder", ["other.example", "127.0.0.1"])
def test_a_certificate_for_another_name_is_refused(serve, policy_for, refusal, holder):
    origin = serve(OK, names=(holder,))
    assert "certificate" in refusal(url(origin), policy_for(origin)).message
    assert origin.requests == []


def test_a_certificate_of_an_unknown_authority_is_refused(serve, policy_for, refusal):
    origin = serve(OK)
    trusting_the_system = policy_for(origin, trust=EgressPolicy(1).trust)
    assert "certificate" in refusal(url(origin), trusting_the_system).message
    assert origin.requests == []


def test_an_ip_address_is_checked_against_its_own_certificate(serve, policy_for, fetched):
    origin = serve(OK, names=("127.0.0.1",))
    assert fetched(f"https://127.0.0.1:{origin.port}/", policy_for(origin)) == CLIP


def test_http_is_allowed_only_by_the_operator(serve, policy_for, fetched, refusal):
    origin = serve(OK, plain=True)
    error = refusal(url(origin, scheme="http"), policy_for(origin))
    assert "http addresses are not allowed" in error.message
    assert "allow_http" in error.hint
    assert origin.num_connections == 0
    assert fetched(url(origin, scheme="http"), policy_for(origin, allow_http=True)) == CLIP


def test_a_port_that_is_not_allowed_is_refused_with_the_allowed_ones(serve, policy_for, refusal):
    origin = serve(OK)
    error = refusal(url(origin), policy_for())
    assert f"port {origin.port} is not allowed, only 443" in error.message
    assert origin.num_connections == 0


def test_a_network_that_is_both_denied_and_allowed_is_not_connected_to(serve, policy_for, refusal):
    origin = serve(OK)
    refusal(url(origin), policy_for(origin, deny=(ip_network("127.0.0.0/8"),)))
    assert origin.num_connections == 0


@pytest.mark.parametrize(
    "names",
    [
        {"deny_hosts": (NAME,)},
        {"deny_hosts": ("*",)},
        {"hosts": ("another.example",)},
        {"hosts": ("." + NAME.partition(".")[2] + ".x",)},
        {"hosts": ("*",), "deny_hosts": ("." + NAME.partition(".")[2],)},
    ],
)
def test_a_host_name_that_is_not_allowed_is_not_even_resolved(serve, policy_for, refusal, names):
    origin = serve(OK)
    asked = []

    async def resolve(host, port):
        asked.append(host)
        return ["127.0.0.1"]

    error = refusal(url(origin), policy_for(origin, resolve=resolve, **names))
    assert error.message == refusal("https://192.168.0.1/", policy_for()).message
    assert not asked
    assert origin.num_connections == 0


@pytest.mark.parametrize("names", [(NAME,), ("." + NAME.partition(".")[2],), ("another.example", NAME)])
def test_a_host_name_that_is_allowed_is_fetched_from(serve, policy_for, fetched, names):
    origin = serve(OK)
    assert fetched(url(origin), policy_for(origin, hosts=names)) == CLIP


@pytest.fixture
def tunnel():
    """Starts a proxy that connects every tunnel to the given origin."""
    with contextlib.ExitStack() as stack:
        yield lambda origin: stack.enter_context(Tunnel(("127.0.0.1", origin.port)))


def proxy_of(tunnel):
    return Proxy("127.0.0.1", int(tunnel.url.rpartition(":")[2]))


def test_the_operators_proxy_gets_the_checked_address_and_no_name(serve, policy_for, fetched, tunnel):
    origin = serve(OK)
    proxy = tunnel(origin)
    assert fetched(url(origin), policy_for(origin, proxy=proxy_of(proxy))) == CLIP
    assert proxy.hosts == {f"127.0.0.1:{origin.port}"}


def test_a_proxy_may_be_given_by_name(serve, policy_for, fetched, tunnel):
    origin = serve(OK)
    proxy = Proxy("proxy.internal", proxy_of(tunnel(origin)).port)
    names = Names({NAME: [["127.0.0.1"]], "proxy.internal": [["127.0.0.1"]]})
    assert fetched(url(origin), policy_for(origin, proxy=proxy, names=names)) == CLIP


def test_the_proxy_is_never_asked_for_a_forbidden_address(serve, policy_for, refusal, tunnel):
    origin = serve(OK)
    proxy = tunnel(origin)
    refusal(url(origin), policy_for(origin, proxy=proxy_of(proxy), allow=()))
    assert not proxy.hosts


@pytest.mark.parametrize("answer", [b"HTTP/1.1 403 No\r\n\r\n", b"x" * 100_000, b"", b"\r\n\r\n"])
def test_a_proxy_that_refuses_is_a_host_that_cannot_be_reached(serve, policy_for, refusal, answer):
    origin = serve(OK)
    with socket.create_server(("127.0.0.1", 0)) as sock:
        threading.Thread(target=answer_once, args=(sock, answer), daemon=True).start()
        proxy = Proxy("127.0.0.1", sock.getsockname()[1])
        assert "cannot be reached" in refusal(url(origin), policy_for(origin, proxy=proxy)).message
    assert origin.num_connections == 0


def answer_once(sock, answer):
    with contextlib.suppress(OSError):
        caller, _ = sock.accept()
        with caller:
            caller.recv(4096)
            caller.sendall(answer)
