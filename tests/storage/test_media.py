"""Fetches the file for a media reference, and removes it afterwards."""

import asyncio
import errno
import os
from pathlib import Path

import pytest
from origin import NAME, file, repeats, says
from served import data_uri

from omnireel.errors import CapacityError, InputError, StorageError
from omnireel.net.policy import EgressPolicy
from omnireel.storage.disk import Disk
from omnireel.storage.media import FetchPolicy, fetch_video

CLIP = bytes(range(256)) * 100


async def read(source, policy):
    async with fetch_video(source, policy) as path:
        return path.read_bytes()


def refused(source, policy):
    """The error for a source that cannot be fetched. It is about the media, and its hint says what to do."""
    with pytest.raises(InputError) as raised:
        asyncio.run(read(source, policy))
    assert raised.value.about == "media"
    assert raised.value.hint
    return raised.value


@pytest.fixture
def incoming(tmp_path):
    return tmp_path / "incoming"


def test_a_downloaded_file_exists_only_while_the_context_is_open(serve, policy_for, incoming):
    origin = serve(says(file(CLIP)))
    policy = FetchPolicy(incoming, 1000, policy_for(origin))
    for scheme in ("https", "HTTPS"):
        assert asyncio.run(read(f"{scheme}://{NAME}:{origin.port}/clip.mp4", policy)) == CLIP
    assert list(incoming.iterdir()) == []


def test_a_failed_download_leaves_no_file(serve, policy_for, incoming):
    origin = serve(says(file(CLIP)[:-1]))
    error = refused(f"https://{NAME}:{origin.port}/", FetchPolicy(incoming, 1000, policy_for(origin)))
    assert error.kind == "file_download_error"
    assert error.message.startswith("The address cannot be fetched: it breaks off")
    assert "data:video/mp4;base64," in error.hint
    assert list(incoming.iterdir()) == []


def test_the_error_for_an_unreachable_host_does_not_say_why(serve, policy_for, incoming):
    origin = serve(says(file(CLIP)))
    policy = policy_for(origin, allow=())
    error = refused(f"https://{NAME}:{origin.port}/", FetchPolicy(incoming, 1000, policy))
    assert error.message == "The address cannot be fetched: its host cannot be reached."
    assert "fetch_allow" in error.hint
    assert "127.0.0.1" not in str(vars(error))


def test_a_download_over_the_limit_names_the_limit_and_the_announced_size(serve, policy_for, incoming):
    origin = serve(says(file(CLIP)))
    policy = policy_for(origin, max_bytes=len(CLIP) - 1)
    error = refused(f"https://{NAME}:{origin.port}/", FetchPolicy(incoming, 1000, policy))
    assert error.kind == "file_too_large"
    assert error.ctx == {"max_size": len(CLIP) - 1, "provided_size": len(CLIP)}


def test_a_download_of_unknown_size_over_the_limit_names_the_limit_alone(serve, policy_for, incoming):
    origin = serve(repeats(b"HTTP/1.1 200 OK\r\n\r\n", bytes(1000)))
    policy = policy_for(origin, max_bytes=10_000)
    error = refused(f"https://{NAME}:{origin.port}/", FetchPolicy(incoming, 1000, policy))
    assert error.kind == "file_too_large"
    assert error.ctx == {"max_size": 10_000}


def test_a_data_uri_has_its_own_limit(incoming):
    uri = data_uri(CLIP)
    assert asyncio.run(read(uri, FetchPolicy(incoming, len(CLIP), EgressPolicy(1)))) == CLIP
    error = refused(uri, FetchPolicy(incoming, len(CLIP) - 1, EgressPolicy(1)))
    assert error.kind == "file_too_large"
    assert error.ctx == {"max_size": len(CLIP) - 1, "provided_size": len(CLIP)}


def test_blanks_around_a_reference_change_nothing(serve, policy_for, incoming):
    origin = serve(says(file(CLIP)))
    policy = FetchPolicy(incoming, len(CLIP), policy_for(origin))
    for source in (f"https://{NAME}:{origin.port}/clip.mp4", data_uri(CLIP)):
        assert asyncio.run(read(f"\r\n {source}\n", policy)) == CLIP


def test_a_web_page_instead_of_a_video_says_so(serve, policy_for, incoming):
    origin = serve(says(file(b"<html>Sign in</html>", "Content-Type: text/html")))
    error = refused(f"https://{NAME}:{origin.port}/", FetchPolicy(incoming, 1000, policy_for(origin)))
    assert (error.kind, "web page" in error.hint) == ("file_download_error", True)


@pytest.mark.parametrize("uri", ["data:video/mp4;AAAA", "data:video/mp4;base64,A"])
def test_a_data_uri_without_data_is_refused(incoming, uri):
    assert refused(uri, FetchPolicy(incoming, 1000, EgressPolicy(1))).kind == "invalid_data_uri"


@pytest.mark.parametrize("source", ["ftp://example.com/a", "file:///etc/passwd", "//example.com/a", "a.mp4"])
def test_other_schemes_and_paths_are_refused(incoming, source):
    assert refused(source, FetchPolicy(incoming, 1000, EgressPolicy(1))).kind == "file_download_error"
    assert not incoming.exists()


def test_a_path_is_read_in_place_where_the_policy_takes_paths(incoming, tmp_path):
    (tmp_path / "clip.mp4").write_bytes(CLIP)
    policy = FetchPolicy(incoming, 1, EgressPolicy(1), takes_paths=True)
    assert asyncio.run(read(str(tmp_path / "clip.mp4"), policy)) == CLIP


def test_the_hint_about_a_file_address_is_to_give_the_path_where_paths_are_taken(incoming):
    hints = [
        refused("file:///clip.mp4", FetchPolicy(incoming, 1, EgressPolicy(1), takes_paths=takes_paths)).hint
        for takes_paths in (True, False)
    ]
    assert ["path of a file" in hint for hint in hints] == [True, False]


def test_a_path_without_a_file_is_named_in_the_error(incoming, tmp_path):
    policy = FetchPolicy(incoming, 1, EgressPolicy(1), takes_paths=True)
    error = refused(str(tmp_path / "missing.mp4"), policy)
    assert error.kind == "file_not_found"
    assert "missing.mp4" in error.message


def test_a_clip_for_which_the_disk_has_no_room_can_be_tried_again_later(serve, policy_for, incoming):
    origin = serve(says(file(CLIP)))
    full = Disk(incoming, 0, lambda _: os.statvfs_result((1, 1, 0, 0, 1, 9, 9, 9, 0, 255)))
    policy = FetchPolicy(incoming, len(CLIP), policy_for(origin), disk=full)
    for source in (f"https://{NAME}:{origin.port}/clip.mp4", data_uri(CLIP)):
        with pytest.raises(CapacityError) as raised:
            asyncio.run(read(source, policy))
        assert raised.value.kind == "insufficient_storage"
        assert list(incoming.iterdir()) == []


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.EIO])
def test_a_disk_that_cannot_be_written_is_no_fault_of_the_media(incoming, policy_for, monkeypatch, number):
    def fail(*_args, **_options):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Path, "mkdir", fail)
    with pytest.raises(StorageError) as raised:
        asyncio.run(read(data_uri(CLIP), FetchPolicy(incoming, 1_000_000, policy_for())))
    assert raised.value.kind == "storage_unavailable"
