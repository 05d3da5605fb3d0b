"""Downloading over real sockets from servers that behave, lie, drip, stall and redirect."""

import asyncio
import contextlib
import gzip
import socket
import threading
import time
from ipaddress import ip_network

import pytest
from origin import NAME, Names, file, repeats, says
from tunnel import Tunnel

from omnireel.net.connector import EgressPolicy
from omnireel.net.download import download
from omnireel.net.proxy_tunnel import Proxy

MAX_BYTES = 1_000_000
CLIP = bytes(range(256)) * 1000
OK = says(file(CLIP))


def url(origin, path="/clip.mp4", scheme="https"):
    return f"{scheme}://{NAME}:{origin.port}{path}"


def test_a_file_arrives_as_it_is_and_the_request_says_no_more_than_it_must(serve, rule, fetched, monkeypatch):
    origin = serve(OK)
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert fetched(url(origin, "/clip.mp4?a=ü#part"), rule(origin)) == CLIP
    assert origin.requests == [
        b"GET /clip.mp4?a=%C3%BC HTTP/1.1\r\n"
        + f"Host: {NAME}:{origin.port}\r\n".encode()
        + b"User-Agent: omnireel\r\nAccept: */*\r\nAccept-Encoding: identity\r\nConnection: close\r\n\r\n"
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
def test_every_framing_of_http_is_read(serve, rule, fetched, pieces):
    origin = serve(says(*pieces))
    assert fetched(url(origin), rule(origin)) == CLIP


def test_a_file_of_exactly_the_limit_is_taken_and_one_byte_more_is_not(serve, rule, fetched, refusal):
    origin = serve(OK)
    assert fetched(url(origin), rule(origin, max_bytes=len(CLIP))) == CLIP
    error = refusal(url(origin), rule(origin, max_bytes=len(CLIP) - 1))
    assert error.kind == "file_too_large"
    assert error.ctx == {"max_size": len(CLIP) - 1, "provided_size": len(CLIP)}


@pytest.mark.parametrize(
    "behave",
    [
        says(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999\r\n\r\n"),
        repeats(b"HTTP/1.1 200 OK\r\n\r\n", bytes(65536)),
        repeats(CHUNKED, b"10000\r\n" + bytes(65536) + b"\r\n"),
    ],
    ids=["announced", "until the connection closes", "chunks"],
)
def test_an_endless_body_is_cut_off_at_the_limit(serve, rule, refusal, tmp_path, behave):
    origin = serve(behave)
    error = refusal(url(origin), rule(origin))
    assert error.kind == "file_too_large"
    assert error.ctx["max_size"] == MAX_BYTES
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
    "hints without end": (repeats(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n"), "proper HTTP"),
    "a gzip bomb": (says(file(gzip.compress(bytes(50_000_000)), "Content-Encoding: gzip")), "compressed"),
    "two codings": (says(file(b"", "Content-Encoding: br", "Content-Encoding: identity")), "compressed"),
    "a coded transfer": (says(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"), "proper HTTP"),
    "crumbs": (repeats(CHUNKED, b"1\r\nx\r\n" * 100), "too many small chunks"),
    "not found": (says(file(b"", status="404 Not Found")), "status 404"),
    "part": (says(file(b"x", status="206 Partial Content")), "status 206"),
    "no content": (says(b"HTTP/1.1 204 No Content\r\n\r\n"), "status 204"),
    "server error": (says(file(b"", status="500 Oops")), "status 500"),
    "a redirect to nowhere": (says(file(b"", status="302 Found")), "status 302"),
}


@pytest.mark.parametrize(("behave", "words"), BROKEN.values(), ids=BROKEN)
def test_an_answer_that_is_no_plain_file_is_refused(serve, rule, refusal, behave, words):
    origin = serve(behave)
    error = refusal(url(origin), rule(origin))
    assert error.kind == "file_download_error"
    assert words in error.message


HALF = file(CLIP)[:-1000]
NO_PACE = {"min_bytes_per_s": 0}
SLOW = {
    "header that drips": (repeats(b"HTTP/1.1 200 OK\r\n", b"X", gap_s=0.05), {"idle_s": 0.5}, "nothing came"),
    "no answer": (repeats(b"", b"", gap_s=1), {"idle_s": 0.3}, "nothing came for 0.3 s"),
    "body that stalls": (repeats(HALF, b"", gap_s=1), {"idle_s": 0.3}, "nothing came"),
    "body that drips": (repeats(HALF, b"x", gap_s=0.05), {"slow_window_s": 0.3}, "less than 65536"),
    "all in all": (repeats(HALF, b"x", gap_s=0.05), {"total_s": 0.5} | NO_PACE, "longer than 0.5 s"),
}


@pytest.mark.parametrize("case", SLOW.values(), ids=SLOW)
def test_a_server_that_takes_its_time_is_left(serve, rule, refusal, case):
    behave, limits, words = case
    origin = serve(behave)
    since = time.monotonic()
    error = refusal(url(origin), rule(origin, limits=limits))
    assert error.kind == "file_download_error"
    assert words in error.message
    assert time.monotonic() - since < 10


def test_the_loop_stays_free_while_a_file_arrives(serve, rule, tmp_path):
    origin = serve(says(file(CLIP), gap_s=0.01))

    async def run():
        longest, last = 0.0, time.monotonic()
        task = asyncio.create_task(download(url(origin), tmp_path / "video", rule(origin)))
        while not task.done():
            await asyncio.sleep(0.001)
            longest, last = max(longest, time.monotonic() - last), time.monotonic()
        await task
        return longest

    assert asyncio.run(run()) < 1


def test_a_cancelled_download_hangs_up(serve, rule, tmp_path):
    origin = serve(repeats(CHUNKED, b"100\r\n" + bytes(256) + b"\r\n", gap_s=0.02))

    async def run():
        task = asyncio.create_task(download(url(origin), tmp_path / "video", rule(origin)))
        while not origin.requests:
            await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.wait({task}, timeout=5)
        assert task.cancelled()

    asyncio.run(run())
    assert origin.is_left_alone(within_s=5)


@pytest.mark.parametrize("holder", ["other.example", "127.0.0.1"])
def test_a_certificate_for_something_else_is_refused(serve, rule, refusal, holder):
    origin = serve(OK, names=(holder,))
    assert "certificate" in refusal(url(origin), rule(origin)).message
    assert origin.requests == []


def test_a_certificate_of_an_unknown_authority_is_refused(serve, rule, refusal):
    origin = serve(OK)
    trusting_the_system = rule(origin, trust=EgressPolicy(1).trust)
    assert "certificate" in refusal(url(origin), trusting_the_system).message
    assert origin.requests == []


def test_an_ip_address_is_checked_against_its_own_certificate(serve, rule, fetched):
    origin = serve(OK, names=("127.0.0.1",))
    assert fetched(f"https://127.0.0.1:{origin.port}/", rule(origin)) == CLIP


def test_http_is_taken_only_where_the_operator_says_so(serve, rule, fetched, refusal):
    origin = serve(OK, plain=True)
    error = refusal(url(origin, scheme="http"), rule(origin))
    assert "http addresses are not allowed" in error.message
    assert "allow_http" in error.hint
    assert origin.num_connections == 0
    assert fetched(url(origin, scheme="http"), rule(origin, allow_http=True)) == CLIP


def test_a_port_the_operator_did_not_name_is_refused_with_those_that_are_taken(serve, rule, refusal):
    origin = serve(OK)
    error = refusal(url(origin), rule())
    assert f"port {origin.port} is not allowed, only 443" in error.message
    assert origin.num_connections == 0


def test_a_denied_network_is_not_connected_to_though_it_is_admitted(serve, rule, refusal):
    origin = serve(OK)
    refusal(url(origin), rule(origin, deny=(ip_network("127.0.0.0/8"),)))
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
def test_a_name_the_operator_does_not_allow_is_not_even_resolved(serve, rule, refusal, names):
    origin = serve(OK)
    asked = []

    async def resolve(host, port):
        asked.append(host)
        return ["127.0.0.1"]

    error = refusal(url(origin), rule(origin, resolve=resolve, **names))
    assert error.message == refusal("https://192.168.0.1/", rule()).message
    assert not asked
    assert origin.num_connections == 0


@pytest.mark.parametrize("names", [(NAME,), ("." + NAME.partition(".")[2],), ("another.example", NAME)])
def test_a_name_the_operator_allows_is_fetched_from(serve, rule, fetched, names):
    origin = serve(OK)
    assert fetched(url(origin), rule(origin, hosts=names)) == CLIP


@pytest.fixture
def tunnel():
    """A proxy that leads everywhere to the address it is made with."""
    with contextlib.ExitStack() as stack:
        yield lambda origin: stack.enter_context(Tunnel(("127.0.0.1", origin.port)))


def proxy_of(tunnel):
    return Proxy("127.0.0.1", int(tunnel.url.rpartition(":")[2]))


def test_an_operators_proxy_is_told_the_checked_address_and_no_name(serve, rule, fetched, tunnel):
    origin = serve(OK)
    proxy = tunnel(origin)
    assert fetched(url(origin), rule(origin, proxy=proxy_of(proxy))) == CLIP
    assert proxy.hosts == {f"127.0.0.1:{origin.port}"}


def test_a_proxy_may_have_a_name_of_its_own(serve, rule, fetched, tunnel):
    origin = serve(OK)
    proxy = Proxy("proxy.internal", proxy_of(tunnel(origin)).port)
    names = Names({NAME: [["127.0.0.1"]], "proxy.internal": [["127.0.0.1"]]})
    assert fetched(url(origin), rule(origin, proxy=proxy, names=names)) == CLIP


def test_a_forbidden_address_is_not_asked_of_the_proxy(serve, rule, refusal, tunnel):
    origin = serve(OK)
    proxy = tunnel(origin)
    refusal(url(origin), rule(origin, proxy=proxy_of(proxy), allow=()))
    assert not proxy.hosts


@pytest.mark.parametrize("answer", [b"HTTP/1.1 403 No\r\n\r\n", b"x" * 100_000, b"", b"\r\n\r\n"])
def test_a_proxy_that_refuses_is_a_host_that_cannot_be_reached(serve, rule, refusal, answer):
    origin = serve(OK)
    with socket.create_server(("127.0.0.1", 0)) as sock:
        threading.Thread(target=answer_once, args=(sock, answer), daemon=True).start()
        proxy = Proxy("127.0.0.1", sock.getsockname()[1])
        assert "cannot be reached" in refusal(url(origin), rule(origin, proxy=proxy)).message
    assert origin.num_connections == 0


def answer_once(sock, answer):
    with contextlib.suppress(OSError):
        caller, _ = sock.accept()
        with caller:
            caller.recv(4096)
            caller.sendall(answer)
