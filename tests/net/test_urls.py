"""Which web addresses are accepted, and the parts they are parsed into."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omnireel.net.errors import FetchError
from omnireel.net.urls import MAX_LENGTH, Target, parse_url, redirected

ACCEPTED = [
    ("https://example.com", Target("https", "example.com", 443, "/")),
    ("https://example.com/", Target("https", "example.com", 443, "/")),
    ("HTTPS://EXAMPLE.com/A.mp4", Target("https", "example.com", 443, "/A.mp4")),
    ("http://example.com/a", Target("http", "example.com", 80, "/a")),
    ("https://example.com.:8443/a?b=c&d#e", Target("https", "example.com", 8443, "/a?b=c&d")),
    ("https://example.com?x=/y", Target("https", "example.com", 443, "/?x=/y")),
    ("https://example.com#f", Target("https", "example.com", 443, "/")),
    ("https://my_bucket.s3.example.com/a%20b", Target("https", "my_bucket.s3.example.com", 443, "/a%20b")),
    ("https://bücher.example/ä?ö", Target("https", "xn--bcher-kva.example", 443, "/%C3%A4?%C3%B6")),
    ("https://BÜCHER。example/", Target("https", "xn--bcher-kva.example", 443, "/")),
    ("https://93.184.216.34/a", Target("https", "93.184.216.34", 443, "/a")),
    ("https://[2606:2800:220:1:0:0:0:1]:443/a", Target("https", "2606:2800:220:1::1", 443, "/a")),
    ("https://example.com/@b:c", Target("https", "example.com", 443, "/@b:c")),
    (" https://example.com/a ", Target("https", "example.com", 443, "/a")),
    ("\r\n\thttps://example.com\n", Target("https", "example.com", 443, "/")),
    ("https://example.com/a b?c d#e f", Target("https", "example.com", 443, "/a%20b?c%20d")),
    ("https://example.com/ab\r\n  cd\n?e\tf", Target("https", "example.com", 443, "/ab%20%20cd?ef")),
    ("https://example.com/\r\nHost: x", Target("https", "example.com", 443, "/Host:%20x")),
    ("https://example.com/a%2Fb%20c?d=%E4", Target("https", "example.com", 443, "/a%2Fb%20c?d=%E4")),
    ("https://a.example/" + "a" * (MAX_LENGTH - 18), Target("https", "a.example", 443, "/" + "a" * 8174)),
]


@pytest.mark.parametrize(("url", "target"), ACCEPTED)
def test_an_address_is_parsed_into_its_parts(url, target):
    assert parse_url(url) == target


REFUSED = [
    "",
    "https://",
    "https:///a",
    "https:example.com",
    "https:/example.com",
    "//example.com/a",
    "example.com/a",
    "ftp://example.com/a",
    "file:///etc/passwd",
    "https://user@example.com/",
    "https://user:word@example.com/",
    "https://example.com@127.0.0.1/",
    "https://127.0.0.1\\@example.com/",
    "https://example.com\\.evil.test/",
    "https://example.com#@127.0.0.1:x@/\x0b@",
    "https://exa\tmple.com/",
    "https://example.com\r\n.evil.test/",
    "https://example.com /",
    "https:// example.com/",
    "https://\nexample.com/",
    "https://exa mple.com/",
    "https://example.com :443/",
    "https://bücher .example/",
    "ht\ntps://example.com/",
    "https:\n//example.com/",
    "https://example.com/\x00",
    "https://example.com/a\x0bb",
    "\x00https://example.com/",
    "https://example.com/\xa0",
    "\u2003https://example.com/",
    "https://example.com/\u2028",
    "https://example.com/\ud800",
    "https://example.com:/",
    "https://example.com:x/",
    "https://example.com:١/",
    "https://example.com:123456/",
    "https://example.com:80:80/",
    "https://exa%6dple.com/",
    "https://example..com/",
    "https://.example.com/",
    "https://./",
    "https://../",
    "https://a*b/",
    "https://" + "a" * 64 + ".com/",
    "https://" + "a." * 127 + "com/",
    "https://℀.com/",
    "https://\u200b.com/",
    "https://[::1/",
    "https://::1/",
    "https://[::1]x/",
    "https://[fe80::1%25lo]/",
    "https://[v1.x]/",
    "https://[127.0.0.1]/",
    "https://example.com/" + "a" * (MAX_LENGTH - 19),
]


@pytest.mark.parametrize("url", REFUSED)
def test_anything_but_a_plain_web_address_is_refused(url):
    with pytest.raises(FetchError) as raised:
        parse_url(url)
    assert raised.value.why


UNUSUAL_SPELLINGS = [
    "0",
    "127.1",
    "127.0.1",
    "2130706433",
    "0x7f000001",
    "0x7f.1",
    "0X7F.0.0.1",
    "0177.0.0.1",
    "127.0.0.01",
    "127.0.0.1.",
    "127.0.0.1..",
    "127.0.0.256",
    "1.2.3.4.5",
    "example.1",
    "example.0x",
    "①②⑦.⓪.⓪.①",
    "127。0。0。1",
    "１２７.0.0.1",
]


@pytest.mark.parametrize("host", UNUSUAL_SPELLINGS)
def test_an_ip_address_in_an_unusual_spelling_is_refused_or_parsed_as_that_address(host):
    try:
        target = parse_url(f"https://{host}/")
    except FetchError:
        return
    assert target.host == "127.0.0.1"
    assert str(target.literal) == "127.0.0.1"


PIECES = [
    "a",
    "example",
    "127",
    "0x7f",
    "1",
    ".",
    "。",
    ":",
    "@",
    "[",
    "]",
    "#",
    "?",
    "/",
    "\\",
    "%",
    "ü",
    "①",
    " ",
    "\n",
    "\t",
]
HOSTILE = st.lists(st.sampled_from(PIECES) | st.text(max_size=2), max_size=12).map("".join)


@given(HOSTILE)
def test_any_text_after_https_is_refused_or_parsed_into_unambiguous_parts(rest):
    try:
        target = parse_url("https://" + rest)
    except FetchError:
        return
    assert re.fullmatch(r"[a-z0-9._-]+|[0-9a-f:.]+", target.host)
    assert re.fullmatch(r"/[!-~]*", target.resource)
    assert "#" not in target.resource
    assert parse_url(f"https://{target.authority}{target.resource}") == target


@given(HOSTILE)
def test_any_redirect_is_refused_or_parses_again_to_the_same_parts(location):
    try:
        target = redirected(ACCEPTED[0][1], location.encode("utf-8", "surrogatepass"))
    except FetchError:
        return
    assert parse_url(f"{target.scheme}://{target.authority}{target.resource}") == target


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        (b"/b?c", Target("https", "example.com", 8443, "/b?c")),
        (b"b", Target("https", "example.com", 8443, "/a/b")),
        (b"//other.example/b", Target("https", "other.example", 443, "/b")),
        (b"http://other.example/b#c", Target("http", "other.example", 80, "/b")),
        (b"https://[::1]/", Target("https", "::1", 443, "/")),
        (b"/b c?d e", Target("https", "example.com", 8443, "/b%20c?d%20e")),
        (b"https://other.example/b c.mp4", Target("https", "other.example", 443, "/b%20c.mp4")),
    ],
)
def test_a_relative_redirect_is_joined_with_the_address_it_came_from(location, expected):
    assert redirected(Target("https", "example.com", 8443, "/a/x"), location) == expected


@pytest.mark.parametrize(
    "location", [b"\xff", b"http://[", b"/a\tb", b"\\\\127.0.0.1\\a", b"file:///etc/passwd", b"//a b/"]
)
def test_a_redirect_to_an_invalid_address_is_refused(location):
    with pytest.raises(FetchError):
        redirected(ACCEPTED[0][1], location)
