"""From what was written as `video_url` to a file, and what is left of it afterwards."""

import asyncio
import base64

import pytest
from origin import NAME, file, says

from omnireel.errors import InputError
from omnireel.net.connector import EgressPolicy
from omnireel.storage.media import FetchPolicy, fetch_video

CLIP = bytes(range(256)) * 100


async def read(source, rule):
    async with fetch_video(source, rule) as path:
        return path.read_bytes()


@pytest.fixture
def incoming(tmp_path):
    return tmp_path / "incoming"


def test_an_address_is_a_file_while_the_context_is_open_and_gone_after_it(serve, rule, incoming):
    origin = serve(says(file(CLIP)))
    made = FetchPolicy(incoming, 1000, rule(origin))
    for scheme in ("https", "HTTPS"):
        assert asyncio.run(read(f"{scheme}://{NAME}:{origin.port}/clip.mp4", made)) == CLIP
    assert list(incoming.iterdir()) == []


def test_a_download_that_fails_leaves_nothing(serve, rule, incoming):
    origin = serve(says(file(CLIP)[:-1]))
    with pytest.raises(InputError):
        asyncio.run(read(f"https://{NAME}:{origin.port}/", FetchPolicy(incoming, 1000, rule(origin))))
    assert list(incoming.iterdir()) == []


def test_a_data_uri_has_its_own_limit(incoming):
    made = FetchPolicy(incoming, len(CLIP), EgressPolicy(1))
    uri = "data:video/mp4;base64," + base64.b64encode(CLIP).decode()
    assert asyncio.run(read(uri, made)) == CLIP
    with pytest.raises(InputError) as raised:
        asyncio.run(read(uri, FetchPolicy(incoming, len(CLIP) - 1, EgressPolicy(1))))
    assert raised.value.ctx == {"max_size": len(CLIP) - 1, "provided_size": len(CLIP)}


@pytest.mark.parametrize("source", ["ftp://example.com/a", "file:///etc/passwd", "//example.com/a", "a.mp4"])
def test_what_is_neither_address_nor_data_is_refused_unless_paths_are_taken(incoming, source):
    with pytest.raises(InputError) as raised:
        asyncio.run(read(source, FetchPolicy(incoming, 1000, EgressPolicy(1))))
    assert raised.value.kind == "file_download_error"
    assert not incoming.exists()


def test_a_path_is_read_where_it_lies_for_who_owns_the_machine(incoming, tmp_path):
    (tmp_path / "clip.mp4").write_bytes(CLIP)
    made = FetchPolicy(incoming, 1, EgressPolicy(1), takes_paths=True)
    assert asyncio.run(read(str(tmp_path / "clip.mp4"), made)) == CLIP
