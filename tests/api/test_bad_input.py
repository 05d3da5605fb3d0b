"""Bad input gets the status, type and location that the hosted endpoint's error reference prescribes."""

import base64
import json
import re

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from served import MAX_BODY, MAX_DATA_URI, data_uri, make_clip

ID = "nvidia/nemotron-3-nano-omni/video"
OK = {"prompt": "hello", "video_url": "data:video/mp4;base64,AAAA"}


def post(client, body, **headers):
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return client.post(f"/{ID}", content=content, headers={"content-type": "application/json"} | headers)


def problems(answer):
    """(loc, type) of each problem. Also checks what every such response has."""
    body = answer.json()
    assert answer.headers["x-fal-billable-units"] == "0"
    assert len(answer.headers["x-fal-request-id"]) == 36
    assert isinstance(body["message"], str)
    assert body["message"]
    for item in body["detail"]:
        assert set(item) >= {"loc", "msg", "type"}
    return [(tuple(item["loc"]), item["type"]) for item in body["detail"]]


PROMPT, VIDEO = ("body", "prompt"), ("body", "video_url")

FIELDS = [
    ({}, [(PROMPT, "missing"), (VIDEO, "missing")]),
    ({"prompt": "x"}, [(VIDEO, "missing")]),
    ({"video_url": "x"}, [(PROMPT, "missing")]),
    ([], [(("body",), "model_attributes_type")]),
    (None, [(("body",), "missing")]),
    ("text", [(("body",), "model_attributes_type")]),
    (OK | {"prompt": None}, [(PROMPT, "string_type")]),
    (OK | {"prompt": 7}, [(PROMPT, "string_type")]),
    (OK | {"prompt": ["x"]}, [(PROMPT, "string_type")]),
    (OK | {"video_url": {"url": "x"}}, [(VIDEO, "string_type")]),
    (OK | {"video_url": ""}, [(VIDEO, "file_download_error")]),
    (OK | {"video_url": None}, [(VIDEO, "string_type")]),
    (OK | {"system_prompt": 1}, [(("body", "system_prompt"), "string_type")]),
    (OK | {"reasoning_mode": "maybe"}, [(("body", "reasoning_mode"), "literal_error")]),
    (OK | {"reasoning_mode": True}, [(("body", "reasoning_mode"), "literal_error")]),
    (OK | {"max_tokens": 0}, [(("body", "max_tokens"), "greater_than_equal")]),
    (OK | {"max_tokens": -1}, [(("body", "max_tokens"), "greater_than_equal")]),
    (OK | {"max_tokens": 20_001}, [(("body", "max_tokens"), "less_than_equal")]),
    (OK | {"max_tokens": 10**9}, [(("body", "max_tokens"), "less_than_equal")]),
    (OK | {"max_tokens": 10**200}, [(("body", "max_tokens"), "less_than_equal")]),
    (OK | {"max_tokens": 3.7}, [(("body", "max_tokens"), "int_from_float")]),
    (OK | {"max_tokens": "five"}, [(("body", "max_tokens"), "int_parsing")]),
    (OK | {"max_tokens": "0"}, [(("body", "max_tokens"), "greater_than_equal")]),
    (OK | {"max_tokens": [5]}, [(("body", "max_tokens"), "int_type")]),
    (OK | {"temperature": -0.1}, [(("body", "temperature"), "greater_than_equal")]),
    (OK | {"temperature": 2.01}, [(("body", "temperature"), "less_than_equal")]),
    (OK | {"temperature": "warm"}, [(("body", "temperature"), "float_parsing")]),
    (OK | {"temperature": "nan"}, [(("body", "temperature"), "less_than_equal")]),
    (OK | {"temperature": "-inf"}, [(("body", "temperature"), "greater_than_equal")]),
    (OK | {"temperature": float("nan")}, [(("body", "temperature"), "finite_number")]),
    (OK | {"temperature": float("inf")}, [(("body", "temperature"), "finite_number")]),
    (OK | {"nested": [{"x": float("-inf")}]}, [(("body", "nested", 0, "x"), "finite_number")]),
    (OK | {"top_p": 1.5}, [(("body", "top_p"), "less_than_equal")]),
    (OK | {"top_p": -1}, [(("body", "top_p"), "greater_than_equal")]),
    (OK | {"enable_safety_checker": "maybe"}, [(("body", "enable_safety_checker"), "bool_parsing")]),
    (OK | {"seed": -2}, [(("body", "seed"), "greater_than_equal")]),
    (OK | {"fps": 0}, [(("body", "fps"), "greater_than_equal")]),
    (OK | {"max_frames": 0}, [(("body", "max_frames"), "greater_than_equal")]),
    (OK | {"start_s": 2, "end_s": 2}, [(("body", "end_s"), "greater_than")]),
    (OK | {"video_pruning_rate": 1}, [(("body", "video_pruning_rate"), "less_than")]),
    (
        OK | {"max_tokens": 0, "top_p": 2},
        [(("body", "max_tokens"), "greater_than_equal"), (("body", "top_p"), "less_than_equal")],
    ),
]


@pytest.mark.parametrize(("body", "expected"), FIELDS)
def test_a_wrong_field_is_named_with_its_location_and_type(client, body, expected):
    answer = post(client, body)
    assert answer.status_code == 422
    assert problems(answer) == expected


def test_a_range_error_says_the_limit_and_the_value(client):
    item = post(client, OK | {"max_tokens": 20_001}).json()["detail"][0]
    assert item["ctx"] == {"le": 20_000}
    assert item["input"] == 20_001
    assert item["url"] == "https://docs.fal.ai/errors/#less_than_equal"


BODIES = [
    (b"", 422, (("body",), "missing")),
    (b"null", 422, (("body",), "missing")),
    (b"{", 422, (("body", 1), "json_invalid")),
    (b'{"prompt": }', 422, (("body", 11), "json_invalid")),
    (b"nonsense", 422, (("body", 0), "json_invalid")),
    (b'{"a":1} x', 422, (("body", 8), "json_invalid")),
    (b'{"prompt":"\xff"}', 400, (("body", 11), "invalid_encoding")),
    ('{"prompt":"x"}'.encode("utf-16")[:-1], 400, (("body", 28), "invalid_encoding")),
    (b'{"prompt":"\\ud800","video_url":"x"}', 422, (("body", "prompt"), "invalid_encoding")),
    (b'{"prompt":"x","sys":["\\udfff"]}', 422, (("body", "sys", 0), "invalid_encoding")),
    (b'{"prompt":"a\\u0000b","video_url":"x"}', 422, (("body", "prompt"), "invalid_encoding")),
    (b'{"a\\u0000":1}', 422, (("body",), "invalid_encoding")),
    (b'{"prompt":"x","prompt":"y"}', 422, (("body", "prompt"), "duplicate_key")),
    (b'{"a":{"b":1,"b":1}}', 422, (("body", "b"), "duplicate_key")),
    (b'{"temperature":NaN}', 422, (("body", "temperature"), "finite_number")),
    (b'{"temperature":-Infinity}', 422, (("body", "temperature"), "finite_number")),
    (b'{"temperature":1e999}', 422, (("body", "temperature"), "finite_number")),
    (b'{"max_tokens":' + b"9" * 5000 + b"}", 422, (("body", "max_tokens"), "finite_number")),
    (b'{"max_tokens":-' + b"9" * 5000 + b"}", 422, (("body", "max_tokens"), "finite_number")),
    (b"[" * 100_000, 400, (("body",), "json_invalid")),
    (b'{"a":' * 100 + b"1" + b"}" * 100, 400, (("body",), "json_invalid")),
]


@pytest.mark.parametrize(("body", "status", "first"), BODIES)
def test_a_body_that_is_not_plain_json_gets_a_typed_error(client, body, status, first):
    answer = post(client, body)
    assert answer.status_code == status
    assert problems(answer)[0] == first


def test_the_message_for_broken_json_says_the_character_and_the_reason(client):
    answer = post(client, b'{"prompt": }').json()
    assert answer["detail"][0]["msg"] == "JSON decode error"
    assert answer["message"] == "JSON decode error at character 11: Expecting value"


def test_the_largest_allowed_nesting_passes(client):
    deep = b'{"x":' + b"[" * 60 + b"]" * 60 + b"}"
    assert problems(post(client, deep)) == [(PROMPT, "missing"), (VIDEO, "missing")]


VIDEOS = [
    ("https://127.0.0.1/a.mp4", "file_download_error"),
    ("HTTPS://[::ffff:169.254.169.254]/a.mp4", "file_download_error"),
    ("https://2130706433/a.mp4", "file_download_error"),
    ("https://localhost:22/a.mp4", "file_download_error"),
    ("https://user:word@example.com/a.mp4", "file_download_error"),
    ("https://example.com/" + "a" * 8173, "file_download_error"),
    ("http://127.0.0.1/a.mp4", "file_download_error"),
    ("file:///etc/passwd", "file_download_error"),
    ("ftp://example.com/a", "file_download_error"),
    ("/etc/passwd", "file_download_error"),
    ("../clip.mp4", "file_download_error"),
    ("//example.com/a.mp4", "file_download_error"),
    ("data:", "invalid_data_uri"),
    ("data:video/mp4,plain", "unsupported_video_format"),
    ("data:video/mp4;base64", "invalid_data_uri"),
    ("data:video/mp4;base64,***", "invalid_data_uri"),
    ("data:video/mp4;base64,AAAA,AAAA", "invalid_data_uri"),
    ("data:video/mp4;base64,AAA", "unsupported_video_format"),
    ("data:video/mp4;base64,A", "invalid_data_uri"),
    ("data:video/mp4;base64,AAA=A", "invalid_data_uri"),
    ("data:video/mp4;base64, AAAA", "unsupported_video_format"),
    ("data:video/mp4;base64,é", "invalid_data_uri"),
    ("data:text/plain;base64,AAAA", "unsupported_video_format"),
    ("data:image/png;base64,AAAA", "unsupported_video_format"),
    ("data:;base64,AAAA", "unsupported_video_format"),
    ("data:video/mp4;base64,", "file_empty"),
    ("data:application/octet-stream;base64,AAAA", "unsupported_video_format"),
    (data_uri(b"#EXTM3U\nhttp://127.0.0.1/x.ts\n"), "unsupported_video_format"),
    (data_uri(make_clip()[:40]), None),
    (data_uri(make_clip(seconds=121)), "video_duration_too_long"),
    (data_uri(make_clip(seconds=0.3, size=(1936, 1088))), None),
    (data_uri(bytes(MAX_DATA_URI + 1)), "file_too_large"),
]


@pytest.mark.parametrize(("video_url", "kind"), VIDEOS, ids=[f"{n}-{k}" for n, (_, k) in enumerate(VIDEOS)])
def test_a_video_that_cannot_be_used_is_a_422_on_video_url(client, video_url, kind):
    answer = post(client, {"prompt": "hello", "video_url": video_url})
    assert answer.status_code == 422
    [(loc, found)] = problems(answer)
    assert loc == VIDEO
    assert kind in (None, found)
    assert len(answer.content) < 2000, "the video is not sent back"


def test_the_refusal_of_a_video_names_the_limit_and_what_to_do(client):
    body = post(client, {"prompt": "x", "video_url": data_uri(bytes(MAX_DATA_URI + 1))}).json()
    assert body["detail"][0]["ctx"]["max_size"] == MAX_DATA_URI
    assert body["detail"][0]["url"] == "https://docs.fal.ai/errors/#file_too_large"
    assert str(MAX_DATA_URI) in body["message"]
    assert ".;" not in body["message"], "two sentences are joined by a space"
    assert body["detail"][0]["input"].startswith("data:video/mp4;base64,…")


def test_a_data_uri_of_exactly_the_limit_is_read(client):
    answer = post(client, {"prompt": "x", "video_url": data_uri(bytes(MAX_DATA_URI))})
    assert problems(answer) != [(VIDEO, "file_too_large")]


def request_error(answer, status):
    body = answer.json()
    assert answer.status_code == status
    assert isinstance(body["detail"], str)
    assert body["message"] == body["detail"]
    assert "x-fal-request-id" in answer.headers
    return body


def test_a_body_beyond_the_limit_is_refused_with_or_without_its_length(client):
    too_long = b'{"prompt":"' + b"x" * MAX_BODY + b'"}'
    with_length = post(client, too_long)
    chunked = client.post(
        f"/{ID}",
        content=iter([too_long[:1000], too_long[1000:]]),
        headers={"content-type": "application/json"},
    )
    for answer in (with_length, chunked):
        assert request_error(answer, 413)["error_type"] == "bad_request"
        assert answer.headers["x-fal-error-type"] == "bad_request"


@pytest.mark.parametrize(
    "media_type", ["text/plain", "multipart/form-data; boundary=x", "application/msgpack", ""]
)
def test_a_body_that_is_not_sent_as_json_has_the_error_type_of_fals_framework(client, media_type):
    answer = client.post(f"/{ID}", content=b"{}", headers={"content-type": media_type})
    assert answer.status_code == 422
    assert problems(answer) == [(("body",), "model_attributes_type")]
    assert answer.json()["detail"][0]["input"] == "<binary 2 bytes>"
    assert "Send application/json" in answer.json()["message"]


@pytest.mark.parametrize("headers", [{}, {"content-type": "text/plain"}])
def test_an_empty_body_is_missing_whatever_its_media_type_is(client, headers):
    answer = client.post(f"/{ID}", headers=headers)
    assert (answer.status_code, problems(answer)) == (422, [(("body",), "missing")])


def test_json_with_parameters_or_suffix_is_accepted(client):
    for media_type in ("application/json; charset=utf-8", "Application/JSON", "application/vnd.x+json"):
        answer = client.post(f"/{ID}", content=b"{}", headers={"content-type": media_type})
        assert answer.status_code == 422


def test_a_compressed_body_is_refused(client):
    request_error(post(client, OK, **{"content-encoding": "gzip"}), 415)


@pytest.mark.parametrize("value", ["soon", "-1", "0", "nan", "inf"])
def test_a_start_deadline_that_is_not_a_positive_number_is_named(client, value):
    body = request_error(post(client, OK, **{"x-fal-request-timeout": value}), 400)
    assert "x-fal-request-timeout" in body["detail"]


@pytest.mark.parametrize(
    ("name", "value"), [("x-fal-queue-priority", "high"), ("x-fal-store-io", "00"), ("x-fal-store-io", "")]
)
def test_a_header_with_an_unknown_value_is_named(client, name, value):
    assert name in request_error(post(client, OK, **{name: value}), 400)["detail"]


@pytest.mark.parametrize(
    ("method", "path", "status", "detail"),
    [
        ("GET", "/nowhere", 404, "Path /nowhere not found"),
        ("POST", "/sync/fal-ai/flux/dev", 404, 'Application "fal-ai/flux" not found'),
        ("POST", "/nvidia/nemotron-3-nano-omni/audio", 404, None),
        ("POST", "/nvidia/nemotron-3-nano-omni/video/dream", 404, None),
        ("GET", f"/sync/{ID}", 405, "Method Not Allowed"),
        ("PUT", f"/{ID}", 405, "Method Not Allowed"),
        ("POST", "/health", 405, "Method Not Allowed"),
    ],
)
def test_unknown_paths_and_methods_answer_with_an_object(client, method, path, status, detail):
    body = request_error(client.request(method, path), status)
    assert detail in (None, body["detail"])


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/cdn/files/a.mp4", "DELETE, GET, HEAD"),
        ("PUT", "/cdn/files/a.mp4/", "DELETE, GET, HEAD"),
        ("PUT", "/cdn/files/upload", "DELETE, GET, HEAD, POST"),
        ("DELETE", f"/{ID}/estimate", "POST"),
    ],
)
def test_a_refused_method_gets_the_list_of_all_that_the_path_has(client, method, path, allowed):
    answer = client.request(method, path)
    assert (answer.status_code, answer.headers["allow"]) == (405, allowed)


JSON_TEXT = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None)),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
FIELD = st.sampled_from(
    ["prompt", "video_url", "max_tokens", "temperature", "top_p", "reasoning_mode", "fps", "x"]
)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=st.dictionaries(FIELD, JSON_TEXT, max_size=6) | JSON_TEXT)
def test_any_json_gets_a_typed_refusal(client, body):
    answer = post(client, body)
    assert answer.status_code in (400, 422)
    assert problems(answer)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=st.binary(max_size=200))
def test_any_bytes_get_a_typed_refusal(client, body):
    answer = post(client, body)
    assert answer.status_code in (400, 422)
    assert problems(answer)


def test_no_refusal_shows_a_path_or_an_address(client, server):
    for video_url, _ in VIDEOS:
        text = post(client, {"prompt": "x", "video_url": video_url}).text
        assert str(server.folder) not in text
        assert "Traceback" not in text
        assert not re.search(r"0x[0-9a-f]{6}", text)


def test_the_server_still_answers_after_a_refusal(client):
    valid = base64.b64encode(make_clip()).decode()
    answer = httpx.post(
        f"{client.base_url}/{ID}", json={"prompt": "still", "video_url": f"data:video/mp4;base64,{valid}"}
    )
    assert answer.json()["output"] == "echo: still"


@pytest.mark.parametrize(
    ("fields", "loc", "kind"),
    [
        ({"reasoning_budget": 10}, "reasoning_budget", "needs_think"),
        ({"reasoning_mode": "think", "reasoning_budget": -1}, "reasoning_budget", "greater_than_equal"),
        ({"reasoning_mode": "think", "reasoning_budget": 20_001}, "reasoning_budget", "less_than_equal"),
        ({"reasoning_mode": "think", "grace_period": 5}, "grace_period", "needs_reasoning_budget"),
        ({"use_audio": "maybe"}, "use_audio", "bool_parsing"),
        ({"detail": "higher"}, "detail", "literal_error"),
    ],
)
def test_an_invalid_limit_on_thinking_is_refused(client, clip_uri, fields, loc, kind):
    answer = client.post(f"/{ID}", json={"prompt": "?", "video_url": clip_uri} | fields)
    assert answer.status_code == 422
    assert [(d["loc"], d["type"]) for d in answer.json()["detail"]] == [(["body", loc], kind)]


def test_a_budget_with_thinking_is_accepted(client, clip_uri):
    fields = {
        "reasoning_mode": "think",
        "reasoning_budget": 10,
        "grace_period": 5,
        "use_audio": False,
        "detail": "low",
    }
    answer = client.post(f"/{ID}", json={"prompt": "?", "video_url": clip_uri} | fields)
    assert answer.status_code == 200
    assert "x-omnireel-ignored-fields" not in answer.headers
