"""The number of connections to one host at a time is limited."""

import asyncio
from dataclasses import replace

from origin import NAME, file, says

from omnireel.net.connector import connected
from omnireel.net.per_host_limit import PerHostLimit
from omnireel.net.policy import egress_policy
from omnireel.net.resolver import Lookups
from omnireel.net.urls import parse_url
from omnireel.settings import Settings
from omnireel.storage.media import fetch_policy


def test_connections_beyond_the_limit_wait_and_all_are_served():
    async def run():
        limit, inside, highest, served = PerHostLimit(), 0, 0, 0

        async def call(host):
            nonlocal inside, highest, served
            async with limit.acquire(host, 3, ""):
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
        async with limit.acquire("a", 1, ""):
            waiting = asyncio.create_task(limit.acquire("a", 1, "").__aenter__())
            await asyncio.sleep(0.01)
            waiting.cancel()
        async with limit.acquire("a", 1, ""):
            return len(limit._hosts)

    assert asyncio.run(run()) == 1


def test_an_account_with_many_connections_to_a_host_does_not_keep_another_from_it():
    async def run():
        limit, order = PerHostLimit(), []

        async def call(owner):
            async with limit.acquire("shared", 2, owner):
                await asyncio.sleep(0.01)
                order.append(owner)

        await asyncio.gather(*(call("flood") for _ in range(9)), call("ann"))
        return order.index("ann")

    assert asyncio.run(run()) in (2, 3)


def test_an_account_with_many_unanswered_lookups_does_not_keep_another_from_its_own():
    asked = asyncio.Queue()

    async def resolve(host, port):
        asked.put_nowait(host)
        await asyncio.sleep(0.05 if host == "silent" else 0)
        return ["192.0.2.1"]

    async def run():
        lookups = Lookups()
        silent = [asyncio.create_task(lookups.look_up(resolve, "silent", 1, "flood")) for _ in range(1000)]
        await asyncio.sleep(0.01)
        num_before = asked.qsize()
        for task in silent[:500]:
            task.cancel()  # their callers wait no longer, but their threads would still be taken
        assert await lookups.look_up(resolve, "ann's", 1, "ann") == ["192.0.2.1"]
        hosts = [asked.get_nowait() for _ in range(asked.qsize())]
        for task in silent:
            task.cancel()
        return num_before, hosts.index("ann's")

    num_at_once, position = asyncio.run(run())
    assert num_at_once == 128
    assert position <= num_at_once


def test_downloads_and_webhooks_of_a_process_share_one_limit(tmp_path):
    settings = Settings(data_dir=tmp_path)
    policies = [
        fetch_policy(settings).egress,
        egress_policy(settings),
        replace(egress_policy(settings), owner="a"),
    ]
    assert len({id(policy.per_host_limit) for policy in policies}) == 1
    assert len({id(policy.lookups) for policy in policies}) == 1


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
