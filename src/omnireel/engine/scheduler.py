"""Decides which sequences run in the next step. Uses integers only, no tensors.

Sequences start in the order in which they were added. A prompt is read in chunks, one chunk a step. All sequences
whose prompts are read decode together in a step: after each chunk of another's prompt, so that answers go on while a
long prompt is read, and in every step where there is no prompt to read.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from omnireel.engine.request import SequenceId


@dataclass(frozen=True)
class Prefill:
    """Read prompt positions start ≤ p < end of one sequence; is_last: its first output token comes of it."""

    sequence_id: SequenceId
    start: int
    end: int
    is_last: bool


@dataclass(frozen=True)
class Decode:
    """Generate one more token for each of these sequences."""

    sequence_ids: tuple[SequenceId, ...]


Plan = Prefill | Decode


@dataclass
class _Progress:
    num_prompt_tokens: int
    num_prefilled: int = 0

    @property
    def is_read(self) -> bool:
        return self.num_prefilled == self.num_prompt_tokens


class Scheduler:
    """The waiting and the running sequences, and how much of each prompt was read.

    prefill_chunk: most prompt tokens in one step
    max_running:   most sequences that hold state at the same time
    """

    def __init__(self, *, prefill_chunk: int, max_running: int = 1) -> None:
        self._prefill_chunk = prefill_chunk
        self._max_running = max_running
        self._waiting: deque[tuple[SequenceId, _Progress]] = deque()
        self._running: dict[SequenceId, _Progress] = {}
        self._was_prefill = False

    @property
    def is_idle(self) -> bool:
        """Whether no sequence is waiting or running."""
        return not self._waiting and not self._running

    def add(self, sequence_id: SequenceId, num_prompt_tokens: int) -> None:
        """Add a sequence to the queue; num_prompt_tokens is at least 1."""
        assert num_prompt_tokens >= 1, "a prompt needs at least one token"
        self._waiting.append((sequence_id, _Progress(num_prompt_tokens)))

    def end(self, sequence_id: SequenceId) -> None:
        """Remove a sequence, waiting or running."""
        if self._running.pop(sequence_id, None) is None:
            self._waiting = deque(entry for entry in self._waiting if entry[0] != sequence_id)

    def next_step(self) -> Plan | None:
        """The next step, which from then on counts as done; None when idle."""
        while self._waiting and len(self._running) < self._max_running:
            sequence_id, progress = self._waiting.popleft()
            self._running[sequence_id] = progress
        unread = [name for name, progress in self._running.items() if not progress.is_read]
        decoding = tuple(name for name, progress in self._running.items() if progress.is_read)
        self._was_prefill = bool(unread) and not (self._was_prefill and decoding)
        if self._was_prefill:
            return self._next_chunk(unread[0], self._running[unread[0]])
        return Decode(decoding) if decoding else None

    def _next_chunk(self, sequence_id: SequenceId, progress: _Progress) -> Prefill:
        start = progress.num_prefilled
        end = min(start + self._prefill_chunk, progress.num_prompt_tokens)
        progress.num_prefilled = end
        return Prefill(sequence_id, start, end, is_last=end == progress.num_prompt_tokens)
