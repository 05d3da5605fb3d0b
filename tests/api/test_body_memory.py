"""Bodies take a limited amount of memory, whatever their number and size."""

import asyncio
import hashlib
import os
import time
import tracemalloc

import pytest

from omnireel.api.fal.input import parse_input, to_task
from omnireel.api.http.body_memory import ArrivingBody, BodyMemory
from omnireel.storage.data_uri import data_uri_pieces

MIB = 1024 * 1024


@pytest.fixture
def memory(tmp_path):
    return BodyMemory(4 * MIB, tmp_path)


async def filled(memory, owner, *, num_bytes, piece=64 * 1024):
    body, content = ArrivingBody(memory, owner), os.urandom(num_bytes)
    for at in range(0, num_bytes, piece):
        await body.add(content[at : at + piece])
    return body, content


@pytest.mark.parametrize("num_bytes", [0, 1, 100_000, MIB, MIB + 1, 3 * MIB + 7])
def test_a_body_is_the_same_in_memory_and_in_a_file(memory, num_bytes):
    body, content = asyncio.run(filled(memory, "ann", num_bytes=num_bytes))
    assert body.num_bytes == num_bytes
    assert body.fingerprint == hashlib.sha256(content).hexdigest()
    assert body.take() == content
    body.close()
    assert memory.take("ann", 2 * MIB), "all its memory was given back"


def test_many_arriving_bodies_take_no_more_than_the_limit_together(memory):
    async def fill():
        return [await filled(memory, f"account {n}", num_bytes=MIB) for n in range(40)]

    bodies = asyncio.run(fill())
    in_buffers = sum(body._buffer.getbuffer().nbytes for body, _ in bodies)
    assert in_buffers <= 4 * MIB + 40 * 256 * 1024
    assert all(body.take() == content for body, content in bodies)
    for body, _ in bodies:
        body.close()


def test_no_account_takes_more_than_it_leaves_for_the_next(memory):
    assert memory.take("ann", 2 * MIB)
    assert not memory.take("ann", 1)
    assert memory.take("bob", MIB)
    assert not memory.take("bob", 1)
    assert memory.take("cid", MIB // 2)
    memory.give_back("ann", 2 * MIB)
    assert memory.take("cid", MIB // 2)


def test_bodies_of_an_account_that_sends_many_are_not_all_read_before_anothers(memory):
    order = []

    async def read(owner, num_bytes):
        async with memory.turn(owner, num_bytes):
            order.append(owner)
            await memory.read_long(owner, lambda: time.sleep(0.002))

    async def read_all():
        await asyncio.gather(*(read("many", 4 * MIB) for _ in range(10)), read("few", 1000))

    asyncio.run(asyncio.wait_for(read_all(), 20))
    assert order.index("few") == 1


def test_as_many_bodies_are_read_at_a_time_as_fit_and_in_their_order(memory):
    order = []

    async def read(name, num_bytes):
        async with memory.turn("ann", num_bytes):
            order.append(name)
            await asyncio.sleep(0.01)
            order.append(f"{name} ended")

    async def read_all():
        await asyncio.gather(
            read("a", 3 * MIB), read("b", MIB), read("larger than all", 99 * MIB), read("c", 1)
        )

    asyncio.run(asyncio.wait_for(read_all(), 20))
    assert order.index("b") < order.index("a ended")
    assert order.index("larger than all") > max(order.index("a ended"), order.index("b ended"))
    assert order[-2:] == ["c", "c ended"]


def test_a_caller_who_leaves_while_waiting_keeps_nobody_from_his_turn(memory):
    async def leave():
        async with memory.turn("ann", 4 * MIB):
            waiting = asyncio.create_task(wait(4 * MIB))
            behind = asyncio.create_task(wait(MIB))
            await asyncio.sleep(0)
            waiting.cancel()
            await asyncio.sleep(0)
        await behind
        async with memory.turn("ann", 4 * MIB):
            return

    async def wait(num_bytes):
        async with memory.turn("ann", num_bytes):
            pass

    asyncio.run(asyncio.wait_for(leave(), 20))


def test_a_large_clip_is_decoded_without_copies_of_the_whole():
    uri = "data:video/mp4;base64," + "A" * (16 * MIB)
    tracemalloc.start()
    num_bytes = sum(len(piece) for piece in data_uri_pieces(uri, 32 * MIB))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert num_bytes == 12 * MIB
    assert peak < 6 * MIB


def test_unknown_fields_of_megabytes_are_kept_shortened():
    body = {"prompt": "hi", "video_url": "data:,x", "a": ["b" * MIB] * 3, "c" * MIB: 1, "d": 2}
    task = to_task(parse_input(body), body)
    assert task.extra["d"] == 2
    assert len(str(task.extra)) < 5000
    small = {"prompt": "hi", "video_url": "data:,x", "a": ["b" * 1000] * 3}
    assert to_task(parse_input(small), small).extra == {"a": ["b" * 1000] * 3}
