"""From a clip and a prompt to an answer, with a model in this process.

Clips are read and encoded in worker threads. The engine thread steps the model. The event loop
passes on what both report. Read `LocalBackend.generate` first, then `PromptEncoder.encode`.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from pathlib import Path

from omnireel.backends.answer_clock import AnswerClock
from omnireel.backends.base import Health
from omnireel.backends.engine_thread import EngineThread
from omnireel.backends.thread_work import ThreadQueue, WorkThreads
from omnireel.engine.engine import Engine, EngineConfig, TokenEvent
from omnireel.engine.params import FinishReason
from omnireel.engine.rates import Rates
from omnireel.engine.runner import Runner
from omnireel.errors import GenerationError, InputError
from omnireel.prompting.encoding import EncodedPrompt, PromptEncoder
from omnireel.prompting.engine_request import engine_request
from omnireel.prompting.expected import expected_time
from omnireel.task import Answer, Delta, Event, Inspection, Report, Task
from omnireel.text.answer import AnswerText
from omnireel.video.decoder import sandbox
from omnireel.video.reader.process import num_sandbox_violations


class LocalBackend:
    """One checkpoint in this process.

    runner:        of the language model; closed with the backend
    model_name:    the name users know it by, such as "demo"
    prefill_chunk: prompt tokens in one step; limits the memory used and how long a cancelled task keeps running
    keep_rates:    called with the measured speeds when the backend is closed
    """

    name = "local"

    def __init__(
        self,
        encoder: PromptEncoder,
        runner: Runner,
        *,
        model_name: str,
        prefill_chunk: int = 512,
        keep_rates: Callable[[Rates], None] = lambda _: None,
    ) -> None:
        self._keep_rates = keep_rates
        self._encoder = encoder
        self._counter = encoder.counter
        self._model_name = model_name
        self._runner = runner
        config = EngineConfig(prefill_chunk=prefill_chunk, max_running=runner.capacity.num_slots)
        self._engine = EngineThread(Engine(runner, config, encoder.rates))
        self._threads = WorkThreads()
        self._sequence_ids = itertools.count()

    async def generate(self, task: Task, files: Sequence[Path]) -> AsyncGenerator[Event]:
        """See Backend.generate."""
        encode = partial(self._encoder.encode, task, files)
        async with self._threads.work(task.tenant or "", encode) as work:
            async for progress in work:
                yield progress
            encoded = await work.result()
        async with aclosing(self._answer(task, encoded)) as events:
            async for event in events:
                yield event

    async def inspect(self, task: Task, files: Sequence[Path], *, pictures: bool = False) -> Inspection:
        """See Backend.inspect."""
        inspect = partial(self._inspect, task, files, pictures=pictures)
        async with self._threads.work(task.tenant or "", inspect) as work:
            return await work.result()

    def check_length(self, task: Task) -> None:
        """See Backend.check_length."""
        self._counter.check_length(task)

    def most_tokens(self, task: Task) -> int:
        """See Backend.most_tokens."""
        return self._counter.most_tokens(task)

    async def health(self) -> Health:
        """See Backend.health."""
        is_alive = self._engine.is_alive
        return Health(
            is_ready=is_alive,
            model=self._model_name,
            detail=None if is_alive else "The engine has stopped.",
            has_failed=not is_alive,
            sandbox_misses=sandbox.missing(),
            num_sandbox_violations=num_sandbox_violations(),
        )

    async def close(self) -> None:
        """See Backend.close."""
        self._threads.close()
        await asyncio.to_thread(self._engine.close)
        self._runner.close()
        self._keep_rates(self._encoder.rates)

    def _inspect(self, task: Task, files: Sequence[Path], report: Report, *, pictures: bool) -> Inspection:
        inspection = self._counter.inspect(task, files, report, pictures=pictures)
        return replace(inspection, expected=expected_time(inspection, self._encoder.rates))

    async def _answer(self, task: Task, encoded: EncodedPrompt) -> AsyncGenerator[Event]:
        tokenizer = self._counter.tokenizer
        request = engine_request(next(self._sequence_ids), task, encoded, tokenizer)
        events: ThreadQueue[TokenEvent] = ThreadQueue()
        text = AnswerText(tokenizer, thinking=task.thinking)
        clock = AnswerClock(request.num_prompt_tokens)
        self._engine.submit(request, events.put)
        finish_reason: FinishReason | None = None
        try:
            while finish_reason is None:
                event = await events.get()
                finish_reason = event.finish_reason
                _raise_failure(event)
                if event.num_read is not None:
                    yield clock.count_prompt(event.num_read, self._encoder.rates.prefill)
                    continue
                if progress := clock.count_token():
                    yield progress
                if delta := _delta(text, event):
                    yield Delta(delta, clock.usage)
        finally:
            self._engine.abort(request.id)
        yield clock.done()
        yield Answer(
            output=text.output,
            reasoning=text.reasoning,
            finish_reason=finish_reason,
            input_tokens=request.num_prompt_tokens,
            output_tokens=clock.num_tokens,
            video=encoded.video,
        )


def _delta(text: AnswerText, event: TokenEvent) -> str:
    delta = ""
    if event.token_id is not None and event.finish_reason != FinishReason.stop:
        delta = text.push(event.token_id)
    return delta if event.finish_reason is None else delta + text.finish()


def _raise_failure(event: TokenEvent) -> None:
    if isinstance(event.error, InputError | GenerationError):
        raise event.error
    if event.error is not None:
        message = "The model failed while it was answering."
        raise GenerationError(message) from event.error
