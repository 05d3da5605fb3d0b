"""Sequences in, tokens out, one step at a time.

Works on token ids and embeddings, never on words or pixels, and knows the model only as a `Runner`. Not safe for
several threads: all calls but `cancel` have to come from one.
"""

from __future__ import annotations

import time
from collections.abc import Sequence as List
from dataclasses import dataclass

from omnireel.engine.params import FinishReason
from omnireel.engine.rates import Rate, Rates
from omnireel.engine.request import Request, Sequence, SequenceId, check_prompt_fits
from omnireel.engine.runner import Outcome, Runner, Segment, Stop, Wanted, never
from omnireel.engine.sampler import Sampler
from omnireel.engine.scheduler import Decode, Prefill, Scheduler
from omnireel.errors import Cancelled


@dataclass(frozen=True)
class EngineConfig:
    """Limits of an engine.

    prefill_chunk: most prompt tokens in one step; limits the memory used and the delay of an abort
    max_running:   most sequences that hold state at the same time, at most the runner's slots
    """

    prefill_chunk: int = 512
    max_running: int = 1


@dataclass(frozen=True)
class TokenEvent:
    """What happened to one sequence in one step.

    token_id:      the new output token, which may be the stop token; None where there is none
    num_read:      prompt tokens read so far, after a chunk that is not the last one; else None
    finish_reason: set on the last event of a sequence only
    error:         the exception, where finish_reason is error
    """

    sequence_id: SequenceId
    token_id: int | None
    finish_reason: FinishReason | None = None
    error: Exception | None = None
    num_read: int | None = None


class Engine:
    """One runner and the sequences that have not ended.

    rates: where the speed of prefill and decode is added
    """

    def __init__(self, runner: Runner, config: EngineConfig, rates: Rates | None = None) -> None:
        capacity = runner.capacity
        assert config.max_running <= capacity.num_slots, "more sequences at a time than the runner has slots"
        self._runner = runner
        self._rates = rates or Rates()
        self._max_context = capacity.max_context
        self._scheduler = Scheduler(prefill_chunk=config.prefill_chunk, max_running=config.max_running)
        self._free_slots = list(reversed(range(config.max_running)))
        self._sequences: dict[SequenceId, Sequence] = {}
        self._aborted: list[TokenEvent] = []
        self._cancelled: set[SequenceId] = set()

    @property
    def is_idle(self) -> bool:
        """Whether there is nothing to do: `step` would return no events."""
        return self._scheduler.is_idle and not self._aborted

    def add(self, request: Request) -> None:
        """Queue a request; raises InputError(sequence_too_long) when the context cannot hold it."""
        check_prompt_fits(request.num_prompt_tokens, self._max_context)
        assert request.id not in self._sequences, f"a sequence with the id {request.id!r} is still running"
        room = self._max_context - request.num_prompt_tokens
        limit = min(request.sampling.max_tokens, room)
        self._sequences[request.id] = Sequence(request, Sampler(request.sampling), max_output_tokens=limit)
        self._scheduler.add(request.id, request.num_prompt_tokens)

    def abort(self, sequence_id: SequenceId) -> None:
        """End a sequence now and free its state. The next step returns its last event.

        Does nothing once the sequence has ended.
        """
        self._cancelled.discard(sequence_id)
        if sequence_id in self._sequences:
            self._end(sequence_id)
            self._aborted.append(TokenEvent(sequence_id, None, FinishReason.cancelled))

    def cancel(self, sequence_id: SequenceId) -> None:
        """Let a running prefill of this sequence end early. From any thread; `abort` has to follow."""
        self._cancelled.add(sequence_id)

    def step(self) -> list[TokenEvent]:
        """Run the next prefill chunk or decode; returns the events, those of aborted sequences first."""
        events, self._aborted = self._aborted, []
        plan = self._scheduler.next_step()
        if isinstance(plan, Prefill):
            # Only a prefill may end early: to end a decode would destroy the states of the other sequences.
            name = plan.sequence_id
            rate, chunk = self._rates.prefill, self._chunk(plan)
            events += self._run([name], [chunk], rate, stop=lambda: name in self._cancelled)
        elif isinstance(plan, Decode):
            batch = [self._last_token(name) for name in plan.sequence_ids]
            events += self._run(plan.sequence_ids, batch, self._rates.decode)
        return events

    def _run(
        self, sequence_ids: List[SequenceId], batch: List[Segment], rate: Rate, *, stop: Stop = never
    ) -> list[TokenEvent]:
        started = time.perf_counter()
        try:
            outcomes = self._runner.forward(batch, stop=stop)
        except Exception as error:  # noqa: BLE001 - sequences of other steps go on after any failure
            outcomes = [Outcome(error=error)] * len(batch)
        if all(outcome.error is None for outcome in outcomes):
            rate.add(len(batch[0].ids), time.perf_counter() - started)
        events = []
        for sequence_id, segment, outcome in zip(sequence_ids, batch, outcomes, strict=True):
            event = self._event(sequence_id, segment, outcome)
            events.append(event)
            if event.finish_reason is not None:
                self._end(sequence_id)
        return events

    def _event(self, sequence_id: SequenceId, segment: Segment, outcome: Outcome) -> TokenEvent:
        sequence = self._sequences[sequence_id]
        if isinstance(outcome.error, Cancelled):
            return TokenEvent(sequence_id, None, FinishReason.cancelled)
        if outcome.error is not None:
            return TokenEvent(sequence_id, None, FinishReason.error, outcome.error)
        if outcome.logits is None:
            return TokenEvent(sequence_id, None, num_read=segment.end)
        try:
            token_id = sequence.advance(outcome.logits[-1])
        except Exception as error:  # noqa: BLE001 - the other sequences go on after any failure
            return TokenEvent(sequence_id, None, FinishReason.error, error)
        return TokenEvent(sequence_id, token_id, sequence.finish_reason)

    def _chunk(self, plan: Prefill) -> Segment:
        sequence = self._sequences[plan.sequence_id]
        if sequence.slot is None:
            sequence.slot = self._free_slots.pop()
        wanted = Wanted.last if plan.is_last else Wanted.none
        return sequence.request.segment(sequence.slot, plan.start, plan.end, wanted=wanted)

    def _last_token(self, sequence_id: SequenceId) -> Segment:
        sequence = self._sequences[sequence_id]
        assert sequence.slot is not None, "decode comes after prefill"
        start = sequence.request.num_prompt_tokens + len(sequence.output_ids) - 1
        return Segment(sequence.slot, start, sequence.output_ids[-1:])

    def _end(self, sequence_id: SequenceId) -> None:
        self._scheduler.end(sequence_id)
        slot = self._sequences.pop(sequence_id).slot
        if slot is not None:
            self._runner.clear(slot)
            self._free_slots.append(slot)
