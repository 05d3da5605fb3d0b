"""Decoding children as the server orders them: each forked for one clip from one clean process.

That process (nursery.py) is started when the first clip needs it, or ahead of all by `start_fork_server`.
"""

import atexit
import logging
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from omnireel.video.decoder.fork_server import BIRTH, EXIT, Ends

# -I looks for packages where the interpreter is installed only; the child must be of the reader's own copy.
_CODE = (
    "import sys; sys.path.insert(0, sys.argv[1]);"
    "from omnireel.video.decoder.child import main; from omnireel.video.decoder.fork_server import serve;"
    "serve(main, parent_pid=int(sys.argv[2]))"
)
_PACKAGES = str(Path(__file__).parents[3])
# Each arena of glibc reserves 64 MiB of the child's limited address space.
_ENVIRONMENT = {"MALLOC_ARENA_MAX": "2"}
_GRACE_MS = 1000  # for a child that has stopped talking to end by itself, and to leave its reason
# The kernel ends the nursery with the thread that started it, so that is one that lives on.
_starter = ThreadPoolExecutor(1, thread_name_prefix="nursery-start")
_log = logging.getLogger(__name__)


class StartedChild:
    """A child that waits for its request.

    reply, last_words: descriptors from which its stdout and its stderr are read
    """

    def __init__(self, pid: int, ends: Ends) -> None:
        self.pid = pid
        self.reply, self.last_words = ends.reply, ends.last_words
        self._ends = ends
        self._control = socket.socket(fileno=ends.control)

    def send(self, data: bytes, fds: Sequence[int] = ()) -> None:
        """Bytes for the child, and descriptors that become its own."""
        try:
            socket.send_fds(self._control, [data], fds, socket.MSG_DONTWAIT)
        except (BrokenPipeError, ConnectionResetError, BlockingIOError):
            _log.info("the decoding child is gone or does not listen")  # the next receive() finds out why

    def wait(self) -> int:
        """The exit status, or minus the signal that ended it, of a child that is given a second to end."""
        if not self._has_ended():
            self._kill()
        told = os.read(self._ends.exit, EXIT.size)
        # A nursery that is killed takes its children along and tells nothing.
        return int(EXIT.unpack(told)[0]) if told else -signal.SIGKILL

    def end(self) -> None:
        """Kill the process if it still runs, see it gone, and free what it held."""
        self._kill()
        self._has_ended()
        self._control.close()
        for fd in self._ends[1:]:
            os.close(fd)

    def _has_ended(self) -> bool:
        poll = select.poll()
        poll.register(self._ends.exit, select.POLLIN)
        return bool(poll.poll(_GRACE_MS))

    def _kill(self) -> None:
        try:
            signal.pidfd_send_signal(self._ends.pidfd, signal.SIGKILL)
        except ProcessLookupError:
            return


class _ForkServer:
    """The process that forks, while it runs."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._orders: socket.socket | None = None

    def start(self) -> None:
        with self._lock:
            self._running()

    def end(self) -> None:
        """Its children end with it."""
        with self._lock:
            self._end()

    def order(self) -> StartedChild:
        """Raises OSError where there is no room for a child."""
        with self._lock:
            try:
                return _order(self._running())
            except (BrokenPipeError, ConnectionResetError):  # somebody has killed it
                self._end()
                return _order(self._running())

    def _running(self) -> socket.socket:
        if self._orders is None:
            self._orders, theirs = socket.socketpair()
            with theirs:
                self._process = _starter.submit(_start, theirs).result()
        return self._orders

    def _end(self) -> None:
        if self._orders is not None:
            self._orders.close()
            self._orders = None
        if self._process is not None:
            self._process.wait()
            self._process = None


def _start(orders: socket.socket) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        (sys.executable, "-I", "-c", _CODE, _PACKAGES, str(os.getpid())),
        stdin=orders.fileno(),
        stdout=subprocess.DEVNULL,
        env=_ENVIRONMENT,
        cwd="/",
        start_new_session=True,
    )


def _order(orders: socket.socket) -> StartedChild:
    orders.send(b"+")
    answer, fds, _, _ = socket.recv_fds(orders, BIRTH.size, len(Ends._fields))
    if not answer:
        raise BrokenPipeError
    (pid,) = BIRTH.unpack(answer)
    if len(fds) < len(Ends._fields):
        for fd in fds:
            os.close(fd)
        raise OSError("there is no room for a decoding child: too many processes or open files")
    return StartedChild(pid, Ends(*fds))


_fork_server = _ForkServer()
atexit.register(_fork_server.end)


def start_fork_server() -> None:
    """Start what children are forked from, so that the first clip need not wait for it."""
    _fork_server.start()


def stop_fork_server() -> None:
    """End it, and every child with it."""
    _fork_server.end()


def take_child() -> StartedChild:
    """A child for one clip."""
    return _fork_server.order()
