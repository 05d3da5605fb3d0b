"""Blocking work in a thread: it reports progress to the event loop and stops when its result is not needed."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Generic, Self, TypeVar

from omnireel.errors import Cancelled
from omnireel.shares import FairShares, Turn
from omnireel.task import Progress, Report

# Work that another account waits for is paused after so many seconds.
SLICE_S = 0.25
# Paused work keeps its thread and its decoding child. When so much is paused, further work is not.
MAX_PAUSED = 32

T = TypeVar("T")


class ThreadQueue(Generic[T]):
    """A queue from any thread to one coroutine of the event loop that made it."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._items: asyncio.Queue[T] = asyncio.Queue()

    def put(self, item: T) -> None:
        """Add an item, from any thread. Once the loop is closed there is no reader, and the item is dropped."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._items.put_nowait, item)

    async def get(self) -> T:
        """The next item, in the order in which they were added."""
        return await self._items.get()


class WorkThreads:
    """Threads for blocking work on clips: as many pieces of work at a time as there are processors.

    Accounts share them by the time that their work takes. Work that takes long is paused after a while, in one of its
    reports, when another account waits.
    """

    def __init__(self) -> None:
        num_running = len(os.sched_getaffinity(0))
        self.shares = FairShares(num_running, is_timed=True)
        self.num_paused = 0
        # Enough for all that run or pause: work that has its turn never waits for a thread.
        self.pool = ThreadPoolExecutor(num_running + MAX_PAUSED, "clip")

    @asynccontextmanager
    async def work(self, owner: str, function: Callable[[Report], T]) -> AsyncIterator[Work[T]]:
        """Run `function` once it is the turn of the account: iterate over its progress, then await its result.

        function: is given `report`, which passes progress on and raises Cancelled once the `with` block was left
        Leaving the `with` block early does not wait: the function ends at its next report.
        """
        work = Work(self, owner, await self.shares.acquire(owner, cost=SLICE_S), function)
        try:
            yield work
        finally:
            work.cancel()

    def close(self) -> None:
        """Begin no more work, and do not wait for what runs."""
        self.pool.shutdown(wait=False, cancel_futures=True)


class Work(Generic[T]):
    """A function running in a thread; see `WorkThreads.work`. It gives its turn back when it has ended."""

    def __init__(self, threads: WorkThreads, owner: str, turn: Turn, function: Callable[[Report], T]) -> None:
        self._threads, self._owner, self._turn = threads, owner, turn
        self._loop = asyncio.get_running_loop()
        self._progress: ThreadQueue[Progress | None] = ThreadQueue()
        self._is_cancelled = threading.Event()
        self._pausing: Future[None] | None = None
        self._slice_ends_at = time.monotonic() + SLICE_S
        try:
            running = threads.pool.submit(function, self._report)
        except RuntimeError:  # the threads were closed
            turn.release()
            raise Cancelled("The server was shut down before the work began.") from None
        self._future = asyncio.wrap_future(running)
        self._future.add_done_callback(self._finished)
        running.add_done_callback(self._thread_ended)

    def cancel(self) -> None:
        """End the function at its next report. Further calls, and one after its end, do nothing."""
        self._is_cancelled.set()
        self._future.cancel()
        if self._pausing is not None:
            self._pausing.cancel()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Progress:
        progress = await self._progress.get()
        if progress is None:
            raise StopAsyncIteration
        return progress

    async def result(self) -> T:
        """What the function returned; raises what it raised, and Cancelled when it never began."""
        if self._future.cancelled():
            raise Cancelled("The server was shut down before the work began.")
        return await self._future

    def _finished(self, future: asyncio.Future[T]) -> None:
        if not future.cancelled():
            future.exception()  # or asyncio logs the failure of work whose result is not awaited
        self._progress.put(None)

    def _thread_ended(self, _: Future[T]) -> None:
        """Give the turn back. Not when the future is cancelled: the thread works on until its next report."""
        with contextlib.suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self._release)

    def _release(self) -> None:
        self._turn.release()

    def _report(self, progress: Progress) -> None:
        self._check()
        self._progress.put(progress)
        if time.monotonic() >= self._slice_ends_at:
            self._pause()
            self._check()
            self._slice_ends_at = time.monotonic() + SLICE_S

    def _check(self) -> None:
        if self._is_cancelled.is_set():
            raise Cancelled("The request was cancelled; its work is stopped.")

    def _pause(self) -> None:
        """Let other accounts work first if they wait. Blocks this thread until its turn comes again."""
        pausing = self._let_others_work()
        try:
            self._pausing = asyncio.run_coroutine_threadsafe(pausing, self._loop)
        except RuntimeError:  # the loop is closed
            pausing.close()
            return
        with contextlib.suppress(CancelledError):
            self._pausing.result()

    async def _let_others_work(self) -> None:
        threads = self._threads
        if self._is_cancelled.is_set():  # it ends now, and would never give a new turn back
            return
        if not threads.shares.others_wait(self._owner) or threads.num_paused >= MAX_PAUSED:
            return
        self._turn.release()
        threads.num_paused += 1
        try:
            self._turn = await threads.shares.acquire(self._owner, cost=SLICE_S, is_next=True)
        finally:
            threads.num_paused -= 1
