"""The sandbox of the decoding child, entered before it reads the first hostile byte.

Landlock blocks the file system, seccomp blocks nearly every system call, and resource limits bound memory and time.
All three are system calls made here directly: the filter has some eighty instructions, and a binding of libseccomp
would be one more compiled library in a process that should be small.
Sources: Linux Documentation/userspace-api/landlock.rst and seccomp_filter.rst; numbers of system calls from
arch/x86/entry/syscalls/syscall_64.tbl and include/uapi/asm-generic/unistd.h.
"""

import ctypes
import math
import os
import platform
import resource
import signal
import struct

from omnireel.video.decoder.bpf import ARCHITECTURES, program

MEMORY_BYTES = 3 << 29
_MAX_OPEN_FILES = 16
# The decoder's own are a handful; see `decoding.MAX_THREADS`.
_MAX_THREADS = 32
_NEW_USER_NAMESPACE = 0x10000000
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS = 1, 4, 38
_LANDLOCK_CREATE, _LANDLOCK_RESTRICT, _LANDLOCK_VERSION = 444, 446, 1
# Landlock ABI version → how many file access rights it has; they are the low bits of a mask.
_FILE_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15}
_NEWEST_FILE_RIGHTS = 16
_SECCOMP_SET_FILTER, _SECCOMP_ACTION_AVAILABLE, _ALL_THREADS = 1, 2, 1
_KILL_PROCESS = 0x80000000
_libc = ctypes.CDLL(None, use_errno=True)


def missing() -> tuple[str, ...]:
    """The parts of the sandbox that this kernel does not support: of "landlock", "seccomp".

    The numbers of these system calls mean other calls on another system, so nothing is called there.
    """
    if platform.system() != "Linux":
        return ("landlock", "seccomp")
    absent = []
    if _landlock_abi() < 1:
        absent.append("landlock")
    action = ctypes.byref(ctypes.c_uint32(_KILL_PROCESS))
    if platform.machine() not in ARCHITECTURES or _seccomp(_SECCOMP_ACTION_AVAILABLE, 0, action) != 0:
        absent.append("seccomp")
    return tuple(absent)


def die_with(parent_pid: int) -> None:
    """Have the kernel end this process when the thread that started it ends; end now if that has happened."""
    _check(_libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0))
    if os.getppid() != parent_pid:
        os._exit(0)


def confine(cpu_s: float) -> None:
    """Enter the sandbox; it cannot be left. Allowed are open file descriptors, memory and threads.

    cpu_s: processor time after which the kernel ends the process
    Parts that `missing` names are left out: the server decides at its start whether to run without them. Raises
    OSError where the kernel supports a part and refuses it.
    """
    absent = missing()
    _limit(cpu_s)
    _limit_threads()
    _check(_libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0))
    _check(_libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    if "landlock" not in absent:
        _block_files()
    if "seccomp" not in absent:
        _block_system_calls()


def _limit_threads() -> None:
    """Bound the threads of this process, where the kernel allows user namespaces to everyone.

    The limit counts the threads of all processes of a user, and never those of root. In a namespace of its own, the
    process is the only one of its user and not root. Elsewhere only the limit on memory bounds threads.
    """
    if _libc.unshare(_NEW_USER_NAMESPACE) == 0:
        resource.setrlimit(resource.RLIMIT_NPROC, (_MAX_THREADS, _MAX_THREADS))
        _check(_libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0))  # new credentials may drop it


def _limit(cpu_s: float) -> None:
    for kind, bound in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NOFILE, _MAX_OPEN_FILES),
        (resource.RLIMIT_AS, MEMORY_BYTES),
    ):
        resource.setrlimit(kind, (bound, bound))
    # The soft limit sends SIGXCPU, which the reader can distinguish from a crash; the hard limit sends SIGKILL.
    seconds = math.ceil(cpu_s)
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))


def _landlock_abi() -> int:
    return int(_libc.syscall(_LANDLOCK_CREATE, None, ctypes.c_size_t(0), _LANDLOCK_VERSION))


def _block_files() -> None:
    abi = _landlock_abi()
    files = (1 << _FILE_RIGHTS.get(abi, _NEWEST_FILE_RIGHTS)) - 1
    # Files; from ABI 4 on TCP bind and connect; from ABI 6 on abstract sockets and signals to other processes.
    rights = struct.pack("<3Q", files, 3, 3)[: 8 if abi < 4 else 16 if abi < 6 else 24]
    ruleset = _check(_libc.syscall(_LANDLOCK_CREATE, rights, ctypes.c_size_t(len(rights)), 0))
    _check(_libc.syscall(_LANDLOCK_RESTRICT, ruleset, 0))
    os.close(ruleset)


def _block_system_calls() -> None:
    code = program(platform.machine())
    buffer = ctypes.create_string_buffer(code, len(code))
    header = ctypes.create_string_buffer(struct.pack("@HP", len(code) // 8, ctypes.addressof(buffer)))
    _check(_seccomp(_SECCOMP_SET_FILTER, _ALL_THREADS, header))


def _seccomp(operation: int, flags: int, argument: object) -> int:
    number = ARCHITECTURES[platform.machine()].seccomp
    return int(_libc.syscall(number, operation, flags, argument))


def _check(result: int) -> int:
    if result < 0:
        raise OSError(ctypes.get_errno(), "the kernel refused the sandbox")
    return result
