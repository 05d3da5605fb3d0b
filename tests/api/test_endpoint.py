"""The synchronous endpoint of a real server, with a real clip and the official client."""

import time

import fal_client.client
import pytest

ID = "nvidia/nemotron-3-nano-omni/video"


@pytest.mark.parametrize("path", [f"/{ID}", f"/sync/{ID}", f"/{ID}/", f"/sync/{ID}/"])
def test_every_spelling_of_the_address_answers_in_the_official_shape(client, clip_uri, path):
    answer = client.post(path, json={"prompt": "what moves", "video_url": clip_uri})
    assert answer.status_code == 200
    assert answer.json() == {
        "output": "echo: what moves",
        "finish_reason": "stop",
        "usage": {"input_tokens": 2, "output_tokens": 3},
    }
    assert list(answer.json()) == ["output", "finish_reason", "usage"]


def test_the_official_python_client_runs_unchanged_but_for_the_scheme(server, clip_uri, monkeypatch):
    monkeypatch.setattr(fal_client.client, "RUN_URL_FORMAT", f"{server.url}/sync/")
    monkeypatch.setenv("FAL_KEY", "any:key")
    official = fal_client.SyncClient()
    with official._client:
        result = official.run(ID, arguments={"prompt": "hello there", "video_url": clip_uri})
        with pytest.raises(fal_client.client.FalClientHTTPError) as raised:
            official.run(ID, arguments={"prompt": "hello"})
    assert result["output"] == "echo: hello there"
    assert raised.value.status_code == 422
    assert raised.value.message[0]["loc"] == ["body", "video_url"]


def test_thousands_of_tokens_are_the_billable_units(client, clip_uri):
    answer = client.post(f"/{ID}", json={"prompt": "a b c", "video_url": clip_uri})
    assert answer.headers["x-fal-billable-units"] == "0.00700000"
    whole = client.post(f"/{ID}", json={"prompt": "a", "video_url": clip_uri, "system_prompt": "w " * 997})
    assert whole.json()["usage"] == {"input_tokens": 998, "output_tokens": 2}
    assert whole.headers["x-fal-billable-units"] == "1"


def test_max_tokens_cuts_the_answer_and_sets_the_finish_reason(client, clip_uri):
    answer = client.post(f"/{ID}", json={"prompt": "one two three", "video_url": clip_uri, "max_tokens": 2})
    assert (answer.json()["output"], answer.json()["finish_reason"]) == ("echo: one", "length")


def test_every_optional_field_is_accepted(client, clip_uri):
    body = {
        "prompt": "hello",
        "video_url": clip_uri,
        "system_prompt": "Be brief.",
        "reasoning_mode": "no_think",
        "max_tokens": 20_000,
        "temperature": 2,
        "top_p": 0,
        "enable_safety_checker": False,
        "seed": 7,
    }
    answer = client.post(f"/{ID}", json=body)
    assert answer.status_code == 200
    assert "x-omnireel-ignored-fields" not in answer.headers
    assert "video" not in answer.json()


def test_a_sampling_field_works_and_adds_the_video_report(client, clip_uri):
    body = {"prompt": "hello", "video_url": clip_uri, "fps": 5, "start_s": 0.5, "end_s": 1.5, "max_frames": 3}
    video = client.post(f"/{ID}", json=body).json()["video"]
    assert (video["width"], video["height"], video["codec"]) == (64, 48, "mpeg4")
    assert len(video["frame_times_s"]) == 3
    assert all(0.5 <= time_s <= 1.5 for time_s in video["frame_times_s"])


def logged_of(server, request_id, event):
    """The log entries of a request. They are written by a thread of the server, so maybe after its answer."""
    deadline = time.monotonic() + 20
    while True:
        found = [
            line for line in server.log() if (line["event"], line.get("request_id")) == (event, request_id)
        ]
        if found or time.monotonic() > deadline:
            return found
        time.sleep(0.05)


@pytest.mark.parametrize("path", [f"/{ID}", f"/{ID}/stream"])
def test_an_unknown_field_is_named_in_a_header_and_in_the_log(client, clip_uri, server, path):
    body = {"prompt": "hello", "video_url": clip_uri, "sync_mode": True, "café\r\nx-evil: 1": 2}
    answer = client.post(path, json=body)
    assert answer.status_code == 200
    assert answer.headers["x-omnireel-ignored-fields"] == "sync_mode, caf%C3%A9%0D%0Ax-evil%3A%201"
    assert "x-evil" not in answer.headers
    lines = logged_of(server, answer.headers["x-fal-request-id"], "fields ignored")
    assert [line["fields"][0] for line in lines] == ["sync_mode"]


def test_control_tokens_in_a_prompt_stay_text(client, clip_uri):
    prompt = '<|im_end|>\n<img>"},{"x":"\u2028é漢字😀</think>'
    answer = client.post(f"/{ID}", json={"prompt": prompt, "video_url": clip_uri})
    assert answer.json()["output"] == f"echo: {prompt}"


def test_health_names_model_and_backend(client):
    for path in ("/health", "/health/ready"):
        answer = client.get(path)
        assert answer.status_code == 200
        assert answer.json().items() >= {"status": "ok", "backend": "echo", "model": "echo"}.items()


def test_every_answer_has_its_own_request_id(client):
    answers = [client.get("/health"), client.get("/nowhere"), client.get(f"/{ID}"), client.post(f"/{ID}")]
    assert [answer.status_code for answer in answers] == [200, 404, 405, 422]
    assert len({answer.headers["x-fal-request-id"] for answer in answers}) == 4


def logged(server, request_id, number):
    """The log's lines about a request. The last one is written after the response was sent."""
    ends_at = time.monotonic() + 10
    while True:
        events = [event for event in server.log() if event.get("request_id") == request_id]
        if len(events) >= number or time.monotonic() > ends_at:
            return events
        time.sleep(0.02)


def test_the_log_has_a_line_per_request_and_job_and_none_of_their_text(client, clip_uri, server):
    secret = "marmalade-skies"
    answer = client.post(f"/{ID}", json={"prompt": secret, "video_url": clip_uri, "system_prompt": secret})
    refused = client.post(f"/{ID}", json={"prompt": secret, "video_url": clip_uri, "max_tokens": secret})
    for sent, words in ((answer, ["job ended", "request"]), (refused, ["request"])):
        events = logged(server, sent.headers["x-fal-request-id"], len(words))
        assert [event["event"] for event in events] == words
        assert events[-1]["status"] == sent.status_code
    assert secret not in server.log_path.read_text()
    assert "base64" not in server.log_path.read_text()


def test_no_clip_stays_on_disk(client, clip_uri, server):
    client.post(f"/{ID}", json={"prompt": "hello", "video_url": clip_uri})
    assert list((server.folder / "incoming").iterdir()) == []


def test_a_field_without_a_name_is_ignored_like_any_other(client, clip_uri):
    fields = {"prompt": "?", "video_url": clip_uri, "sync_mode": False, "": 1}
    answer = client.post(f"/{ID}", json=fields)
    assert (answer.status_code, answer.headers["x-omnireel-ignored-fields"]) == (200, 'sync_mode, ""')


def test_the_openapi_document_has_the_official_names(client):
    document = client.get("/openapi.json").json()
    schemas = document["components"]["schemas"]
    assert document["openapi"] == "3.0.4"
    assert document["info"]["x-fal-metadata"]["endpointId"] == ID
    assert set(document["paths"]) >= {f"/{ID}", f"/sync/{ID}", f"/queue/{ID}", f"/{ID}/stream", "/health"}
    assert schemas["Nemotron3NanoOmniVideoInput"]["required"] == ["prompt", "video_url"]
    assert schemas["Nemotron3NanoOmniVideoOutput"]["required"] == ["output", "usage"]
    assert set(schemas["UsageInfo"]["properties"]) == {"input_tokens", "output_tokens"}
    assert '"null"' not in client.get("/openapi.json").text
