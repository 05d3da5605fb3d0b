"""Conformance tests of `BlobStore`, and tests of the local one alone."""

import asyncio
import errno
import hashlib
import os
import tempfile
from pathlib import Path

import pytest

from omnireel.errors import CapacityError, StorageError
from omnireel.storage.local_blobs import LocalBlobStore, digest_of

MIB = 1024 * 1024
# Makes each implementation of `BlobStore`. `folder` is empty at first.
IMPLEMENTATIONS = {"local": lambda folder: LocalBlobStore(folder / "blobs")}


@pytest.fixture(params=IMPLEMENTATIONS)
def blobs(request, tmp_path):
    return IMPLEMENTATIONS[request.param](tmp_path)


class TooMuchError(Exception):
    """Raised if more bytes arrive than allowed."""


async def pieces(*contents):
    for content in contents:
        yield content


async def read(blobs, name):
    """The bytes of a blob; None if it does not exist."""
    try:
        async with blobs.file(name) as path:
            return path.read_bytes()
    except FileNotFoundError:
        return None


def reads(blobs, *names):
    async def scene():
        return [await read(blobs, name) for name in names]

    return asyncio.run(scene())


@pytest.mark.parametrize("is_durable", [True, False])
@pytest.mark.parametrize("size", [0, 1, 300_000])
def test_a_blob_is_read_as_it_was_put(blobs, is_durable, size):
    content = os.urandom(size)
    asyncio.run(blobs.put("a", content, is_durable=is_durable))
    assert reads(blobs, "a", "b") == [content, None]


def test_a_blob_is_written_as_its_bytes_arrive(blobs):
    content = [b"", b"x" * MIB, os.urandom(3 * MIB), b"end"]
    written = asyncio.run(blobs.write("a", pieces(*content), max_bytes=5 * MIB, beyond=TooMuchError()))
    whole = b"".join(content)
    assert (written.num_bytes, written.sha256) == (len(whole), hashlib.sha256(whole).hexdigest())
    assert reads(blobs, "a") == [whole]


def test_too_many_bytes_leave_nothing(blobs):
    with pytest.raises(TooMuchError):
        asyncio.run(blobs.write("a", pieces(b"123", b"4"), max_bytes=3, beyond=TooMuchError()))
    assert reads(blobs, "a") == [None]
    assert asyncio.run(blobs.write("a", pieces(b"123"), max_bytes=3, beyond=TooMuchError())).num_bytes == 3


def test_a_sender_that_disconnects_leaves_nothing(blobs):
    async def broken():
        yield b"x" * 2 * MIB
        raise ConnectionError

    with pytest.raises(ConnectionError):
        asyncio.run(blobs.write("a", broken(), max_bytes=9 * MIB, beyond=TooMuchError()))
    assert reads(blobs, "a") == [None]


def test_a_name_can_be_used_only_once(blobs):
    asyncio.run(blobs.put("a", b"first"))
    with pytest.raises(FileExistsError):
        asyncio.run(blobs.put("a", b"second"))
    assert reads(blobs, "a") == [b"first"]


def test_blobs_are_joined_in_the_given_order(blobs):
    async def scene():
        for name in "abc":
            await blobs.put(name, name.encode())
        await blobs.join("whole", ["c", "a", "b"])

    asyncio.run(scene())
    assert reads(blobs, "whole", "a") == [b"cab", b"a"]
    with pytest.raises(FileNotFoundError):
        asyncio.run(blobs.join("other", ["a", "missing"]))
    assert reads(blobs, "other") == [None]


def test_removing_ignores_missing_blobs(blobs):
    async def scene():
        await blobs.put("small", b"x")
        await blobs.put("large", b"x" * MIB)
        await blobs.put("stays", b"x")
        await blobs.remove(["large"])
        await blobs.remove(["small", "missing", "large"])
        await blobs.remove([])

    asyncio.run(scene())
    assert reads(blobs, "small", "large", "stays") == [None, None, b"x"]


def test_a_blob_made_of_a_file_stays_when_the_file_is_deleted(blobs, tmp_path):
    source = tmp_path / "source"
    source.write_bytes(b"content")
    asyncio.run(blobs.put_file("a", source))
    source.unlink()
    assert reads(blobs, "a") == [b"content"]
    with pytest.raises(FileNotFoundError):
        asyncio.run(blobs.put_file("b", source))
    assert reads(blobs, "b") == [None]


def test_a_blob_can_be_put_into_another_store_by_its_file(blobs, tmp_path):
    other = LocalBlobStore(tmp_path / "other")

    async def scene():
        await blobs.put("a", b"content")
        async with blobs.file("a") as path:
            await other.put_file("b", path)
        await blobs.remove(["a"])

    asyncio.run(scene())
    assert reads(other, "b") == [b"content"]


def test_only_blobs_that_were_not_needed_for_a_while_are_deleted(tmp_path):
    """The times of their files do not count: the clock may have been wrong."""
    now = 0.0
    blobs = LocalBlobStore(tmp_path, clock=lambda: now)

    async def collect(*needed):
        await blobs.keep_only({"needed", *needed}, older_than_s=600)
        return sorted(os.listdir(tmp_path))

    async def scene():
        nonlocal now
        for name in ("needed", "left over", "named again"):
            await blobs.put(name, b"x")
            os.utime(tmp_path / name, (0, 0))
        seen = [await collect()]
        now = 599.0
        seen.append(await collect("named again"))
        await blobs.put("new", b"x")
        now = 600.0
        return [*seen, await collect()]

    everything = ["left over", "named again", "needed"]
    assert asyncio.run(scene()) == [everything, everything, ["named again", "needed", "new"]]


def test_the_digest_of_bytes_is_computed_without_storing_them():
    digest = asyncio.run(digest_of(pieces(b"a", b"b"), max_bytes=2, beyond=TooMuchError()))
    assert digest == hashlib.sha256(b"ab").hexdigest()
    with pytest.raises(TooMuchError):
        asyncio.run(digest_of(pieces(b"a", b"b"), max_bytes=1, beyond=TooMuchError()))


def fill_disk(*_, **__):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("call", ["open", "fsync"])
def test_a_full_disk_is_an_error_that_callers_may_retry_and_leaves_nothing(tmp_path, monkeypatch, call):
    """`open` fails if no inode is left, `fsync` if no space is left."""
    blobs = LocalBlobStore(tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(os, call, fill_disk)
        with pytest.raises(CapacityError, match="disk is full"):
            asyncio.run(blobs.put("a", b"x"))
    assert reads(blobs, "a") == [None]


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.EIO])
def test_a_disk_that_cannot_be_written_is_an_error_that_callers_may_retry(tmp_path, monkeypatch, number):
    def refuse(*_, **__):
        raise OSError(number, os.strerror(number))

    blobs = LocalBlobStore(tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(os, "open", refuse)
        with pytest.raises(StorageError, match="data directory cannot be written") as raised:
            asyncio.run(blobs.put("a", b"x"))
    assert (raised.value.kind, raised.value.after_s) == ("storage_unavailable", 5)
    assert reads(blobs, "a") == [None]


def test_a_local_file_that_another_process_deletes_meanwhile_is_ignored(tmp_path, monkeypatch):
    blobs = LocalBlobStore(tmp_path)
    (tmp_path / "left over").write_bytes(b"x")

    def delete_first(path):
        path.unlink()
        return True

    monkeypatch.setattr(Path, "is_file", delete_first)
    asyncio.run(blobs.keep_only(set(), older_than_s=0))
    assert os.listdir(tmp_path) == []


def test_a_hard_link_is_made_where_the_file_system_can(tmp_path):
    old, blobs = tmp_path / "old", LocalBlobStore(tmp_path / "blobs")
    old.write_bytes(b"x")
    asyncio.run(blobs.put_file("a", old))
    assert reads(blobs, "a") == [b"x"]
    assert (tmp_path / "blobs" / "a").stat().st_nlink == 2


def test_a_file_of_another_file_system_is_copied(tmp_path):
    memory = Path("/dev/shm")
    other = memory if memory.is_dir() and memory.stat().st_dev != tmp_path.stat().st_dev else tmp_path
    with tempfile.TemporaryDirectory(dir=other) as folder:
        source = Path(folder, "source")
        source.write_bytes(b"content")
        blobs = LocalBlobStore(tmp_path / "blobs")
        asyncio.run(blobs.put_file("a", source))
    assert reads(blobs, "a") == [b"content"]
