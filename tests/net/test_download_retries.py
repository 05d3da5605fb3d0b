"""Downloads that are tried again: after broken connections and from busy hosts, within the limits, checked anew."""

import time

import pytest
from origin import LOOPBACK, NAME, Names, file, one_after_the_other, redirects, repeats, resets, says

CLIP = bytes(range(256)) * 1000
OK = says(file(CLIP))
FORBIDDEN = "127.0.0.2"


def url(origin, path="/clip.mp4"):
    return f"https://{NAME}:{origin.port}{path}"


def busy(status, *headers):
    return says(file(b"busy", *headers, status=status))


TEMPORARY = {
    "a reset": resets,
    "no response": says(),
    "a response that breaks off": says(file(CLIP)[:-1]),
    "502": busy("502 Bad Gateway"),
    "503": busy("503 Service Unavailable"),
    "503 with a date": busy("503 Service Unavailable", "Retry-After: Wed, 21 Oct 2015 07:28:00 GMT"),
    "504": busy("504 Gateway Timeout"),
    "429 with seconds": busy("429 Too Many Requests", "Retry-After: 0"),
}


@pytest.mark.parametrize("fault", TEMPORARY.values(), ids=TEMPORARY)
def test_two_faults_that_pass_are_survived(serve, policy_for, fetched, fault):
    origin = serve(one_after_the_other(fault, fault, OK))
    assert fetched(url(origin), policy_for(origin)) == CLIP
    assert origin.num_connections == 3


@pytest.mark.parametrize("fault", TEMPORARY.values(), ids=TEMPORARY)
def test_after_two_retries_the_fault_is_the_error(serve, policy_for, refusal, fault):
    origin = serve(fault)
    message = refusal(url(origin), policy_for(origin)).message
    assert any(words in message for words in ("the connection broke", "breaks off", "it answers with status"))
    assert origin.num_connections == 3


LASTING = {
    "404": busy("404 Not Found"),
    "500": busy("500 Oops"),
    "403 with seconds": busy("403 Forbidden", "Retry-After: 0"),
    "429": busy("429 Too Many Requests"),
    "429 with a date": busy("429 Too Many Requests", "Retry-After: Wed, 21 Oct 2015 07:28:00 GMT"),
    "429 with a negative number": busy("429 Too Many Requests", "Retry-After: -1"),
    "no HTTP": says(b"SSH-2.0-OpenSSH\r\n\r\n"),
    "a redirect elsewhere": redirects("ftp://x/", last=OK),
    "more than was allowed": says(file(bytes(1_000_001))),
}


@pytest.mark.parametrize("fault", LASTING.values(), ids=LASTING)
def test_a_fault_that_stays_is_not_tried_again(serve, policy_for, refusal, fault):
    origin = serve(fault)
    refusal(url(origin), policy_for(origin))
    assert origin.num_connections == 1


def test_a_silent_host_is_not_asked_again(serve, policy_for, refusal):
    origin = serve(repeats(b"", b"", gap_s=1))
    refusal(url(origin), policy_for(origin, limits={"idle_s": 0.3}))
    assert origin.num_connections == 1


def test_the_host_says_how_long_to_wait(serve, policy_for, fetched):
    origin = serve(one_after_the_other(busy("503 Busy", "Retry-After: 1"), OK))
    begun = time.monotonic()
    assert fetched(url(origin), policy_for(origin)) == CLIP
    assert time.monotonic() - begun >= 1


def test_a_wait_that_the_total_time_does_not_allow_is_not_begun(serve, policy_for, refusal):
    origin = serve(busy("503 Busy", "Retry-After: 60"))
    begun = time.monotonic()
    assert "status 503" in refusal(url(origin), policy_for(origin)).message
    assert time.monotonic() - begun < 10
    assert origin.num_connections == 1


def test_retries_count_for_all_redirects_together(serve, policy_for, refusal):
    fault = busy("503 Busy")
    origin = serve(one_after_the_other(fault, redirects("/next", last=OK), fault, fault))
    assert "status 503" in refusal(url(origin), policy_for(origin)).message
    assert [request.split()[1] for request in origin.requests] == [b"/clip.mp4"] * 2 + [b"/next"] * 2


def test_a_retry_resolves_and_checks_the_name_again(serve, policy_for, refusal):
    origin = serve(busy("503 Busy"))
    forbidden = serve(OK, plain=True, address=FORBIDDEN)
    names = Names({NAME: [[LOOPBACK], [FORBIDDEN]]})
    assert "cannot be reached" in refusal(url(origin), policy_for(origin, names=names)).message
    assert names.asked == [NAME, NAME]
    assert (origin.num_connections, forbidden.num_connections) == (1, 0)


def test_a_forbidden_host_is_asked_once(policy_for, refusal):
    names = Names({NAME: [[FORBIDDEN]]})
    refusal(f"https://{NAME}/", policy_for(names=names))
    assert names.asked == [NAME]


PAGE = b"<!DOCTYPE html>\n<html><body>Sign in to see this video</body></html>"
PAGES = {
    "a page": file(PAGE, "Content-Type: text/html; charset=utf-8"),
    "a page without a type": file(b"\xef\xbb\xbf \n" + PAGE),
    "a page called a video": file(PAGE.lower(), "Content-Type: video/mp4"),
    "text called a page": file(b"Please sign in.", "Content-Type: Text/HTML"),
    "xhtml": file(b'<?xml version="1.0"?><html/>', "Content-Type: application/xhtml+xml"),
}


@pytest.mark.parametrize("response", PAGES.values(), ids=PAGES)
def test_a_web_page_instead_of_a_video_is_named_in_the_hint(serve, policy_for, refusal, response):
    origin = serve(says(response))
    error = refusal(url(origin), policy_for(origin))
    assert "web page" in error.message
    assert "text/html" in error.hint
    assert origin.num_connections == 1


@pytest.mark.parametrize("content", [CLIP, b""])
def test_a_video_that_is_called_a_web_page_is_fetched(serve, policy_for, fetched, content):
    origin = serve(says(file(content, "Content-Type: text/html")))
    assert fetched(url(origin), policy_for(origin)) == content
