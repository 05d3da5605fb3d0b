"""Events of running jobs, for the requests in this process that wait for them.

Events are not durable. A subscriber that missed one reads the store.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from omnireel.task import Event, Outcome


@dataclass(frozen=True)
class Ended:
    """The job has ended.

    outcome: None if the publisher did not read it from the store
    """

    outcome: Outcome | None


JobEvent = Event | Ended
Subscription = asyncio.Queue[JobEvent]


class JobEvents:
    """Publishes the events of jobs to their subscribers. Only one event loop may use it.

    ends: set whenever a job has ended; cleared by the one task that waits for it
    """

    def __init__(self) -> None:
        self.ends = asyncio.Event()
        self._subscribers: defaultdict[str, set[Subscription]] = defaultdict(set)

    @contextmanager
    def subscribe(self, job_id: str) -> Iterator[Subscription]:
        """Every event of the job from now on. Subscribe first, then look at the store."""
        subscription: Subscription = asyncio.Queue()
        self._subscribers[job_id].add(subscription)
        try:
            yield subscription
        finally:
            self._subscribers[job_id].discard(subscription)
            if not self._subscribers[job_id]:
                del self._subscribers[job_id]

    def publish(self, job_id: str, event: JobEvent) -> None:
        """Pass an event to all subscribers of the job."""
        if isinstance(event, Ended):
            self.ends.set()
        for subscription in self._subscribers.get(job_id, ()):
            subscription.put_nowait(event)
