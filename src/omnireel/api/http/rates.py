"""How often a key may ask. Counted in this process: several servers beside each other count apart."""

import time
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field

from omnireel.errors import CapacityError
from omnireel.store.sqlite.keys import Key

_WINDOW_S = 60.0


@dataclass(frozen=True)
class Rates:
    """When each key asked within the last minute."""

    clock: Callable[[], float] = time.monotonic
    _asked: defaultdict[str, deque[float]] = field(default_factory=lambda: defaultdict(deque))

    def admit(self, key: Key | None) -> None:
        """Count one request. Raises CapacityError where the key had its share of any minute already."""
        limit = None if key is None else key.grant.max_per_minute
        if key is None or limit is None:
            return
        asked, now = self._asked[key.id], self.clock()
        while asked and asked[0] <= now - _WINDOW_S:
            asked.popleft()
        if len(asked) >= limit:
            message = f"{len(asked)} requests of this key came within a minute, limit {limit}"
            raise CapacityError(message, after_s=asked[0] + _WINDOW_S - now, kind="rate_limited")
        asked.append(now)
