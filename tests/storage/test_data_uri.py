"""data: URIs as people, browsers and programs write them."""

import base64
import contextlib
import time
import tracemalloc
from urllib.parse import quote, quote_from_bytes, unquote_to_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omnireel.errors import InputError
from omnireel.storage.data_uri import is_data_uri, read_data_uri

MAX_BYTES = 32 * 1024 * 1024
CLIP = bytes(range(256)) * 3 + b"~"  # 769 bytes: its base64 has padding and every letter
PLAIN = base64.b64encode(CLIP).decode()
URLSAFE = base64.urlsafe_b64encode(CLIP).decode()
HEADER = "data:video/mp4;base64,"
FOLDED = "\r\n".join(PLAIN[at : at + 76] for at in range(0, len(PLAIN), 76))

WRITTEN = {
    "plain": HEADER + PLAIN,
    "upper case": "DATA:VIDEO/MP4;BASE64," + PLAIN,
    "folded as in a mail": HEADER + FOLDED,
    "folded with a last line end": HEADER + FOLDED.replace("\r", "") + "\n",
    "folded with tabs": HEADER + FOLDED.replace("\r\n", "\n\t"),
    "blanks around": f" \r\n{HEADER}{PLAIN}\n ",
    "a blank after the comma": f"{HEADER} {PLAIN}",
    "blanks in the header": "data: video/mp4 ; base64 , " + PLAIN,
    "percent-encoded data": HEADER + quote(PLAIN, safe=""),
    "percent-encoded in lower case": HEADER + quote(PLAIN, safe="").replace("%2F", "%2f").replace("%3D", "%3d"),
    "percent-encoded line ends": HEADER + FOLDED.replace("\r\n", "%0D%0A"),
    "percent-encoded marks": "data:video/mp4%3Bbase64%2C" + PLAIN,
    "no padding": HEADER + PLAIN.rstrip("="),
    "too much padding": HEADER + PLAIN + "==",
    "padding in a line of its own": f"{HEADER}{PLAIN.rstrip('=')}\n==",
    "the URL-safe alphabet": HEADER + URLSAFE,
    "the URL-safe alphabet without padding": HEADER + URLSAFE.rstrip("="),
    "commas in unquoted codecs": "data:video/webm;codecs=vp9,opus;base64," + PLAIN,
    "commas in quoted codecs": 'data:video/mp4;codecs="avc1.42E01E, mp4a.40.2";base64,' + PLAIN,
    "a name": "data:video/mp4;name=a,b.mp4;base64," + PLAIN,
    "no media type": "data:;base64," + PLAIN,
    "another media type": "data:text/plain;charset=utf-8;base64," + PLAIN,
    "two headers": HEADER + HEADER + PLAIN,
    "a fragment": f"{HEADER}{PLAIN}#t=0,5",
    "percent-encoded bytes": "data:video/mp4," + quote_from_bytes(CLIP, safe=""),
    "percent-encoded bytes without a media type": "data:," + quote_from_bytes(CLIP),
    "percent-encoded bytes, folded": "data:video/mp4,\n" + quote_from_bytes(CLIP, safe="").replace("%8", "\r\n%8"),
    "percent-encoded bytes, blanks around": f" data:video/mp4,{quote_from_bytes(CLIP, safe='')} ",
    "percent-encoded bytes after quoted commas": 'data:video/mp4;codecs="a,b",' + quote_from_bytes(CLIP, safe=""),
}  # fmt: skip


@pytest.mark.parametrize("uri", WRITTEN.values(), ids=WRITTEN)
def test_every_way_to_write_a_data_uri_gives_the_same_bytes(uri):
    assert is_data_uri(uri)
    assert read_data_uri(uri, len(CLIP)) == CLIP
    with pytest.raises(InputError) as raised:
        read_data_uri(uri, len(CLIP) - 1)
    assert raised.value.kind == "file_too_large"
    assert raised.value.ctx == {"max_size": len(CLIP) - 1, "provided_size": len(CLIP)}


INVALID = {
    "no comma": "data:video/mp4;base64",
    "nothing": "data:",
    "signs outside the alphabet": HEADER + "***",
    "letters outside the alphabet": HEADER + "AAAé",
    "a comma in the data": HEADER + "AAAA,AAAA",
    "data after the padding": HEADER + "AAA=A",
    "one digit too many": HEADER + "AAAAA",
    "a percent sign alone": HEADER + "AAAA%",
    "a percent sign before other letters": "data:video/mp4,%0g",
    "a header without an end": "data:" + "x" * 2000 + ",AAAA",
    "half a character": "data:video/mp4,\ud800",
}


@pytest.mark.parametrize("uri", INVALID.values(), ids=INVALID)
def test_what_no_reading_gives_bytes_is_refused(uri):
    with pytest.raises(InputError) as raised:
        read_data_uri(uri, MAX_BYTES)
    assert (raised.value.kind, raised.value.about) == ("invalid_data_uri", "media")
    assert raised.value.hint


@given(st.text("0aA=\n ,é+", max_size=40) | st.binary(max_size=40).map(quote_from_bytes))
def test_percent_encoding_is_undone_as_the_standard_library_does_it(text):
    uri = "data:," + text
    expected = unquote_to_bytes(text.strip(" \n").replace("\n", ""))
    assert read_data_uri(uri, MAX_BYTES) == expected


@pytest.mark.parametrize("length", range(1024 * 1024 - 4, 1024 * 1024 + 5))
def test_an_escape_is_never_divided_where_a_large_text_is_read_in_pieces(length):
    assert read_data_uri("data:," + "x" * length + "%41%3D=", MAX_BYTES) == b"x" * length + b"A=="


def test_no_way_of_writing_makes_a_large_clip_slow_or_take_much_memory():
    size = 8 * 1024 * 1024
    tracemalloc.start()
    for text in ("%41" * size, "%" * size, "=" * size, "%41A" * size):
        uri = "data:," + text
        begun = time.monotonic()
        tracemalloc.reset_peak()
        before, _ = tracemalloc.get_traced_memory()
        with contextlib.suppress(InputError):
            read_data_uri(uri, MAX_BYTES)
        peak = tracemalloc.get_traced_memory()[1] - before
        assert time.monotonic() - begun < 5
        assert peak < 4 * len(uri)
    tracemalloc.stop()
