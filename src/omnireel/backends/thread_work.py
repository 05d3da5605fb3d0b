"""Blocking work beside the event loop, that reports as it goes and stops when nobody waits for it."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Generic, Self, TypeVar

from omnireel.backends.base import Progress
from omnireel.errors import Cancelled

T = TypeVar("T")

Report = Callable[[Progress], None]


class ThreadQueue(Generic[T]):
    """Letters from any thread to one coroutine of the loop that made it."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._items: asyncio.Queue[T] = asyncio.Queue()

    def post(self, item: T) -> None:
        """From any thread. Once the loop is closed nobody is left to read, and the letter is dropped."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._items.put_nowait, item)

    async def get(self) -> T:
        """The next letter, in the order of posting."""
        return await self._items.get()


class Work(Generic[T]):
    """A function running in a pool: iterate over its notes, then await its result.

    function: is given `report`, which passes a note on and raises Cancelled once this work was left
    Leaving the `with` block early does not wait: the function ends at its next report.
    """

    def __init__(self, pool: Executor, function: Callable[[Report], T]) -> None:
        self._notes: ThreadQueue[Progress | None] = ThreadQueue()
        self._is_left = threading.Event()
        self._future = asyncio.get_running_loop().run_in_executor(pool, function, self._report)
        self._future.add_done_callback(self._finished)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._is_left.set()
        self._future.cancel()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Progress:
        note = await self._notes.get()
        if note is None:
            raise StopAsyncIteration
        return note

    async def result(self) -> T:
        """What the function returned; raises what it raised, Cancelled when it never began."""
        if self._future.cancelled():
            raise Cancelled("the server was shut down before the work began")
        return await self._future

    def _finished(self, future: asyncio.Future[T]) -> None:
        if not future.cancelled():
            future.exception()  # asyncio complains about a failure that nobody looked at; we may have left
        self._notes.post(None)

    def _report(self, note: Progress) -> None:
        if self._is_left.is_set():
            raise Cancelled("nobody waits for this any more")
        self._notes.post(note)
