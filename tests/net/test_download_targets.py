"""Which hosts a download connects to: names with changing addresses, redirects, and forbidden listeners."""

import asyncio
import logging
import socket
from ipaddress import ip_network

import pytest
from origin import LOOPBACK, NAME, Names, file, redirects, says

from omnireel.net import connector, resolver

CLIP = b"clip" * 1000
OK = says(file(CLIP))
FORBIDDEN = "127.0.0.2"


def url(origin, path="/clip.mp4"):
    return f"https://{NAME}:{origin.port}{path}"


@pytest.fixture
def forbidden(serve):
    """A listener on an address that the policy forbids; a test fails if anything connects to it."""
    origin = serve(OK, plain=True, address=FORBIDDEN)
    yield origin
    assert origin.num_connections == 0


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_three_redirects_are_followed_and_each_is_resolved_again(serve, policy_for, fetched, status):
    origin = serve(redirects("/1", "2?x#y", "", last=OK, status=status))
    names = Names()
    assert fetched(url(origin, "/dir/0"), policy_for(origin, names=names)) == CLIP
    assert [request.split()[1] for request in origin.requests] == [b"/dir/0", b"/1", b"/2?x", b"/2?x"]
    assert names.asked == [NAME] * 4


def test_a_loop_of_redirects_ends_after_the_third(serve, policy_for, refusal):
    origin = serve(redirects(*["/again"] * 9, last=OK))
    assert "redirects more than 3 times" in refusal(url(origin), policy_for(origin)).message
    assert origin.num_connections == 4


def test_a_redirect_from_https_to_http_is_refused_though_http_is_allowed(serve, policy_for, refusal):
    plain = serve(OK, plain=True)
    origin = serve(redirects(f"http://{NAME}:{plain.port}/", last=OK))
    error = refusal(url(origin), policy_for(origin, plain, allow_http=True))
    assert "from https to http" in error.message
    assert plain.num_connections == 0


def test_a_redirect_to_a_forbidden_address_is_not_followed(serve, policy_for, refusal, forbidden):
    for host in (FORBIDDEN, f"[::ffff:{FORBIDDEN}]", "2130706434", "0x7f000002", "localhost.test"):
        origin = serve(redirects(f"https://{host}:{forbidden.port}/", last=OK))
        names = Names({"localhost.test": [[FORBIDDEN]]})
        refusal(url(origin), policy_for(origin, forbidden, names=names))
        assert origin.num_connections == 1


@pytest.mark.parametrize("location", ["file:///etc/passwd", "gopher://x/", "data:video/mp4;base64,AA"])
def test_a_redirect_to_something_other_than_https_is_refused(serve, policy_for, refusal, location):
    origin = serve(redirects(location, last=OK))
    refusal(url(origin), policy_for(origin))
    assert origin.num_connections == 1


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.2",
        "[::ffff:127.0.0.2]",
        "[::ffff:7f00:2]",
        "[::127.0.0.2]",
        "[64:ff9b::7f00:2]",
        "[2002:7f00:2::]",
    ],
)
def test_a_forbidden_address_is_not_connected_to_in_any_form(policy_for, refusal, forbidden, host):
    refusal(f"https://{host}:{forbidden.port}/", policy_for(forbidden))


@pytest.mark.parametrize(
    "answers", [[FORBIDDEN], [LOOPBACK, FORBIDDEN], [FORBIDDEN, LOOPBACK], [LOOPBACK, "::1"], ["fe80::1%1"]]
)
def test_one_forbidden_address_refuses_the_whole_name(serve, policy_for, refusal, forbidden, answers):
    origin = serve(OK)
    names = Names({NAME: [answers]})
    refusal(url(origin), policy_for(origin, forbidden, names=names))
    refusal(url(forbidden), policy_for(origin, forbidden, names=names))
    assert origin.num_connections == 0


def test_a_mapped_address_is_connected_to_as_the_ipv4_address_in_it(serve, policy_for, fetched):
    origin = serve(OK)
    names = Names({NAME: [[f"::ffff:{LOOPBACK}"]]})
    assert fetched(url(origin), policy_for(origin, names=names)) == CLIP


def test_a_name_is_resolved_once_so_a_second_address_is_never_used(serve, policy_for, fetched, forbidden):
    origin = serve(OK)
    names = Names({NAME: [[LOOPBACK], [FORBIDDEN]]})
    assert fetched(url(origin), policy_for(origin, names=names)) == CLIP
    assert names.asked == [NAME]


def test_a_name_that_changes_its_address_between_redirects_is_checked_again(
    serve, policy_for, refusal, forbidden
):
    origin = serve(redirects(f"https://{NAME}:{forbidden.port}/", last=OK))
    names = Names({NAME: [[LOOPBACK], [FORBIDDEN]]})
    refusal(url(origin), policy_for(origin, forbidden, names=names))
    assert names.asked == [NAME, NAME]


def test_the_next_address_is_tried_when_one_does_not_answer(serve, policy_for, fetched):
    origin = serve(OK, address="127.0.0.3")
    names = Names({NAME: [[LOOPBACK, "127.0.0.3"]]})
    assert fetched(url(origin), policy_for(origin, names=names, allow=(ip_network("127.0.0.0/8"),))) == CLIP


def test_forbidden_and_unreachable_and_unknown_hosts_get_the_same_error(
    serve, policy_for, refusal, forbidden, caplog
):
    async def unknown(host, port):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    caplog.set_level(logging.WARNING)
    gone = serve(OK)
    gone.close()
    cases = [
        policy_for(gone, names=Names({NAME: [[FORBIDDEN]]})),
        policy_for(gone),
        policy_for(gone, names=Names({NAME: [[]]})),
        policy_for(gone, resolve=unknown),
    ]
    shown = {(error.why, error.message, error.hint) for case in cases for error in [refusal(url(gone), case)]}
    assert len(shown) == 1
    assert FORBIDDEN not in str(shown)
    assert "127.0.0.2 is not allowed: loopback" in caplog.text, "the reason is in the log, for the operator"


def test_names_are_resolved_by_the_system():
    assert LOOPBACK in asyncio.run(resolver.resolve_name("localhost", 443))


def test_a_name_that_is_not_resolved_in_time_ends_the_download(policy_for, refusal):
    async def never(host, port):
        await asyncio.Event().wait()

    error = refusal(f"https://{NAME}/", policy_for(resolve=never, limits={"resolve_s": 0.1}))
    assert "cannot be reached" in error.message


def test_a_connection_to_another_address_is_closed_before_anything_is_sent(
    serve, policy_for, refusal, monkeypatch
):
    class Diverted(socket.socket):
        """Reports another peer address, as behind a translating router or with a hooked library."""

        def getpeername(self):
            return (FORBIDDEN, 443)

    origin = serve(OK)
    made = policy_for(origin)
    monkeypatch.setattr(connector.socket, "socket", Diverted)
    error = refusal(url(origin), made)
    assert "cannot be reached" in error.message
    assert origin.requests == []
