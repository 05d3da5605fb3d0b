"""A body is read as plain JSON or refused with a BodyError."""

import contextlib
import json
import math
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omnireel.api.fal.input import parse_input
from omnireel.api.http.body import MAX_VALUES, parse_json
from omnireel.api.http.errors import BodyError, echo

ANY_TEXT = st.text() | st.sampled_from(["\ud800", "x\udfffy", "a\0b", "\udc00\ud800"])
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | ANY_TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(ANY_TEXT, inner, max_size=4),
    max_leaves=20,
)


def is_plain(value):
    if isinstance(value, str):
        return "\0" not in value and not any(0xD800 <= ord(item) < 0xE000 for item in value)
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, dict):
        return all(is_plain(key) and is_plain(inner) for key, inner in value.items())
    return all(map(is_plain, value)) if isinstance(value, list) else True


@given(ANY_JSON)
def test_plain_values_are_read_and_all_others_are_refused(value):
    body = json.dumps(value).encode()
    if is_plain(value):
        assert parse_json(body) == value
        return
    with pytest.raises(BodyError) as raised:
        parse_json(body)
    assert raised.value.problems[0]["type"] in {"invalid_encoding", "finite_number"}


@pytest.mark.parametrize("pattern", ["0,", '"",', "[],", "{},", "[", '{"a":0,"a":'])
def test_too_many_values_are_refused_before_they_are_read(pattern):
    body = b'{"a":[' + pattern.encode() * (8_000_000 // len(pattern)) + b"0]}"
    begun = time.perf_counter()
    with pytest.raises(BodyError) as raised:
        parse_json(body)
    assert raised.value.problems[0]["ctx"] == {"max_values": MAX_VALUES}
    assert time.perf_counter() - begun < 1


def test_as_many_values_as_are_allowed_are_read():
    body = json.dumps([0] * (MAX_VALUES - 1)).encode()
    assert len(parse_json(body)) == MAX_VALUES - 1


@given(st.binary(max_size=64))
def test_any_bytes_are_a_value_or_a_refusal(body):
    with contextlib.suppress(BodyError):
        assert is_plain(parse_json(body))


@given(ANY_JSON)
def test_a_refusal_of_any_value_is_a_list_of_problems_that_json_can_carry(value):
    if isinstance(value, dict):
        value = value | {"max_tokens": 0}
    with pytest.raises(BodyError) as raised:
        parse_input(value)
    assert json.dumps(raised.value.problems, ensure_ascii=False, allow_nan=False).encode()


@given(ANY_JSON)
def test_what_is_sent_back_is_plain_and_short(value):
    shown = json.dumps(echo(value), ensure_ascii=False, allow_nan=False)
    assert shown.encode()


def test_a_video_is_never_sent_back():
    shown = echo({"video_url": "data:video/mp4;base64," + "A" * 10_000, "prompt": "x" * 10_000})
    assert shown["video_url"] == "data:video/mp4;base64,… (10022 characters)"
    assert len(shown["prompt"]) < 250
