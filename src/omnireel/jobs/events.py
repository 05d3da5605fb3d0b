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


JobEvent = Event | Ended


class JobEvents:
    """One feed per watched job; all of it belongs to one event loop.

    ends: set whenever some job has ended; whoever waits for that clears it
    """

    def __init__(self) -> None:
        self.ends = asyncio.Event()
        self._subscribers: defaultdict[str, set[asyncio.Queue[JobEvent]]] = defaultdict(set)

    @contextmanager
    def subscribe(self, job_id: str) -> Iterator[asyncio.Queue[JobEvent]]:
        """Everything that is told of the job from now on; watch first, then look at the store."""
        subscription: asyncio.Queue[JobEvent] = asyncio.Queue()
        self._subscribers[job_id].add(subscription)
        try:
            yield subscription
        finally:
            self._subscribers[job_id].discard(subscription)
            if not self._subscribers[job_id]:
                del self._subscribers[job_id]

    def publish(self, job_id: str, job_event: JobEvent) -> None:
        """Pass a notice to whoever watches."""
        if isinstance(job_event, Ended):
            self.ends.set()
        for subscription in self._subscribers.get(job_id, ()):
            subscription.put_nowait(job_event)
