"""The space on the disk: what was promised, the reserve, and what killed processes leave behind."""

import asyncio
import os
import subprocess
import sys
import threading

import pytest

from omnireel.errors import CapacityError
from omnireel.storage.disk import Disk
from omnireel.storage.local_blobs import LocalBlobStore
from omnireel.storage.work_directory import remove_if_abandoned, work_directory


def statvfs_of(free_bytes, *, inodes=100, free_inodes=100):
    """A file system with so much free space, in blocks of a byte."""
    return lambda _: os.statvfs_result((1, 1, 0, 0, free_bytes, inodes, 0, free_inodes, 0, 255))


def is_full(disk, num_bytes=1):
    try:
        disk.check(num_bytes)
    except CapacityError as error:
        return error.kind == "insufficient_storage"
    return False


def test_a_reserve_stays_free(tmp_path):
    disk = Disk(tmp_path, 100, statvfs_of(150))
    assert [is_full(disk, num_bytes) for num_bytes in (1, 50, 51)] == [False, False, True]
    disk.statvfs = statvfs_of(100)
    assert is_full(disk)
    assert "full" in disk.problem
    disk.statvfs = statvfs_of(101)
    assert disk.problem is None


def test_a_disk_without_inodes_is_full(tmp_path):
    assert is_full(Disk(tmp_path, 0, statvfs_of(1000, free_inodes=0)))
    assert not is_full(
        Disk(tmp_path, 0, statvfs_of(1000, inodes=0, free_inodes=0))
    )  # a system that counts none


def test_promised_bytes_are_not_given_to_others(tmp_path):
    disk = Disk(tmp_path, 100, statvfs_of(200))
    with disk.promise(60) as promise:
        assert [is_full(disk, num_bytes) for num_bytes in (40, 41)] == [False, True]
        with pytest.raises(CapacityError), disk.promise(41):
            pass
        promise.spend(50)
        assert [is_full(disk, num_bytes) for num_bytes in (90, 91)] == [False, True]
        with pytest.raises(CapacityError):
            promise.spend(101)  # 10 of them were promised
    assert [is_full(disk, num_bytes) for num_bytes in (100, 101)] == [False, True]


def test_a_promise_ends_with_its_writer_whatever_ends_it(tmp_path):
    disk = Disk(tmp_path, 0, statvfs_of(100))
    for _ in range(3):
        with pytest.raises(RuntimeError), disk.promise(100):
            raise RuntimeError
    with disk.promise(100):
        pass


def test_what_does_not_fit_leaves_nothing(tmp_path):
    disk = Disk(tmp_path, 1000, statvfs_of(1000))
    blobs = LocalBlobStore(tmp_path / "blobs", disk)

    async def one(content):
        yield content

    async def scene():
        for writing in (
            blobs.put("a", b"x"),
            blobs.put_pieces("b", [b"x"]),
            blobs.write("c", one(b"x"), num_bytes=1, max_bytes=10, beyond=RuntimeError()),
            blobs.write("d", one(b"x"), num_bytes=None, max_bytes=10, beyond=RuntimeError()),
        ):
            with pytest.raises(CapacityError):
                await writing
        disk.statvfs = statvfs_of(1010)
        await blobs.put("part", b"0123456789")
        with pytest.raises(CapacityError):
            await blobs.join("whole", ["part", "part"])

    asyncio.run(scene())
    assert os.listdir(tmp_path / "blobs") == ["part"]


PROGRAM = """if True:
    import sys, time
    from pathlib import Path
    from omnireel.storage.work_directory import work_directory
    with work_directory(Path(sys.argv[1])) as path:
        (path / "video").write_bytes(b"x")
        print(path, flush=True)
        time.sleep(600)
"""


def test_what_a_killed_process_has_downloaded_is_deleted_and_what_a_live_one_downloads_stays(tmp_path):
    blobs = LocalBlobStore(tmp_path)
    (tmp_path / "tmpabc").mkdir()  # as an older version left it
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    try:
        theirs = process.stdout.readline().strip()
        with work_directory(tmp_path) as ours:
            asyncio.run(blobs.keep_only(set(), older_than_s=600))
            assert sorted(map(str, tmp_path.iterdir())) == sorted([theirs, str(ours)])
            process.kill()
            process.wait()
            asyncio.run(blobs.keep_only(set(), older_than_s=600))
            assert list(tmp_path.iterdir()) == [ours]
        assert list(tmp_path.iterdir()) == []
    finally:
        process.kill()
        process.communicate()


def test_a_sweep_takes_no_directory_from_those_who_make_one(tmp_path):
    ends = threading.Event()

    def sweep():
        while not ends.is_set():
            for path in tmp_path.iterdir():
                remove_if_abandoned(path)

    sweeper = threading.Thread(target=sweep)
    sweeper.start()
    try:
        for _ in range(50):
            with work_directory(tmp_path) as path:
                (path / "video").write_bytes(b"x")
                assert (path / "video").exists()
    finally:
        ends.set()
        sweeper.join()
