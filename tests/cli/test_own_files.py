"""Limits on clips that the command line reads from the disk, and on those that a server was sent."""

import json
import struct

import httpx
import pytest
from served import Server, data_uri, make_clip

from omnireel.cli.backend import own_limits, served_limits
from omnireel.settings import Settings
from omnireel.video.limits import VideoLimits

ID = "nvidia/nemotron-3-nano-omni/video"
MIB = 1024 * 1024


def padding(num_bytes):
    """The head of a box that holds nothing, num_bytes long."""
    return struct.pack(">I4sQ", 1, b"free", num_bytes)


@pytest.fixture
def clip_of(tmp_path):
    """Makes a clip of a size in MiB; the disk stores only the pictures."""

    def make(num_mib):
        content = make_clip()
        path = tmp_path / f"{num_mib}.mp4"
        path.write_bytes(content + padding(num_mib * MIB - len(content)))
        with path.open("r+b") as file:
            file.truncate(num_mib * MIB)
        return path

    return make


def test_a_file_is_read_up_to_the_largest_limit_of_the_settings(omnireel, clip_of):
    assert omnireel("ask", clip_of(400), "hi").stdout == "echo: hi\n"
    limits = {"OMNIREEL_MAX_UPLOAD_BYTES": str(300 * MIB)}
    assert omnireel("ask", clip_of(300), "hi", **limits).stdout == "echo: hi\n"
    refused = omnireel("ask", clip_of(301), "hi", **limits)
    assert f"{301 * MIB} bytes, limit {300 * MIB}" in refused.stderr


def test_an_upload_that_was_accepted_is_read(tmp_path, clip_of):
    path = clip_of(257)
    with (
        Server(tmp_path) as server,
        httpx.Client(base_url=server.url, timeout=120, trust_env=False) as client,
    ):
        with path.open("rb") as file:
            url = client.post("/cdn/files/upload", content=file).json()["access_url"]
        answer = client.post(f"/sync/{ID}", json={"prompt": "hi", "video_url": url})
    assert answer.json()["output"] == "echo: hi"


@pytest.mark.parametrize("limits_of", [served_limits, own_limits])
@pytest.mark.parametrize("way_in", ["max_upload_bytes", "max_download_bytes", "max_data_uri_bytes"])
def test_the_reader_takes_what_any_way_in_takes(limits_of, way_in):
    others = dict.fromkeys(("max_upload_bytes", "max_download_bytes", "max_data_uri_bytes"), MIB)
    settings = Settings(**others | {way_in: 3 * MIB})
    assert limits_of(settings).max_bytes == 3 * MIB


LONG = {"seconds": 180, "size": (32, 16)}


def inspected(omnireel, clip, *flags):
    return json.loads(omnireel("inspect", clip, "--json", *flags).stdout)["video"]


def test_a_long_file_of_ones_own_is_read_within_the_budget_of_frames(omnireel, tmp_path):
    clip = tmp_path / "long.mp4"
    clip.write_bytes(make_clip(**LONG))
    video = inspected(omnireel, clip)
    assert (len(video["frame_indices"]), video["frame_indices"][-1]) == (256, 1799)
    assert inspected(omnireel, clip, "--start", "10", "--end", "20")["frame_indices"][0] == 100
    assert omnireel("ask", clip, "hi").stdout == "echo: hi\n"


def test_a_4k_file_of_ones_own_is_read_and_scaled_down(omnireel, tmp_path):
    clip = tmp_path / "4k.mp4"
    clip.write_bytes(make_clip(seconds=1, size=(3840, 2160)))
    assert omnireel("ask", clip, "hi").stdout == "echo: hi\n"
    demo = json.loads(omnireel("inspect", clip, "--json", OMNIREEL_BACKEND="local").stdout)["video"]
    assert (demo["width"], demo["height"]) == (3840, 2160)
    assert (
        omnireel(
            "ask", clip, "hi", "--max-tokens", "1", OMNIREEL_BACKEND="local", OMNIREEL_DATA_DIR="data"
        ).returncode
        == 0
    )


def ask_server(server, **more):
    body = {"prompt": "hi", "video_url": data_uri(make_clip(**LONG))} | more
    return httpx.post(f"{server.url}/sync/{ID}", json=body, timeout=60, trust_env=False)


def test_a_server_judges_the_part_that_is_asked_about(tmp_path):
    with Server(tmp_path) as server:
        times_s = ask_server(server, start_s=10, end_s=20).json()["video"]["frame_times_s"]
        assert (times_s[0], times_s[-1]) == (10, 20)
        assert ask_server(server, start_s=61).status_code == 200
        assert ask_server(server, end_s=120).status_code == 200
        for part, seconds in (({}, 180), ({"start_s": 30}, 150), ({"start_s": 10, "end_s": 135}, 125)):
            [problem] = ask_server(server, **part).json()["detail"]
            assert problem["type"] == "video_duration_too_long"
            assert problem["ctx"] == {"max_duration": 120, "provided_duration": seconds}


def test_a_server_may_be_told_other_limits(tmp_path):
    large = data_uri(make_clip(seconds=0.3, size=(2048, 1152)))
    with Server(tmp_path, OMNIREEL_MAX_VIDEO_S="200", OMNIREEL_MAX_RESOLUTION="4k") as server:
        assert ask_server(server).status_code == 200
        assert ask_server(server, video_url=large).status_code == 200
    with Server(tmp_path) as server:
        [problem] = ask_server(server, video_url=large).json()["detail"]
        assert problem["type"] == "video_resolution_too_large"


def test_a_server_that_was_told_nothing_has_the_limits_of_the_hosted_endpoint():
    limits, hosted = served_limits(Settings()), VideoLimits()
    names = ("max_duration_s", "max_long_side", "max_short_side", "min_side", "max_bytes", "timeout_s")
    assert {name: getattr(limits, name) for name in names} == {name: getattr(hosted, name) for name in names}
