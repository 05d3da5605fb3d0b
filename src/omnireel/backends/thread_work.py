"""Blocking work in a thread: it reports progress to the event loop and stops when its result is not needed."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Generic, Self, TypeVar

from omnireel.errors import Cancelled
from omnireel.task import Progress, Report

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


class Work(Generic[T]):
    """A function running in a thread pool: iterate over its progress, then await its result.

    function: is given `report`, which passes progress on and raises Cancelled once the `with` block was left
    Leaving the `with` block early does not wait: the function ends at its next report.
    """

    def __init__(self, pool: Executor, function: Callable[[Report], T]) -> None:
        self._progress: ThreadQueue[Progress | None] = ThreadQueue()
        self._is_cancelled = threading.Event()
        self._future = asyncio.get_running_loop().run_in_executor(pool, function, self._report)
        self._future.add_done_callback(self._finished)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._is_cancelled.set()
        self._future.cancel()

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

    def _report(self, progress: Progress) -> None:
        if self._is_cancelled.is_set():
            raise Cancelled("The request was cancelled; its work is stopped.")
        self._progress.put(progress)
