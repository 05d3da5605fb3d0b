"""A capacity that accounts share: each gets its part by weight, and nothing stays free while somebody waits.

This is start-time fair queueing (Goyal, Vin and Cheng, 1996), for several turns at once (Jin, Chase and Kaur, 2004).
The waiting account with the lowest start tag comes next. Its start tag is its finish tag, or the virtual time where it
has not waited just before. A turn raises the finish tag by its cost over the account's weight, and sets the virtual
time to its start tag. So nobody collects a claim by being idle, and a long turn is made up for by later ones.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from omnireel.errors import CapacityError

# Accounts are dropped, where that changes nothing, when there are twice as many as after the last time, and more.
_FEW_ACCOUNTS = 16


@dataclass(eq=False)
class _Account:
    """finish: its finish tag; floor: the virtual time when it last began to wait"""

    finish: float = 0.0
    floor: float = 0.0
    num_held: int = 0
    waiting: deque[_Waiting] = field(default_factory=deque)

    @property
    def start(self) -> float:
        return max(self.floor, self.finish)

    def is_wanting(self) -> bool:
        """Whether a turn waits. One whose task was cancelled is dropped: that task has not run again yet."""
        while self.waiting and self.waiting[0].granted.cancelled():
            self.waiting.popleft()
        return bool(self.waiting)


@dataclass(eq=False)
class _Waiting:
    turn: Turn
    granted: asyncio.Future[None]


@dataclass(eq=False)
class Turn:
    """A part of the capacity that an account holds until `release`.

    size: how much of the capacity
    cost: what the account is charged for it
    """

    shares: FairShares
    owner: str
    size: int
    cost: float
    weight: float
    granted_at: float = 0.0
    is_held: bool = False

    def release(self) -> None:
        """Give the capacity back. Further calls do nothing."""
        if self.is_held:
            self.shares._release(self)


class FairShares:
    """Turns at a capacity, fair between accounts. For one event loop; a turn may be held for any time.

    capacity:    sizes of all turns that are held at a time
    max_waiting: most turns of one account that may wait; None for any number
    is_timed:    a turn costs the seconds for which it was held. Its `cost` is an estimate until then.
    """

    def __init__(
        self,
        capacity: int,
        *,
        max_waiting: int | None = None,
        is_timed: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.capacity = capacity
        self.num_held = 0
        self._max_waiting = max_waiting
        self._is_timed = is_timed
        self._clock = clock
        self._virtual_time = 0.0
        self._accounts: dict[str, _Account] = {}
        self._purge_at = _FEW_ACCOUNTS

    @property
    def is_idle(self) -> bool:
        """Whether no turn is held and none is waited for."""
        return not self.num_held and not any(account.waiting for account in self._accounts.values())

    def others_wait(self, owner: str) -> bool:
        """Whether another account waits for a turn."""
        return any(account.waiting for name, account in self._accounts.items() if name != owner)

    def check_room(self, owner: str) -> None:
        """Raise CapacityError if a turn of the account would have to wait, and too many of its turns wait already."""
        account = self._accounts.get(owner)
        num_waiting = len(account.waiting) if account else 0
        if self._max_waiting is None or (self.num_held < self.capacity and not num_waiting):
            return
        if num_waiting >= self._max_waiting:
            message = f"{self.num_held} requests are being answered already, and {num_waiting} of yours wait."
            raise CapacityError(message, after_s=1)

    async def acquire(
        self, owner: str, *, size: int = 1, cost: float = 1.0, weight: float = 1.0, is_next: bool = False
    ) -> Turn:
        """Wait for a turn, which the caller has to release. `turn` does so by itself.

        size:    at most the capacity
        is_next: before the other turns of the same account
        Raises CapacityError as `check_room`.
        """
        assert 0 < size <= self.capacity
        self.check_room(owner)
        waiting = _Waiting(Turn(self, owner, size, cost, weight), asyncio.get_running_loop().create_future())
        account = self._account(owner)
        if not account.waiting:
            account.floor = self._virtual_time
        (account.waiting.appendleft if is_next else account.waiting.append)(waiting)
        self._grant()
        try:
            await waiting.granted
        except asyncio.CancelledError:
            self._withdraw(waiting)
            raise
        return waiting.turn

    @asynccontextmanager
    async def turn(
        self, owner: str, *, size: int = 1, cost: float = 1.0, weight: float = 1.0
    ) -> AsyncIterator[Turn]:
        """Hold a turn until the block ends. As `acquire`."""
        turn = await self.acquire(owner, size=size, cost=cost, weight=weight)
        try:
            yield turn
        finally:
            turn.release()

    def _account(self, owner: str) -> _Account:
        if owner not in self._accounts:
            if len(self._accounts) >= self._purge_at:
                self._purge()
            self._accounts[owner] = _Account()
        return self._accounts[owner]

    def _grant(self) -> None:
        """Grant turns in order. A large turn is not overtaken while it waits for enough capacity."""
        while wanting := [account for account in self._accounts.values() if account.is_wanting()]:
            account = min(wanting, key=lambda account: account.start)
            turn, granted = account.waiting[0].turn, account.waiting[0].granted
            if self.num_held + turn.size > self.capacity:
                return
            account.waiting.popleft()
            self._virtual_time = max(self._virtual_time, account.start)
            account.finish = account.start + turn.cost / turn.weight
            account.num_held += 1
            self.num_held += turn.size
            turn.granted_at, turn.is_held = self._clock(), True
            granted.set_result(None)

    def _release(self, turn: Turn) -> None:
        account = self._accounts[turn.owner]
        if self._is_timed:
            self._charge(turn, self._clock() - turn.granted_at)
        turn.is_held = False
        account.num_held -= 1
        self.num_held -= turn.size
        self._grant()
        if not self.num_held:  # then nobody waits either
            self._accounts.clear()
            self._virtual_time, self._purge_at = 0.0, _FEW_ACCOUNTS

    def _charge(self, turn: Turn, cost: float) -> None:
        self._accounts[turn.owner].finish += (cost - turn.cost) / turn.weight
        turn.cost = cost

    def _withdraw(self, waiting: _Waiting) -> None:
        if waiting.turn.is_held:  # it was granted just before
            self._charge(waiting.turn, 0.0)
            waiting.turn.release()
            return
        account = self._accounts.get(waiting.turn.owner)
        if account is not None and waiting in account.waiting:
            account.waiting.remove(waiting)
        self._grant()  # a smaller turn may fit

    def _purge(self) -> None:
        """Drop accounts that have no turn and whose next start tag would be the virtual time anyway."""
        self._accounts = {
            owner: account
            for owner, account in self._accounts.items()
            if account.num_held or account.waiting or account.finish > self._virtual_time
        }
        self._purge_at = max(_FEW_ACCOUNTS, 2 * len(self._accounts))
