"""The one path, from a clip and a prompt to an answer, on this machine.

Clips are read and encoded in a worker thread, one at a time; the engine thread steps; the event loop passes
on what they report. Read `LocalBackend.generate` first, then `Preparation.prepare`.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncGenerator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from functools import partial

from omnireel.backends.answer_clock import AnswerClock
from omnireel.backends.base import Answer, Ask, Delta, Event, Health, Inspection
from omnireel.backends.engine_thread import EngineThread
from omnireel.backends.thread_work import Report, ThreadQueue, Work
from omnireel.engine.engine import Engine, EngineConfig, TokenEvent
from omnireel.engine.params import FinishReason
from omnireel.engine.request import Request
from omnireel.errors import GenerationError, InputError
from omnireel.prompting.preparation import Preparation, Prepared
from omnireel.text.answer import AnswerText
from omnireel.video.decoder import sandbox
from omnireel.video.reader.process import num_sandbox_violations


class LocalBackend:
    """One checkpoint in this process.

    model_name:    as people know it, such as "demo"
    prefill_chunk: prompt tokens read at once; it bounds memory and how late an abort is heard
    """

    name = "local"

    def __init__(self, preparation: Preparation, *, model_name: str, prefill_chunk: int = 512) -> None:
        self._preparation = preparation
        self._model_name = model_name
        config = EngineConfig(preparation.max_context, prefill_chunk=prefill_chunk)
        self._engine = EngineThread(Engine(preparation.model, config))
        self._worker = ThreadPoolExecutor(1, "clip")
        self._sequence_ids = itertools.count()

    async def generate(self, ask: Ask) -> AsyncGenerator[Event, None]:
        """See Backend.generate."""
        with Work(self._worker, partial(self._preparation.prepare, ask)) as work:
            async for note in work:
                yield note
            prepared = await work.result()
        async with aclosing(self._answer(ask, prepared)) as events:
            async for event in events:
                yield event

    async def inspect(self, ask: Ask) -> Inspection:
        """See Backend.inspect."""
        with Work(self._worker, partial(self._inspect, ask)) as work:
            return await work.result()

    def most_tokens(self, ask: Ask) -> int:
        """See Backend.most_tokens."""
        most = self._preparation.most_input_tokens(ask) + ask.sampling.max_tokens
        return min(most, self._preparation.max_context)

    async def health(self) -> Health:
        """See Backend.health."""
        detail = None if self._engine.is_alive else "the engine has stopped"
        return Health(
            is_ready=self._engine.is_alive,
            model=self._model_name,
            detail=detail,
            sandbox_misses=sandbox.missing(),
            num_sandbox_violations=num_sandbox_violations(),
        )

    async def close(self) -> None:
        """See Backend.close."""
        self._worker.shutdown(wait=False, cancel_futures=True)
        await asyncio.to_thread(self._engine.close)

    def _inspect(self, ask: Ask, _: Report) -> Inspection:
        return self._preparation.inspect(ask)

    async def _answer(self, ask: Ask, prepared: Prepared) -> AsyncGenerator[Event, None]:
        tokenizer = self._preparation.tokenizer
        stop_ids = frozenset(tokenizer.stop_ids)
        sequence_id, thinking = next(self._sequence_ids), self._preparation.thinking_limit(ask)
        request = Request(sequence_id, prepared.embeddings, ask.sampling, stop_ids, thinking)
        events: ThreadQueue[TokenEvent] = ThreadQueue()
        text = AnswerText(tokenizer, thinking=ask.thinking)
        clock = AnswerClock(request.num_prompt_tokens)
        self._engine.submit(request, events.post)
        finish_reason: FinishReason | None = None
        try:
            while finish_reason is None:
                event = await events.get()
                finish_reason = event.finish_reason
                _raise_failure(event)
                if note := clock.token():
                    yield note
                if delta := _delta(text, event):
                    yield Delta(delta)
        finally:
            self._engine.abort(request.id)
        yield clock.done()
        yield Answer(
            output=text.output,
            reasoning=text.reasoning,
            finish_reason=finish_reason,
            input_tokens=request.num_prompt_tokens,
            output_tokens=clock.num_tokens,
            video=prepared.video,
        )


def _delta(text: AnswerText, event: TokenEvent) -> str:
    delta = ""
    if event.token_id is not None and event.finish_reason != FinishReason.stop:
        delta = text.push(event.token_id)
    return delta if event.finish_reason is None else delta + text.finish()


def _raise_failure(event: TokenEvent) -> None:
    if isinstance(event.error, InputError):
        raise event.error
    if event.error is not None:
        message = "the model failed while it was answering"
        raise GenerationError(message) from event.error
