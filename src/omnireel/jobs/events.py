"""What happens to a job while it runs, for those in this process who watch it.

Nothing here is durable: whoever missed something reads the store.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from omnireel.backends.base import Event
from omnireel.store.jobs import Outcome


@dataclass(frozen=True)
class Ended:
    """The job has ended, and its outcome is in the store; here None where whoever tells has not read it."""

    outcome: Outcome | None


Notice = Event | Ended


class Feeds:
    """One feed per watched job; all of it belongs to one event loop.

    ends: set whenever some job has ended; whoever waits for that clears it
    """

    def __init__(self) -> None:
        self.ends = asyncio.Event()
        self._watchers: defaultdict[str, set[asyncio.Queue[Notice]]] = defaultdict(set)

    @contextmanager
    def watch(self, job_id: str) -> Iterator[asyncio.Queue[Notice]]:
        """Everything that is told of the job from now on; watch first, then look at the store."""
        feed: asyncio.Queue[Notice] = asyncio.Queue()
        self._watchers[job_id].add(feed)
        try:
            yield feed
        finally:
            self._watchers[job_id].discard(feed)
            if not self._watchers[job_id]:
                del self._watchers[job_id]

    def tell(self, job_id: str, notice: Notice) -> None:
        """Pass a notice to whoever watches."""
        if isinstance(notice, Ended):
            self.ends.set()
        for feed in self._watchers.get(job_id, ()):
            feed.put_nowait(notice)
