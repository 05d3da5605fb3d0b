"""Starting decoding children, ahead of time if wanted: an interpreter with PyAV takes a fifth of a second.

A child that waits has read nothing of any clip; it gets one, then ends.
"""

import logging
import os
import socket
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

# -I looks for packages where the interpreter is installed only; the child must be of the reader's own copy.
_CODE = (
    "import sys; sys.path.insert(0, sys.argv[1]);"
    "from omnireel.video.child import main; main(parent_pid=int(sys.argv[2]))"
)
_COMMAND = (sys.executable, "-I", "-c", _CODE, str(Path(__file__).parents[2]))
# Each arena of glibc reserves 64 MiB of the child's limited address space.
_ENVIRONMENT = {"MALLOC_ARENA_MAX": "2"}
# The kernel ends a child with the thread that started it, so all are started by one that lives on.
_starter = ThreadPoolExecutor(1, thread_name_prefix="decoder-start")
_log = logging.getLogger(__name__)


class StartedChild:
    """A child that waits for its request."""

    def __init__(self) -> None:
        self._control, theirs = socket.socketpair()
        try:
            with theirs:
                self.process = subprocess.Popen(
                    (*_COMMAND, str(os.getpid())),
                    stdin=theirs.fileno(),
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    bufsize=0,
                    env=_ENVIRONMENT,
                    cwd="/",
                    start_new_session=True,
                )
        except OSError:
            self._control.close()
            raise

    def send(self, data: bytes, fds: Sequence[int] = ()) -> None:
        """Bytes for the child, and descriptors that become its own."""
        try:
            socket.send_fds(self._control, [data], fds, socket.MSG_DONTWAIT)
        except (BrokenPipeError, ConnectionResetError, BlockingIOError):
            _log.info("the decoding child is gone or does not listen")  # the next receive() finds out why

    def end(self) -> None:
        """Kill the process if it still runs, and free what it held."""
        self._control.close()
        self.process.kill()
        self.process.__exit__(None, None, None)


class _Waiting:
    """The children that wait, oldest first."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._children: deque[Future[StartedChild]] = deque()
        self._wanted = 0

    def keep(self, number: int) -> None:
        with self._lock:
            self._wanted = number
            surplus = [self._children.pop() for _ in range(len(self._children) - number)]
            self._fill()
        for child in surplus:
            child.result().end()

    def take(self) -> StartedChild:
        with self._lock:
            child = self._children.popleft() if self._children else _starter.submit(StartedChild)
            self._fill()
        return child.result()

    def _fill(self) -> None:
        while len(self._children) < self._wanted:
            self._children.append(_starter.submit(StartedChild))


_waiting = _Waiting()


def keep_children_waiting(number: int) -> None:
    """From now on have `number` children started ahead; 0 ends those that wait."""
    _waiting.keep(number)


def take_child() -> StartedChild:
    """A child for one clip."""
    return _waiting.take()
