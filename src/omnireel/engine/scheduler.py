"""Who runs in the next step; integers only, no tensors.

First come, first served. Prompts are cut into chunks, one chunk a step; a step without a prompt to read
decodes every running sequence. One sequence runs at a time unless told otherwise.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from omnireel.engine.request import SequenceId


@dataclass(frozen=True)
class Prefill:
    """Read prompt positions start ≤ p < end of one sequence; is_last: its first token comes next."""

    sequence_id: SequenceId
    start: int
    end: int
    is_last: bool


@dataclass(frozen=True)
class Decode:
    """One more token for each of these."""

    sequence_ids: tuple[SequenceId, ...]


Plan = Prefill | Decode


@dataclass
class _Progress:
    num_prompt_tokens: int
    num_prefilled: int = 0


class Scheduler:
    """Queue and progress of every sequence that has not ended.

    prefill_chunk: most prompt tokens in one step
    max_running:   most sequences that hold state at once
    """

    def __init__(self, *, prefill_chunk: int, max_running: int = 1) -> None:
        self._prefill_chunk = prefill_chunk
        self._max_running = max_running
        self._waiting: deque[tuple[SequenceId, _Progress]] = deque()
        self._running: dict[SequenceId, _Progress] = {}

    @property
    def is_idle(self) -> bool:
        """Nothing waits and nothing runs."""
        return not self._waiting and not self._running

    def add(self, sequence_id: SequenceId, num_prompt_tokens: int) -> None:
        """Queue a sequence; num_prompt_tokens ≥ 1."""
        assert num_prompt_tokens >= 1, "an empty prompt has no next token"
        self._waiting.append((sequence_id, _Progress(num_prompt_tokens)))

    def end(self, sequence_id: SequenceId) -> None:
        """Forget a sequence, waiting or running."""
        if self._running.pop(sequence_id, None) is None:
            self._waiting = deque(entry for entry in self._waiting if entry[0] != sequence_id)

    def next_step(self) -> Plan | None:
        """What to run now, taken as done; None when idle."""
        while self._waiting and len(self._running) < self._max_running:
            sequence_id, progress = self._waiting.popleft()
            self._running[sequence_id] = progress
        for sequence_id, progress in self._running.items():
            if progress.num_prefilled < progress.num_prompt_tokens:
                return self._next_chunk(sequence_id, progress)
        return Decode(tuple(self._running)) if self._running else None

    def _next_chunk(self, sequence_id: SequenceId, progress: _Progress) -> Prefill:
        start = progress.num_prefilled
        end = min(start + self._prefill_chunk, progress.num_prompt_tokens)
        progress.num_prefilled = end
        return Prefill(sequence_id, start, end, is_last=end == progress.num_prompt_tokens)
