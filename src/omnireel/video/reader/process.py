"""The decoding child as its reader sees it: a process, two pipes and shared memory."""

import fcntl
import logging
import mmap
import os
import select
import signal
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from omnireel.video.messages import NUM_SLOTS, RECORD_BYTES, Record, Request, read_record
from omnireel.video.reader.children import take_child

_MAX_LAST_WORDS = 4096
_sandbox_violations: list[int] = []  # process ids; appending is atomic
_log = logging.getLogger(__name__)


class ChildDiedError(Exception):
    """The child ended, or said something impossible, before it was done."""


class SandboxViolationError(ChildDiedError):
    """The child tried what no decoder needs to do, and the kernel ended it: it had been taken over."""


class ChildTimeoutError(Exception):
    """The child did not answer within the time that was left."""


def num_sandbox_violations() -> int:
    """How many children of this process were ended for a forbidden system call."""
    return len(_sandbox_violations)


class Child:
    """One decoding child.

    make_request: builds the Request from the bytes in a slot
    """

    def __init__(self, clip_fd: int, make_request: Callable[[int], Request], *, slot_bytes: int) -> None:
        self._slot_bytes = -(-slot_bytes // mmap.PAGESIZE) * mmap.PAGESIZE
        memory_fd = _sealed_memory(self._slot_bytes * NUM_SLOTS)
        try:
            self._memory = mmap.mmap(memory_fd, self._slot_bytes * NUM_SLOTS, prot=mmap.PROT_READ)
            self._started = take_child()
            self._started.send(make_request(self._slot_bytes).pack(), fds=(clip_fd, memory_fd))
        finally:
            os.close(memory_fd)

    @property
    def slot_bytes(self) -> int:
        """What one slot holds."""
        return self._slot_bytes

    @property
    def pid(self) -> int:
        """Process id."""
        return self._started.pid

    def receive(self, timeout_s: float) -> tuple[Record, float]:
        """The next record and the seconds spent waiting for it; raises ChildDiedError, ChildTimeoutError."""
        started_s = time.monotonic()
        poll = select.poll()
        poll.register(self._started.reply, select.POLLIN)
        data = b""
        while len(data) < RECORD_BYTES:
            left_s = started_s + timeout_s - time.monotonic()
            if not poll.poll(max(left_s, 0) * 1000):
                raise ChildTimeoutError
            piece = os.read(self._started.reply, RECORD_BYTES - len(data))
            if not piece:
                raise self._death()
            data += piece
        return self._parse(data), time.monotonic() - started_s

    def slot(self, number: int, num_bytes: int) -> NDArray[np.uint8]:
        """A view of a slot's first bytes, valid until the slot is released."""
        return np.frombuffer(self._memory, np.uint8, num_bytes, number * self._slot_bytes)

    def release_slot(self) -> None:
        """Let the child write to the oldest slot again."""
        self._started.send(b"+")

    def end(self) -> None:
        """Kill the process if it still runs, and free what it held."""
        self._started.end()
        self._memory.close()

    def _parse(self, data: bytes) -> Record:
        try:
            return read_record(data)
        except ValueError as error:
            _log.warning("the decoding child sent an impossible record")
            raise ChildDiedError from error

    def _death(self) -> Exception:
        status = self._started.wait()
        if status == -signal.SIGSYS:
            _sandbox_violations.append(self.pid)
            _log.error("the decoding child made a forbidden system call and was ended")
            return SandboxViolationError()
        words = os.read(self._started.last_words, _MAX_LAST_WORDS).decode("utf-8", "replace")
        _log.warning("the decoding child ended early with status %d: %s", status, ascii(words))
        return ChildTimeoutError() if status == -signal.SIGXCPU else ChildDiedError()


def _sealed_memory(num_bytes: int) -> int:
    """Shared memory that nobody can resize: shrinking it would kill the reader with SIGBUS."""
    fd = os.memfd_create("omnireel-frames", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(fd, num_bytes)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
    return fd
