"""The fork server: forks decoding children from a process that has loaded PyAV and has seen no clip.

Starting an interpreter with PyAV takes an eighth of a second of processor time; a fork takes some milliseconds.
reader/children.py starts the fork server with a socket as stdin. Each byte that arrives there is a request for a
child. The answer is the child's process id and the file descriptors to talk to it. The fork server has a single
thread, because only then is it safe to fork.
"""

import contextlib
import gc
import os
import select
import socket
import struct
import sys
import traceback
from collections.abc import Callable
from typing import NamedTuple, NoReturn

from omnireel.video.decoder.sandbox import die_with

PROCESS_ID = struct.Struct("<i")  # of a new child; without file descriptors no child was forked
EXIT_STATUS = struct.Struct("<i")  # of a child, or minus the number of the signal that ended it


class ChildDescriptors(NamedTuple):
    """The file descriptors by which the reader talks to one child.

    control:        a socket that is the child's stdin
    stdout, stderr: pipes from the child
    exit_status:    a pipe on which the fork server writes the child's exit status
    pidfd:          the child; unlike a process id it is never reused while it is open
    """

    control: int
    stdout: int
    stderr: int
    exit_status: int
    pidfd: int


def serve(decode: Callable[[int], None], parent_pid: int) -> None:
    """Fork a child for every request and report each exit status, until the other end of the socket is closed.

    decode: what a child runs, given the process id of its parent
    """
    die_with(parent_pid)
    requests = socket.socket(fileno=0)
    gc.freeze()  # otherwise the first garbage collection in a child copies every page of what is loaded here
    poll = select.poll()
    poll.register(requests, select.POLLIN)
    running: dict[int, tuple[int, int]] = {}  # pidfd → process id, pipe for its exit status
    while True:
        for ready, _ in poll.poll():
            if ready in running:
                poll.unregister(ready)
                _report_exit(ready, *running.pop(ready))
                continue
            if not requests.recv(1):
                return
            try:
                pid, pidfd, exit_pipe = _fork_child(requests, decode)
            except OSError:  # no further process or file descriptor is possible
                requests.send(PROCESS_ID.pack(0))
                continue
            running[pidfd] = pid, exit_pipe
            poll.register(pidfd, select.POLLIN)


def _fork_child(requests: socket.socket, decode: Callable[[int], None]) -> tuple[int, int, int]:
    """Fork a child and send its ChildDescriptors. Returns process id, pidfd, pipe for the exit status."""
    fork_server = os.getpid()
    with contextlib.ExitStack() as stack:
        control, child_stdin = _opened(stack, *(end.detach() for end in socket.socketpair()))
        stdout, child_stdout = _opened(stack, *os.pipe())
        stderr, child_stderr = _opened(stack, *os.pipe())
        exit_status, exit_pipe = os.pipe()
        _opened(stack, exit_status)
        try:
            pid = os.fork()
        except OSError:
            os.close(exit_pipe)
            raise
        if pid == 0:
            _run_child(decode, (child_stdin, child_stdout, child_stderr), fork_server)
        pidfd = os.pidfd_open(pid)  # the child is not reaped yet, so the number cannot have been reused
        descriptors = ChildDescriptors(control, stdout, stderr, exit_status, pidfd)
        socket.send_fds(requests, [PROCESS_ID.pack(pid)], descriptors)
    return pid, pidfd, exit_pipe


def _opened(stack: contextlib.ExitStack, *fds: int) -> tuple[int, ...]:
    """The same descriptors, which `stack` will close."""
    for fd in fds:
        stack.callback(os.close, fd)
    return fds


def _run_child(decode: Callable[[int], None], streams: tuple[int, ...], fork_server: int) -> NoReturn:
    """Run `decode` with only the three standard streams open; exit without the interpreter's own cleanup."""
    status = 1
    try:
        for number, fd in enumerate(streams):
            os.dup2(fd, number)
        os.closerange(len(streams), os.sysconf("SC_OPEN_MAX"))
        decode(fork_server)
        status = 0
    except SystemExit as exit_:
        status = exit_.code if isinstance(exit_.code, int) else int(exit_.code is not None)
        if isinstance(exit_.code, str):
            sys.stderr.write(exit_.code)
    except BaseException:  # noqa: BLE001  the child reports it on stderr; it must not return into `serve`
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


def _report_exit(pidfd: int, pid: int, exit_pipe: int) -> None:
    _, status = os.waitpid(pid, 0)
    os.close(pidfd)
    with contextlib.suppress(BrokenPipeError):  # the reader has closed the pipe
        os.write(exit_pipe, EXIT_STATUS.pack(os.waitstatus_to_exitcode(status)))
    os.close(exit_pipe)
