"""The thread that owns the engine: commands go in through a queue, events go out to listeners."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from functools import partial

from omnireel.engine.engine import Engine, TokenEvent
from omnireel.engine.params import FinishReason
from omnireel.engine.request import Request, SequenceId
from omnireel.errors import GenerationError, InputError

Listener = Callable[[TokenEvent], None]

_STOPPED = "The engine has stopped."


class EngineThread:
    """The only thread that steps an engine. It starts with the object and ends with `close`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._commands: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._listeners: dict[SequenceId, Listener] = {}
        self._lock = threading.Lock()  # no request is queued once `_is_closed` is set
        self._is_closed = False
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        """Whether the thread is still running."""
        return self._thread.is_alive()

    def submit(self, request: Request, listener: Listener) -> None:
        """Queue a request.

        listener: called in the engine thread with each event; the last event has a finish reason
        Raises GenerationError when the thread has ended.
        """
        with self._lock:
            if self._is_closed:
                raise GenerationError(_STOPPED)
            self._commands.put(partial(self._add, request, listener))

    def abort(self, sequence_id: SequenceId) -> None:
        """End a sequence before the next step, and a running prefill of it early.

        Does nothing once it has ended.
        """
        self._engine.cancel(sequence_id)
        self._commands.put(partial(self._engine.abort, sequence_id))

    def close(self) -> None:
        """End the thread after the current step; sequences that have not ended get an error event."""
        self._commands.put(None)
        self._thread.join()

    def _run(self) -> None:
        try:
            while self._run_commands():
                for event in self._engine.step():
                    self._deliver(event)
        finally:
            self._fail_remaining()

    def _fail_remaining(self) -> None:
        with self._lock:
            self._is_closed = True
        while not self._commands.empty():
            if command := self._commands.get():
                command()
        stopped = RuntimeError(_STOPPED)
        for sequence_id in list(self._listeners):
            self._deliver(TokenEvent(sequence_id, None, FinishReason.error, stopped))

    def _run_commands(self) -> bool:
        """Run the queued commands; waits for one while the engine is idle. False: the thread is to end."""
        while self._engine.is_idle or not self._commands.empty():
            command = self._commands.get()
            if command is None:
                return False
            command()
        return True

    def _add(self, request: Request, listener: Listener) -> None:
        self._listeners[request.id] = listener
        try:
            self._engine.add(request)
        except InputError as error:
            self._deliver(TokenEvent(request.id, None, FinishReason.error, error))

    def _deliver(self, event: TokenEvent) -> None:
        is_last = event.finish_reason is not None
        listener = self._listeners.pop(event.sequence_id) if is_last else self._listeners[event.sequence_id]
        listener(event)
