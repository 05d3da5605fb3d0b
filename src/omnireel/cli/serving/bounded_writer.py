"""Writes text to a file descriptor from a thread of its own, so that no caller ever waits for it."""

import os
import queue
import select
import threading
from collections.abc import Callable

# An entry is cut to this many characters, so all that wait together are limited to some tens of megabytes.
_MAX_ENTRY = 32 * 1024
_MAX_WAITING = 2048


class BoundedWriter:
    """A queue of entries and the thread that writes them. `write` neither waits nor raises.

    Where the reader is slow or gone, or the disk is full, entries are dropped and counted. Once one can be written
    again, a note with the number of those that were dropped comes before it.

    descriptor: where to write; None drops everything
    note:       makes the entry that reports a number of dropped ones
    """

    def __init__(self, descriptor: int | None, note: Callable[[int], str]) -> None:
        self._descriptor = descriptor
        self._note = note
        # SimpleQueue and RLock are safe where a finalizer logs in the middle of a call.
        self._entries: queue.SimpleQueue[str | threading.Event] = queue.SimpleQueue()
        self._lock = threading.RLock()
        self._num_dropped = 0
        self._num_noted = 0
        self._is_torn = False
        threading.Thread(target=self._write_for_ever, name="log", daemon=True).start()

    @property
    def num_dropped(self) -> int:
        """How many entries were dropped since the start."""
        return self._num_dropped

    def write(self, entry: str) -> None:
        """Queue an entry, which ends with a line feed. It is dropped if too many are waiting."""
        if self._descriptor is None or self._entries.qsize() >= _MAX_WAITING:
            self._drop()
        else:
            self._entries.put(entry if len(entry) <= _MAX_ENTRY else f"{entry[:_MAX_ENTRY]}…\n")

    def flush(self, within_s: float) -> None:
        """Wait for the entries that are queued, but no longer than `within_s`."""
        written = threading.Event()
        self._entries.put(written)
        written.wait(within_s)

    def _drop(self) -> None:
        with self._lock:
            self._num_dropped += 1

    def _write_for_ever(self) -> None:
        while True:
            entry = self._entries.get()
            if isinstance(entry, threading.Event):
                entry.set()
            else:
                self._write_noting(entry)

    def _write_noting(self, entry: str) -> None:
        num_dropped = self._num_dropped
        num_new = num_dropped - self._num_noted
        if self._is_written((self._note(num_new) if num_new else "") + entry):
            self._num_noted = num_dropped
        else:
            self._drop()

    def _is_written(self, text: str) -> bool:
        assert self._descriptor is not None
        start = "\n" if self._is_torn else ""  # after half a line
        data = memoryview((start + text).encode("utf-8", "backslashreplace"))
        while data:
            try:
                num_bytes = os.write(self._descriptor, data)
            except BlockingIOError:  # another process has made the descriptor non-blocking
                select.select([], [self._descriptor], [])
            except OSError:
                return False
            else:
                self._is_torn = num_bytes < len(data)
                data = data[num_bytes:]
        return True
