"""Limits on clips that the command line reads from the disk, and on those that a server was sent."""

import struct

import httpx
import pytest
from served import Server, make_clip

from omnireel.cli.backend import video_limits
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


@pytest.mark.parametrize("way_in", ["max_upload_bytes", "max_download_bytes", "max_data_uri_bytes"])
def test_the_reader_takes_what_any_way_in_takes(way_in):
    others = dict.fromkeys(("max_upload_bytes", "max_download_bytes", "max_data_uri_bytes"), MIB)
    settings = Settings(**others | {way_in: 3 * MIB})
    assert video_limits(settings).max_bytes == 3 * MIB


def test_the_reader_alone_has_the_limits_of_a_deployment_without_settings():
    assert VideoLimits() == video_limits(Settings())
