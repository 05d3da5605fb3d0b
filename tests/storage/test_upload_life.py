"""The life cycle of uploads, with rows in the store and bytes in the blob store."""

import asyncio
import hashlib
import time
from contextlib import closing
from dataclasses import replace

import pytest

from omnireel.errors import InputError
from omnireel.storage.blob_store import Written
from omnireel.storage.local_blobs import LocalBlobStore
from omnireel.storage.uploads import Uploads
from omnireel.store.keys import Caller
from omnireel.store.open import open_store
from omnireel.store.uploads import FileLimits, NewUpload

NEW = NewUpload("ann", "clip.mp4", "video/mp4", "http://here", keep_s=1000.0)
LIMITS = FileLimits(max_file_bytes=1000, max_total_bytes=2500, open_s=60.0)


class Lab:
    """Uploads with a clock that the test sets."""

    def __init__(self, folder):
        self.now = 1000.0
        self.folder = folder / "uploads"
        self.store = open_store(folder / "store.db")
        self.uploads = Uploads(self.store, LocalBlobStore(self.folder), LIMITS, clock=lambda: self.now)

    def close(self):
        self.store.close()

    @property
    def num_blobs(self):
        return len(list(self.folder.iterdir()))

    async def content(self, file):
        async with self.uploads.file(file) as path:
            return path.read_bytes()


@pytest.fixture
def lab(tmp_path):
    with closing(Lab(tmp_path)) as lab:
        yield lab


async def pieces(*contents):
    for content in contents:
        yield content


def kind_of(raised):
    return raised.value.kind


def test_a_file_can_be_sent_again_only_with_the_same_bytes(lab):
    async def scene():
        opened = await lab.uploads.begin(NEW)
        receive = lab.uploads.receive
        file = await receive(opened.id, opened.token, pieces(b"abc", b"def"), num_bytes=6)
        assert await receive(opened.id, opened.token, pieces(b"abcdef"), num_bytes=None) == file
        with pytest.raises(InputError) as raised:
            await receive(opened.id, opened.token, pieces(b"other"), num_bytes=None)
        assert kind_of(raised) == "upload_is_complete"
        with pytest.raises(InputError) as raised:
            await receive(opened.id, "wrong", pieces(b"abcdef"), num_bytes=None)
        assert kind_of(raised) == "upload_not_found"
        assert await lab.uploads.find(opened.id) == file
        return file, await lab.content(file)

    file, content = asyncio.run(scene())
    assert (content, file.num_bytes, file.etag) == (b"abcdef", 6, hashlib.sha256(b"abcdef").hexdigest())
    assert lab.num_blobs == 1


def test_parts_become_one_file_and_their_blobs_are_deleted(lab):
    async def scene():
        opened = await lab.uploads.begin(NEW)
        etags = {}
        for number, content in ((2, b"b"), (1, b"wrong"), (1, b"a")):
            etags[number] = await lab.uploads.receive_part(
                opened.id, opened.token, number, pieces(content), num_bytes=None
            )
        listed = [(1, etags[1]), (2, etags[2])]
        file = await lab.uploads.complete(opened.id, opened.token, listed)
        assert await lab.uploads.complete(opened.id, opened.token, listed) == file
        with pytest.raises(InputError) as raised:
            await lab.uploads.receive_part(opened.id, opened.token, 1, pieces(b"c"), num_bytes=1)
        assert kind_of(raised) == "upload_is_complete"
        return file, await lab.content(file)

    file, content = asyncio.run(scene())
    assert content == b"ab"
    assert file.etag.endswith("-2")
    assert lab.num_blobs == 1


def test_bytes_beyond_a_limit_leave_neither_blob_nor_reservation(lab):
    async def scene():
        opened = await lab.uploads.begin(NEW)
        for num_bytes in (2000, 10):
            with pytest.raises(InputError) as raised:
                await lab.uploads.receive(opened.id, opened.token, pieces(b"x" * 2000), num_bytes=num_bytes)
            assert kind_of(raised) == "file_too_large"
        await lab.uploads.abandon(opened.id)
        return await lab.store.uploads.num_stored_bytes()

    assert asyncio.run(scene()) == 0
    assert lab.num_blobs == 0


def test_the_reservation_of_a_sender_that_disconnects_is_released(lab):
    async def broken():
        yield b"x"
        raise ConnectionError

    async def scene():
        opened = await lab.uploads.begin(NEW)
        with pytest.raises(ConnectionError):
            await lab.uploads.receive(opened.id, opened.token, broken(), num_bytes=900)
        await lab.uploads.begin(NEW)  # after this later write the part is dropped
        return await lab.store.uploads.num_stored_bytes()

    assert asyncio.run(scene()) == 0
    assert lab.num_blobs == 0


def test_the_bytes_of_an_expired_file_stay_in_the_blob_of_a_job(lab, tmp_path):
    incoming = LocalBlobStore(tmp_path / "incoming")

    async def scene():
        opened = await lab.uploads.begin(NEW)
        file = await lab.uploads.receive(opened.id, opened.token, pieces(b"clip"), num_bytes=None)
        await lab.uploads.link_to(file, incoming, "job")
        lab.now += 1001
        await lab.uploads.sweep()
        assert await lab.uploads.find(file.id) is None
        with pytest.raises(FileNotFoundError):
            await lab.uploads.link_to(file, incoming, "another job")
        async with incoming.file("job") as path:
            return path.read_bytes()

    assert asyncio.run(scene()) == b"clip"
    assert lab.num_blobs == 0


def test_a_blob_without_a_row_is_collected_when_it_is_old(lab, monkeypatch):
    async def scene():
        opened = await lab.uploads.begin(NEW)
        await lab.uploads.receive(opened.id, opened.token, pieces(b"clip"), num_bytes=None)
        await lab.uploads.blobs.put("garbage", b"x")
        await lab.uploads.collect_garbage()
        assert lab.num_blobs == 2
        monkeypatch.setattr("omnireel.storage.uploads._GARBAGE_S", -1.0)
        await lab.uploads.collect_garbage()

    asyncio.run(scene())
    assert lab.num_blobs == 1


def test_a_temporary_token_expires_after_an_hour(lab):
    async def scene():
        token = await lab.uploads.issue_cdn_token(Caller("ann"))
        assert abs(token.expires_at - time.time() - 3600) < 60
        holders = [await lab.uploads.holder_of_cdn_token(token.text)]
        lab.now += 3600
        holders.append(await lab.uploads.holder_of_cdn_token(token.text))
        return holders

    assert asyncio.run(scene()) == [Caller("ann"), None]


def test_an_account_that_sends_many_files_at_once_gets_half_of_the_turns_beside_another(tmp_path):
    order = []

    async def recorded(owner, num):
        for _ in range(num):
            order.append(owner)
            yield b"x"

    async def send(lab, owner, num):
        opened = await lab.uploads.begin(replace(NEW, owner=owner))
        await lab.uploads.receive(opened.id, opened.token, recorded(owner, num), num_bytes=num)

    async def scene(lab):
        lab.uploads.blobs.write = slowly_written
        flood = [send(lab, "flood", 40) for _ in range(10)]
        await asyncio.gather(*flood, send(lab, "ann", 10))

    async def slowly_written(blob, chunks, *, num_bytes, max_bytes, beyond):
        num_written = 0
        async for chunk in chunks:
            num_written += len(chunk)
            await asyncio.sleep(0.001)
        return Written(num_written, "etag")

    with closing(Lab(tmp_path)) as lab:
        lab.uploads.turns.capacity = 1
        asyncio.run(scene(lab))
    first = order.index("ann")
    last = len(order) - 1 - order[::-1].index("ann")
    # Nine more pieces, each after about one of the other account. Without turns there would be ten of those each time.
    assert last - first <= 9 * 3


def test_many_calls_that_complete_one_upload_write_its_file_once(lab, monkeypatch):
    joins, join = [], lab.uploads.blobs.join

    async def count(name, parts):
        joins.append(name)
        await asyncio.sleep(0.05)  # the others come meanwhile
        await join(name, parts)

    monkeypatch.setattr(lab.uploads.blobs, "join", count)

    async def scene():
        opened = await lab.uploads.begin(NEW)
        for number in (1, 2):
            await lab.uploads.receive_part(opened.id, opened.token, number, pieces(b"ab"), num_bytes=2)
        calls = [
            asyncio.create_task(lab.uploads.complete(opened.id, opened.token, [(1, None), (2, None)]))
            for _ in range(24)
        ]
        await asyncio.sleep(0.01)
        calls[0].cancel()  # the caller that began has left
        return await asyncio.gather(*calls[1:])

    files = asyncio.run(scene())
    assert len(files) == 23
    assert {(file.id, file.num_bytes) for file in files} == {(files[0].id, 4)}
    assert (len(joins), lab.num_blobs) == (1, 1)
