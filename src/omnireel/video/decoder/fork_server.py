"""The clean process that decoding children are forked from: it has PyAV loaded and has seen no clip.

An interpreter with PyAV takes an eighth of a second of processor time to start, a fork some milliseconds.
Started by children.py, with a socket as stdin: every byte that comes is an order for a child, and is answered
with its process id and what the orderer needs to talk to it. One thread only, as forking asks for.
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

BIRTH = struct.Struct("<i")  # the process id of a new child; without descriptors there is none
EXIT = struct.Struct("<i")  # its exit status, or minus the signal that ended it


class Ends(NamedTuple):
    """The orderer's ends of what it shares with a child, as descriptors.

    control: a socket, the child's stdin; reply, last_words: pipes from its stdout and stderr
    exit:    a pipe on which its exit status is told
    pidfd:   the process; means this one and no other for as long as it is open
    """

    control: int
    reply: int
    last_words: int
    exit: int
    pidfd: int


def serve(decode: Callable[[int], None], parent_pid: int) -> None:
    """Fork a child for every order and tell how each ended, until nobody is left who could order.

    decode: what a child runs, given the process id of its parent
    """
    die_with(parent_pid)
    orders = socket.socket(fileno=0)
    gc.freeze()  # or the first collection in a child copies every page of what is loaded here
    poll = select.poll()
    poll.register(orders, select.POLLIN)
    living: dict[int, tuple[int, int]] = {}  # pidfd → process id, pipe for its exit status
    while True:
        for ready, _ in poll.poll():
            if ready in living:
                poll.unregister(ready)
                _report_end(ready, *living.pop(ready))
                continue
            if not orders.recv(1):
                return
            try:
                pid, pidfd, exit_pipe = _answer(orders, decode)
            except OSError:  # no room for a process or for descriptors
                orders.send(BIRTH.pack(0))
                continue
            living[pidfd] = pid, exit_pipe
            poll.register(pidfd, select.POLLIN)


def _answer(orders: socket.socket, decode: Callable[[int], None]) -> tuple[int, int, int]:
    """Fork a child and hand over the orderer's ends. Returns process id, pidfd, pipe for the exit status."""
    fork_server = os.getpid()
    with contextlib.ExitStack() as stack:
        control, stdin = _opened(stack, *(half.detach() for half in socket.socketpair()))
        reply, stdout = _opened(stack, *os.pipe())
        last_words, stderr = _opened(stack, *os.pipe())
        exit_status, exit_pipe = os.pipe()
        _opened(stack, exit_status)
        try:
            pid = os.fork()
        except OSError:
            os.close(exit_pipe)
            raise
        if pid == 0:
            _become_child(decode, (stdin, stdout, stderr), fork_server)
        pidfd = os.pidfd_open(pid)  # not reaped yet, so the number still means this child
        ends = Ends(control, reply, last_words, exit_status, pidfd)
        socket.send_fds(orders, [BIRTH.pack(pid)], ends)
    return pid, pidfd, exit_pipe


def _opened(stack: contextlib.ExitStack, *fds: int) -> tuple[int, ...]:
    for fd in fds:
        stack.callback(os.close, fd)
    return fds


def _become_child(decode: Callable[[int], None], streams: tuple[int, ...], fork_server: int) -> NoReturn:
    """Run with nothing open but the three streams, and end without what an interpreter does at its end."""
    status = 1
    try:
        for number, fd in enumerate(streams):
            os.dup2(fd, number)
        os.closerange(len(streams), os.sysconf("SC_OPEN_MAX"))
        decode(fork_server)
        status = 0
    except SystemExit as left:
        status = left.code if isinstance(left.code, int) else int(left.code is not None)
        if isinstance(left.code, str):
            sys.stderr.write(left.code)
    except BaseException:  # noqa: BLE001  these are its last words; nothing may reach the loop of `serve`
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


def _report_end(pidfd: int, pid: int, exit_pipe: int) -> None:
    _, status = os.waitpid(pid, 0)
    os.close(pidfd)
    with contextlib.suppress(BrokenPipeError):  # the orderer has let go of it
        os.write(exit_pipe, EXIT.pack(os.waitstatus_to_exitcode(status)))
    os.close(exit_pipe)
