"""What the hosted endpoint takes is taken, and means the same. tests/fal_sdk compares many more requests."""

import codecs
import json
from urllib.parse import urlsplit

import httpx
import pytest
from served import Server

from omnireel.api.fal.input import parse_input, to_fields, to_task
from omnireel.engine.params import SamplingParams
from omnireel.task import MediaOptions

ID = "nvidia/nemotron-3-nano-omni/video"
THINK = {"reasoning_mode": "think", "reasoning_budget": "5"}
PAGE = "https://page.example"


def read(**fields):
    body = {"prompt": "p", "video_url": "https://example.com/a.mp4"} | fields
    return to_task(parse_input(body), body)


@pytest.mark.parametrize(
    ("sent", "sampling"),
    [
        ({"max_tokens": "10"}, {"max_tokens": 10}),
        ({"max_tokens": 10.0}, {"max_tokens": 10}),
        ({"max_tokens": True}, {"max_tokens": 1}),
        ({"max_tokens": None}, {}),
        ({"temperature": "0.25"}, {"temperature": 0.25}),
        ({"temperature": None}, {}),
        ({"top_p": " 1 "}, {"top_p": 1.0}),
        ({"seed": "7"}, {"seed": 7}),
        ({"seed": -1}, {"seed": None}),
        ({"seed": "-1"}, {"seed": None}),
        ({"seed": None}, {"seed": None}),
        (THINK | {"grace_period": "2.0"}, {"reasoning_budget": 5, "grace_period": 2}),
        (THINK | {"grace_period": None}, {"reasoning_budget": 5}),
    ],
)
def test_a_number_may_be_a_text_and_null_is_not_given(sent, sampling):
    assert read(**sent).sampling == SamplingParams(**sampling)


@pytest.mark.parametrize(
    ("sent", "media"),
    [
        ({"fps": "2.5", "max_frames": "8"}, {"fps": 2.5, "max_frames": 8}),
        ({"start_s": "1", "end_s": "2e0"}, {"start_s": 1.0, "end_s": 2.0}),
        ({"video_pruning_rate": "0.5"}, {"video_pruning_rate": 0.5}),
        ({"use_audio": "false"}, {"use_audio": False}),
        ({"use_audio": "On"}, {"use_audio": True}),
        ({"use_audio": 0}, {"use_audio": False}),
        ({"fps": None, "use_audio": None, "end_s": None}, {}),
    ],
)
def test_omnireels_own_fields_are_read_in_the_same_way(sent, media):
    assert read(**sent).media == MediaOptions(**media)


def test_null_for_the_mode_is_the_default():
    assert not read(reasoning_mode=None).thinking


@pytest.mark.parametrize("blank", ["", " ", "\n\t", None])
def test_a_blank_system_prompt_is_none(blank):
    task = read(system_prompt=blank)
    assert task.system_prompt is None
    assert len(task.messages) == 1
    assert to_fields(task)["system_prompt"] == blank, "the caller sees it as it was sent"


def test_an_empty_prompt_is_answered(client, clip_uri):
    answer = client.post(f"/{ID}", json={"prompt": "", "video_url": clip_uri})
    assert (answer.status_code, answer.json()["output"]) == (200, "echo: ")


def test_a_limit_that_is_sent_as_text_limits_the_answer(client, clip_uri):
    answer = client.post(f"/{ID}", json={"prompt": "a b c d", "video_url": clip_uri, "max_tokens": "2"})
    assert (answer.status_code, answer.json()["finish_reason"]) == (200, "length")
    assert answer.json()["usage"]["output_tokens"] == 2


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-32-be"])
def test_every_encoding_of_json_is_read(client, clip_uri, encoding):
    text = json.dumps({"prompt": "é漢😀", "video_url": clip_uri}, ensure_ascii=False)
    headers = {"content-type": "application/json"}
    answer = client.post(f"/{ID}", content=text.encode(encoding), headers=headers)
    assert answer.json()["output"] == "echo: é漢😀"


def test_an_upload_may_be_begun_without_a_body(client):
    for content in (b"", codecs.BOM_UTF8 + b"{}"):
        answer = client.post(
            "/rest/storage/upload/initiate", content=content, headers={"content-type": "application/json"}
        )
        assert answer.status_code == 200
        assert urlsplit(answer.json()["upload_url"]).path


def preflight(url):
    asked = {
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization,x-fal-a",
    }
    return httpx.options(f"{url}/{ID}", headers={"origin": PAGE} | asked, trust_env=False)


def test_any_page_may_call_without_credentials(client):
    answer = preflight(str(client.base_url).rstrip("/"))
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-credentials" not in answer.headers


def test_a_page_that_the_operator_names_may_send_credentials(tmp_path):
    with Server(tmp_path, OMNIREEL_CORS_ORIGINS=PAGE) as server:
        answer = preflight(server.url)
        other = httpx.get(
            f"{server.url}/health", headers={"origin": "https://other.example"}, trust_env=False
        )
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == PAGE
    assert answer.headers["access-control-allow-credentials"] == "true"
    assert answer.headers["access-control-allow-headers"] == "authorization,x-fal-a"
    assert "access-control-allow-origin" not in other.headers
