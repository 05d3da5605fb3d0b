"""Starts decoding children: each is forked for one clip by the fork server.

The fork server (decoder/fork_server.py) starts when the first clip needs it, or earlier by `start_fork_server`.
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

from omnireel.video.decoder.fork_server import EXIT_STATUS, PROCESS_ID, ChildDescriptors

# With -I only installed packages are found, so the path is given: the child must run this copy of the package.
_CODE = (
    "import sys; sys.path.insert(0, sys.argv[1]);"
    "from omnireel.video.decoder.child import main; from omnireel.video.decoder.fork_server import serve;"
    "serve(main, parent_pid=int(sys.argv[2]))"
)
_PACKAGES = str(Path(__file__).parents[3])
# Each arena of glibc reserves 64 MiB of the child's limited address space.
_ENVIRONMENT = {"MALLOC_ARENA_MAX": "2"}
_GRACE_MS = 1000  # for a child that has closed its pipe to exit by itself and write its error
# The kernel ends the fork server together with the thread that started it, so that thread must never end.
_starter = ThreadPoolExecutor(1, thread_name_prefix="fork-server-start")
_log = logging.getLogger(__name__)


class StartedChild:
    """A forked child that waits for its request.

    stdout, stderr: file descriptors to read the child's output from
    """

    def __init__(self, pid: int, descriptors: ChildDescriptors) -> None:
        self.pid = pid
        self.stdout, self.stderr = descriptors.stdout, descriptors.stderr
        self._descriptors = descriptors
        self._control = socket.socket(fileno=descriptors.control)

    def send(self, data: bytes, fds: Sequence[int] = ()) -> None:
        """Send bytes to the child, with copies of the file descriptors `fds`."""
        try:
            socket.send_fds(self._control, [data], fds, socket.MSG_DONTWAIT)
        except (BrokenPipeError, ConnectionResetError, BlockingIOError):
            # Not raised here: the next read from the child's stdout finds its end and its exit status.
            _log.info("The decoding child has ended or does not read its requests.")

    def wait(self) -> int:
        """The child's exit status, or minus the number of the signal that ended it.

        A child that still runs after a second is killed.
        """
        if not self._has_exited():
            self._kill()
        status = os.read(self._descriptors.exit_status, EXIT_STATUS.size)
        # The pipe is empty when the fork server was killed; its children are killed with it.
        return int(EXIT_STATUS.unpack(status)[0]) if status else -signal.SIGKILL

    def end(self) -> None:
        """Kill the process if it still runs, wait for its exit, and close every file descriptor."""
        self._kill()
        self._has_exited()
        self._control.close()
        for fd in self._descriptors[1:]:
            os.close(fd)

    def _has_exited(self) -> bool:
        poll = select.poll()
        poll.register(self._descriptors.exit_status, select.POLLIN)
        return bool(poll.poll(_GRACE_MS))

    def _kill(self) -> None:
        try:
            signal.pidfd_send_signal(self._descriptors.pidfd, signal.SIGKILL)
        except ProcessLookupError:
            return


class _ForkServer:
    """Starts, uses and ends the fork server; may be used from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._requests: socket.socket | None = None

    def start(self) -> None:
        with self._lock:
            self._running()

    def end(self) -> None:
        """End the fork server; its children end with it."""
        with self._lock:
            self._end()

    def fork_child(self) -> StartedChild:
        """Raises OSError where no further process or file descriptor is possible."""
        with self._lock:
            try:
                return _fork_child(self._running())
            except (BrokenPipeError, ConnectionResetError):  # the fork server was killed from outside
                self._end()
                return _fork_child(self._running())

    def _running(self) -> socket.socket:
        """The socket for requests to the fork server, which is started if necessary."""
        if self._requests is None:
            self._requests, theirs = socket.socketpair()
            with theirs:
                self._process = _starter.submit(_start, theirs).result()
        return self._requests

    def _end(self) -> None:
        if self._requests is not None:
            self._requests.close()
            self._requests = None
        if self._process is not None:
            self._process.wait()
            self._process = None


def _start(requests: socket.socket) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        (sys.executable, "-I", "-c", _CODE, _PACKAGES, str(os.getpid())),
        stdin=requests.fileno(),
        stdout=subprocess.DEVNULL,
        env=_ENVIRONMENT,
        cwd="/",
        start_new_session=True,
    )


def _fork_child(requests: socket.socket) -> StartedChild:
    requests.send(b"+")
    answer, fds, _, _ = socket.recv_fds(requests, PROCESS_ID.size, len(ChildDescriptors._fields))
    if not answer:
        raise BrokenPipeError
    (pid,) = PROCESS_ID.unpack(answer)
    if len(fds) < len(ChildDescriptors._fields):
        for fd in fds:
            os.close(fd)
        raise OSError("no decoding child can be started: too many processes or open files")
    return StartedChild(pid, ChildDescriptors(*fds))


_fork_server = _ForkServer()
atexit.register(_fork_server.end)


def start_fork_server() -> None:
    """Start the fork server now, so that the first clip does not wait for it."""
    _fork_server.start()


def stop_fork_server() -> None:
    """End the fork server and all its children."""
    _fork_server.end()


def fork_child() -> StartedChild:
    """A new child for one clip. Raises OSError where none can be started."""
    return _fork_server.fork_child()
