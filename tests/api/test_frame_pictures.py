"""POST /inspect: an estimate with pictures of the frames, under the same rules."""

import base64
import io
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import httpx
import pytest
from keyed import caller, create_key
from PIL import Image
from served import ENDPOINT_ID, Server, data_uri, make_clip

from omnireel.api.fal.output import to_output, tubelet_reports
from omnireel.engine.params import FinishReason
from omnireel.task import Answer, MediaOptions, VideoFacts

INSPECT, ESTIMATE = f"/{ENDPOINT_ID}/inspect", f"/{ENDPOINT_ID}/estimate"


def test_the_frames_are_those_of_the_command_line_with_a_picture_each(client, tmp_path):
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(make_clip(seconds=3.0))
    body = {"prompt": "What moves?", "video_url": data_uri(clip.read_bytes()), "fps": 3}
    report = client.post(INSPECT, json=body).json()
    command = [
        sys.executable,
        "-c",
        "import omnireel.cli; omnireel.cli.main()",
        "inspect",
        str(clip),
        "What moves?",
    ]
    ran = subprocess.run(
        [*command, "--fps", "3", "--json"],
        check=True,
        stdout=subprocess.PIPE,
        env=os.environ | {"OMNIREEL_BACKEND": "echo"},
    )
    expected = json.loads(ran.stdout)["video"]
    frames = report["frames"]
    assert [frame["index"] for frame in frames] == expected["frame_indices"]
    assert [frame["time_s"] for frame in frames] == pytest.approx(expected["frame_times_s"])
    for frame in frames:
        head, _, encoded = frame["picture"].partition(",")
        assert head == "data:image/png;base64"
        picture = Image.open(io.BytesIO(base64.b64decode(encoded)))
        assert picture.size == (frame["width"], frame["height"]) == (64, 48)
        grey = picture.getpixel((32, 24))[0]
        assert abs(grey - frame["index"] % 250) <= 6, "make_clip draws the frame's number as its brightness"


def test_the_rest_is_the_estimate(client, clip_uri):
    body = {"prompt": "What moves?", "video_url": clip_uri, "max_tokens": 7}
    answer = client.post(INSPECT, json=body)
    assert answer.headers["x-fal-billable-units"] == "0"
    inspected, estimated = answer.json(), client.post(ESTIMATE, json=body).json()
    assert inspected.keys() - estimated.keys() == {"frames"}
    assert inspected["usage"] == estimated["usage"]
    assert inspected["max_price_usd"] == estimated["max_price_usd"]
    assert "frames" not in estimated


def test_input_that_cannot_be_used_is_refused_as_for_a_run(client, clip_uri):
    assert client.post(INSPECT, json={"video_url": clip_uri}).json()["detail"][0]["loc"] == ["body", "prompt"]
    broken = data_uri(make_clip()[:400])
    for path in (INSPECT, ESTIMATE):
        answer = client.post(path, json={"prompt": "?", "video_url": broken})
        assert answer.status_code == 422
        assert answer.json()["detail"][0]["loc"] == ["body", "video_url"]


def test_it_needs_a_key_and_counts_as_a_request_of_the_key(clip_uri):
    body = {"prompt": "?", "video_url": clip_uri}
    with tempfile.TemporaryDirectory() as folder, Server(Path(folder), OMNIREEL_AUTH="keys") as keyed:
        with httpx.Client(base_url=keyed.url, trust_env=False) as nobody:
            assert nobody.post(INSPECT, json=body).status_code == 401
        with caller(keyed.url, create_key(keyed.folder, max_per_minute=2)) as client:
            assert client.post(ESTIMATE, json=body).status_code == 200
            assert client.post(INSPECT, json=body).status_code == 200
            assert client.post(INSPECT, json=body).json()["error_type"] == "rate_limited"


_VIDEO = VideoFacts(
    64, 48, "h264", 10.0, 1.5, False, (0, 5, 10), (0.0, 0.5, 1.0), 16, 11, (), "unheard", 0, (8, 3)
)


def output_of(media):
    return to_output(Answer("text", None, FinishReason.stop, 5, 2, _VIDEO), media)


def test_tubelets_are_reported_only_when_they_are_asked_for():
    assert "video" not in output_of(MediaOptions())
    assert "tubelets" not in output_of(MediaOptions(fps=2.0))["video"]
    assert output_of(MediaOptions(report_video=True))["video"]["tubelets"] == [
        {"num_frames": 2, "vision_tokens": 8, "kept_tokens": 8},
        {"num_frames": 1, "vision_tokens": 8, "kept_tokens": 3},
    ]
    assert list(tubelet_reports(VideoFacts(64, 48, "h264", 10.0, 1.5, False, (0,), (0.0,), 0, 0))) == []


@pytest.mark.parametrize("way", ["", "/sync"])
def test_report_video_adds_the_report_to_an_answer_and_false_adds_nothing(client, clip_uri, way):
    body = {"prompt": "?", "video_url": clip_uri}
    asked = client.post(f"{way}/{ENDPOINT_ID}", json=body | {"report_video": True}).json()
    assert asked["video"]["frame_times_s"]
    assert asked["video"]["tubelets"] == [], "the echo backend has no vision"
    not_asked = client.post(f"{way}/{ENDPOINT_ID}", json=body | {"report_video": False}).json()
    assert not_asked.keys() == {"output", "finish_reason", "usage"}
