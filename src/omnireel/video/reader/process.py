"""The reader's connection to its decoding child: a process, its pipes and the shared memory."""

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
from omnireel.video.reader.children import fork_child

_MAX_STDERR_BYTES = 4096
_WATCH_S = 0.5  # between two looks at the processor time of a child that sends nothing
_sandbox_violations: list[int] = []  # process ids; a list, because appending is atomic
_log = logging.getLogger(__name__)


class ChildDiedError(Exception):
    """The child ended or sent an invalid record before its work was complete."""


class SandboxViolationError(ChildDiedError):
    """The kernel ended the child for a system call that no decoder needs: it was probably compromised."""


class ChildTimeoutError(Exception):
    """The child sent no record within the remaining time."""


def num_sandbox_violations() -> int:
    """How many children of this process the kernel ended for a forbidden system call."""
    return len(_sandbox_violations)


class Child:
    """One decoding child and the memory that it shares with this process.

    clip_fd:      the open clip
    make_request: builds the Request, given the size of a slot
    slot_bytes:   the least size of a slot; it is rounded up to whole pages
    """

    def __init__(self, clip_fd: int, make_request: Callable[[int], Request], *, slot_bytes: int) -> None:
        self._slot_bytes = -(-slot_bytes // mmap.PAGESIZE) * mmap.PAGESIZE
        memory_fd = _sealed_memory(self._slot_bytes * NUM_SLOTS)
        try:
            self._memory = mmap.mmap(memory_fd, self._slot_bytes * NUM_SLOTS, prot=mmap.PROT_READ)
            self._started = fork_child()
            self._started.send(make_request(self._slot_bytes).pack(), fds=(clip_fd, memory_fd))
        finally:
            os.close(memory_fd)

    @property
    def slot_bytes(self) -> int:
        """Size of one slot."""
        return self._slot_bytes

    @property
    def pid(self) -> int:
        """The child's process id."""
        return self._started.pid

    def receive(self, timeout_s: float, *, cpu_s: float) -> tuple[Record, float]:
        """The next record and the seconds spent waiting for it.

        cpu_s: processor time that the child may have taken since it was forked
        Raises ChildTimeoutError, ChildDiedError, or its subclass SandboxViolationError.
        """
        started_s = time.monotonic()
        poll = select.poll()
        poll.register(self._started.stdout, select.POLLIN)
        data = b""
        while len(data) < RECORD_BYTES:
            left_s = started_s + timeout_s - time.monotonic()
            if not poll.poll(max(min(left_s, _WATCH_S), 0) * 1000):
                if left_s <= _WATCH_S or self._cpu_s() > cpu_s:
                    raise ChildTimeoutError
                continue
            part = os.read(self._started.stdout, RECORD_BYTES - len(data))
            if not part:
                raise self._exit_error()
            data += part
        return self._parse(data), time.monotonic() - started_s

    def _cpu_s(self) -> float:
        try:
            return time.clock_gettime(_cpu_clock(self.pid))
        except OSError:  # it has ended
            return 0.0

    def slot(self, number: int, num_bytes: int) -> NDArray[np.uint8]:
        """A view of the first bytes of a slot, valid until the slot is released."""
        return np.frombuffer(self._memory, np.uint8, num_bytes, number * self._slot_bytes)

    def release_slot(self) -> None:
        """Allow the child to overwrite the oldest slot."""
        self._started.send(b"+")

    def end(self) -> None:
        """Kill the process if it still runs, and free its pipes and memory."""
        self._started.end()
        self._memory.close()

    def _parse(self, data: bytes) -> Record:
        try:
            return read_record(data)
        except ValueError as error:
            _log.warning("The decoding child sent an invalid record.")
            raise ChildDiedError from error

    def _exit_error(self) -> Exception:
        status = self._started.wait()
        if status == -signal.SIGSYS:
            _sandbox_violations.append(self.pid)
            _log.error("The decoding child made a forbidden system call and was ended by the kernel.")
            return SandboxViolationError()
        output = os.read(self._started.stderr, _MAX_STDERR_BYTES).decode("utf-8", "replace")
        _log.warning("The decoding child ended early with status %d: %s", status, ascii(output))
        return ChildTimeoutError() if status == -signal.SIGXCPU else ChildDiedError()


def _cpu_clock(pid: int) -> int:
    """The clock of the processor time of all threads of a process, as clock_getcpuclockid(3) gives it."""
    return (~pid << 3) | 2


def _sealed_memory(num_bytes: int) -> int:
    """Shared memory of a fixed size: if the child could shrink it, the reader would be killed with SIGBUS."""
    fd = os.memfd_create("omnireel-frames", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(fd, num_bytes)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
    return fd
