"""The number of connections to one host at a time is limited."""

import asyncio

from origin import NAME, file, says

from omnireel.net.connector import connected
from omnireel.net.per_host_limit import PerHostLimit
from omnireel.net.policy import egress_policy
from omnireel.net.urls import parse_url
from omnireel.settings import Settings
from omnireel.storage.media import fetch_policy


def test_connections_beyond_the_limit_wait_and_all_are_served():
    async def run():
        limit, inside, highest, served = PerHostLimit(), 0, 0, 0

        async def call(host):
            nonlocal inside, highest, served
            async with limit.acquire(host, 3):
                inside += host == "a"
                highest = max(highest, inside)
                await asyncio.sleep(0.01)
                inside -= host == "a"
                served += 1

        await asyncio.gather(*(call(host) for host in "ab" * 10))
        return highest, served, limit._hosts

    assert asyncio.run(run()) == (3, 20, {})


def test_a_cancelled_wait_leaves_no_entry_behind():
    async def run():
        limit = PerHostLimit()
        async with limit.acquire("a", 1):
            waiting = asyncio.create_task(limit.acquire("a", 1).__aenter__())
            await asyncio.sleep(0.01)
            waiting.cancel()
        async with limit.acquire("a", 1):
            return len(limit._hosts)

    assert asyncio.run(run()) == 1


def test_downloads_and_webhooks_of_a_process_share_one_limit(tmp_path):
    settings = Settings(data_dir=tmp_path)
    assert (
        fetch_policy(settings).egress.per_host_limit
        is fetch_policy(settings).egress.per_host_limit
        is egress_policy(settings).per_host_limit
    )


def test_connections_to_one_host_stay_within_the_limit(serve, policy_for):
    origin = serve(says(file(b"x"), gap_s=0.2))
    bounded = policy_for(origin, limits={"per_host": 2})
    target = parse_url(f"https://{NAME}:{origin.port}/")
    highest, now = 0, 0

    async def call():
        nonlocal highest, now
        async with connected(target, bounded):
            now += 1
            highest = max(highest, now)
            await asyncio.sleep(0.05)
            now -= 1

    async def calls():
        await asyncio.gather(*(call() for _ in range(6)))

    asyncio.run(calls())
    assert highest == 2
    assert origin.num_connections == 6
