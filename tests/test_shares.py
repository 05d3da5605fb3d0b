"""Turns are shared fairly between accounts, are never kept back, and survive cancelling."""

import asyncio
from collections import Counter, deque

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from omnireel.errors import CapacityError
from omnireel.shares import FairShares

OWNERS = st.sampled_from("abcd")
STEPS = st.one_of(
    st.tuples(st.just("ask"), OWNERS, st.integers(1, 3)),
    st.tuples(st.just("release"), st.integers(0, 20), st.none()),
    st.tuples(st.just("cancel"), st.integers(0, 20), st.none()),
)


async def settled():
    for _ in range(4):
        await asyncio.sleep(0)


class Callers:
    """Tasks that ask for turns, and the turns that they got, in the order of the grants."""

    def __init__(self, shares):
        self.shares = shares
        self.asking = []
        self.held = []
        self.granted = Counter()

    async def ask(self, owner, **options):
        task = asyncio.create_task(self._acquire(owner, **options))
        self.asking.append(task)
        await settled()

    async def _acquire(self, owner, **options):
        turn = await self.shares.acquire(owner, **options)
        self.held.append(turn)
        self.granted[owner] += turn.cost / turn.weight

    @property
    def waiting(self):
        return [task for task in self.asking if not task.done()]

    async def release(self, number):
        if self.held:
            self.held.pop(number % len(self.held)).release()
        await settled()

    async def cancel(self, number):
        if self.waiting:
            self.waiting[number % len(self.waiting)].cancel()
        await settled()


@settings(deadline=None)
@given(steps=st.lists(STEPS, max_size=60), capacity=st.integers(1, 4))
def test_nothing_stays_free_while_somebody_waits_and_nothing_is_given_twice(steps, capacity):
    async def run():
        callers = Callers(shares := FairShares(capacity))
        for what, who, _ in steps:
            await getattr(callers, what)(who)
            assert shares.num_held == len(callers.held) <= capacity
            assert not callers.waiting or len(callers.held) == capacity
        while callers.held:
            await callers.release(0)
        assert not callers.waiting
        assert shares.is_idle

    asyncio.run(run())


@settings(deadline=None)
@given(steps=st.lists(STEPS, max_size=60))
def test_turns_of_different_sizes_stay_within_the_capacity_and_all_come(steps):
    async def run():
        callers = Callers(shares := FairShares(3))
        for what, who, size in steps:
            await getattr(callers, what)(who, **({"size": size} if what == "ask" else {}))
            assert shares.num_held == sum(turn.size for turn in callers.held) <= 3
            assert callers.held or not callers.waiting
        while callers.held:
            await callers.release(0)
        assert not callers.waiting

    asyncio.run(run())


@settings(deadline=None, max_examples=50)
@given(
    costs=st.lists(st.integers(1, 9), min_size=40, max_size=40),
    weights=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    capacity=st.integers(1, 4),
    order=st.lists(st.integers(0, 3), min_size=40, max_size=40),
)
def test_accounts_that_always_wait_differ_by_few_turns(costs, weights, capacity, order):
    """The bound of start-time fair queueing with several turns at once, whatever the costs and the order of ends."""

    async def run():
        callers = Callers(FairShares(capacity))
        left = {"a": deque(costs), "b": deque(reversed(costs))}
        weight = dict(zip("ab", weights, strict=True))
        bound = (capacity + 1) * sum(max(costs) / weight[owner] for owner in "ab")
        for owner in "ab" * (capacity + 1):
            await callers.ask(owner, cost=left[owner].popleft(), weight=weight[owner])
        for number in order:
            if not all(left.values()):
                break
            await callers.release(number)
            for owner in "ab":
                await callers.ask(owner, cost=left[owner].popleft(), weight=weight[owner])
            assert abs(callers.granted["a"] - callers.granted["b"]) <= bound
        for task in callers.waiting:
            task.cancel()

    asyncio.run(run())


async def flooded(shares, *, num=100):
    callers = Callers(shares)
    for _ in range(num):
        await callers.ask("flood")
    return callers


def test_a_newcomer_has_the_next_turn_however_many_wait():
    async def run():
        callers = await flooded(FairShares(2))
        await callers.ask("new")
        await callers.release(0)
        owners = [turn.owner for turn in callers.held]
        for task in callers.waiting:
            task.cancel()
        return owners

    assert asyncio.run(run()) == ["flood", "new"]


def test_being_idle_gives_no_claim_to_later_turns():
    async def run():
        callers = await flooded(FairShares(1))
        for _ in range(50):
            await callers.release(0)
        for _ in range(10):
            await callers.ask("late")
        before = callers.granted["flood"]
        for _ in range(10):
            await callers.release(0)
        for task in callers.waiting:
            task.cancel()
        return callers.granted["late"], callers.granted["flood"] - before

    assert asyncio.run(run()) == (5, 5)


def test_turns_that_were_held_for_longer_than_expected_are_made_up_for():
    async def run():
        now = 0.0
        callers = Callers(FairShares(1, is_timed=True, clock=lambda: now))
        for _ in range(40):
            await callers.ask("slow")
            await callers.ask("quick")
        turns = Counter()
        for _ in range(40):
            owner = callers.held[0].owner
            turns[owner] += 1
            now += 3.0 if owner == "slow" else 1.0
            await callers.release(0)
        for task in callers.waiting:
            task.cancel()
        return turns

    assert asyncio.run(run()) == {"slow": 10, "quick": 30}


def test_a_bounded_number_of_an_accounts_turns_wait_and_others_are_not_refused():
    async def run():
        callers = await flooded(FairShares(2, max_waiting=3), num=5)
        with pytest.raises(CapacityError, match="2 requests are being answered already, and 3 of yours wait"):
            await callers.shares.acquire("flood")
        await callers.ask("other")
        await callers.release(0)
        return len(callers.waiting), [turn.owner for turn in callers.held]

    assert asyncio.run(run()) == (3, ["flood", "other"])


def test_a_turn_that_must_not_wait_is_refused_at_once_when_all_are_held():
    async def run():
        shares = FairShares(1, max_waiting=0)
        async with shares.turn("a"):
            with pytest.raises(CapacityError):
                await shares.acquire("b")
        async with shares.turn("b"):
            return shares.num_held

    assert asyncio.run(run()) == 1


def test_a_turn_that_is_cancelled_when_it_was_just_granted_goes_to_the_next():
    async def run():
        callers = await flooded(FairShares(1), num=3)
        callers.held.pop().release()
        callers.asking[1].cancel()  # its task has not run since the grant
        await settled()
        return len(callers.held), len(callers.waiting)

    assert asyncio.run(run()) == (1, 0)


def test_accounts_that_are_gone_take_no_memory():
    async def run():
        shares = FairShares(2)
        async with shares.turn("first"):
            for number in range(1000):
                async with shares.turn(f"account {number}"):
                    pass
        return len(shares._accounts)

    assert asyncio.run(run()) < 40
