"""How fast this process works, as a moving estimate. Free of torch."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

_KEPT = 0.9


class Rate:
    """Units a second over the last dozen or so measurements. Safe for several threads.

    num_units, seconds: `measured` of an earlier estimate that this one goes on from
    """

    def __init__(self, num_units: float = 0.0, seconds: float = 0.0) -> None:
        self._lock = threading.Lock()
        self._num_units = num_units
        self._seconds = seconds

    @property
    def measured(self) -> tuple[float, float]:
        """Units and their seconds, the latest of which count most."""
        with self._lock:
            return self._num_units, self._seconds

    def add(self, num_units: float, seconds: float) -> None:
        """One measurement; earlier ones count a tenth less from now on."""
        with self._lock:
            self._num_units = _KEPT * self._num_units + num_units
            self._seconds = _KEPT * self._seconds + seconds

    def per_second(self) -> float | None:
        """Units a second; None before the first measurement."""
        num_units, seconds = self.measured
        return num_units / seconds if seconds else None

    def seconds_for(self, num_units: float) -> float | None:
        """The expected time of so much work; None before the first measurement."""
        with self._lock:
            return num_units * self._seconds / self._num_units if self._num_units else None


@dataclass(frozen=True)
class Rates:
    """The rates of one loaded checkpoint.

    vision:  patches that the vision tower and the projector encode
    prefill: prompt tokens
    decode:  output tokens of one sequence, however many sequences run together
    """

    vision: Rate = field(default_factory=Rate)
    prefill: Rate = field(default_factory=Rate)
    decode: Rate = field(default_factory=Rate)
