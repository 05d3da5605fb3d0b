"""Assembles the seccomp filter of the decoding child.

System calls that decoding needs are allowed. Calls that only an attacker would make end the process, and its reader
sees SIGSYS. All others fail with EPERM, because libraries try files and settings that they can do without.
A pure function: an architecture's name in, bytes out.
"""

import errno
import struct
from typing import NamedTuple

_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_LOAD, _JUMP_EQUAL, _JUMP_FROM, _JUMP_BITS, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER, _ARCHITECTURE, _ARGUMENT = 0, 4, 16
_CLONE_THREAD, _PROT_EXEC = 0x10000, 4
_FOREIGN_NUMBERS = 0x40000000  # x32 has the architecture of x86-64 but its own call numbers


class Architecture(NamedTuple):
    """The system call numbers of one architecture; comments below name the calls.

    audit:   AUDIT_ARCH_* of linux/audit.h
    seccomp: the call that installs the filter
    allowed, killing: calls that are allowed, and calls that end the process
    mapping: calls that map memory; allowed unless they make it executable
    clone, clone3: calls that start threads and processes
    """

    audit: int
    seccomp: int
    allowed: tuple[int, ...]
    killing: tuple[int, ...]
    mapping: tuple[int, ...]
    clone: int
    clone3: int


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split()))


# allowed: read write readv writev pread64 close fstat lseek munmap brk rt_sigaction rt_sigprocmask
#   rt_sigreturn sigaltstack mremap madvise sched_yield nanosleep clock_nanosleep clock_gettime clock_getres
#   gettimeofday getpid gettid exit exit_group futex set_robust_list rseq sched_getaffinity getrandom
#   getrusage restart_syscall
# killing: socket socketpair connect bind listen accept sendto sendmsg execve execveat ptrace process_vm_readv
#   process_vm_writev kill bpf userfaultfd perf_event_open unshare setns mount keyctl io_uring_setup
#   pidfd_send_signal pidfd_open pidfd_getfd; on x86-64 also fork vfork
# mapping: mmap mprotect
_X86_64 = Architecture(
    audit=0xC000003E,
    seccomp=317,
    allowed=_numbers(
        "0 1 19 20 17 3 5 8 11 12 13 14 15 131 25 28 24 35 230 228 "
        "229 96 39 186 60 231 202 273 334 204 318 98 219"
    ),
    killing=_numbers(
        "41 53 42 49 50 43 44 46 59 322 101 310 311 62 321 323 298 272 308 165 250 425 424 434 438 57 58"
    ),
    mapping=(9, 10),
    clone=56,
    clone3=435,
)
_AARCH64 = Architecture(
    audit=0xC00000B7,
    seccomp=277,
    allowed=_numbers(
        "63 64 65 66 67 57 80 62 215 214 134 135 139 132 216 233 124 101 115 113 "
        "114 169 172 178 93 94 98 99 293 123 278 165 128"
    ),
    killing=_numbers(
        "198 199 203 200 201 202 206 211 221 281 117 270 271 129 280 282 241 97 268 40 219 425 424 434 438"
    ),
    mapping=(222, 226),
    clone=220,
    clone3=435,
)
ARCHITECTURES = {"x86_64": _X86_64, "aarch64": _AARCH64}


def program(machine: str) -> bytes:
    """The filter for an architecture as an array of struct sock_filter. Raises KeyError for an unknown one."""
    numbers = ARCHITECTURES[machine]
    not_permitted = _ERRNO | errno.EPERM
    code = [
        _op(_LOAD, _ARCHITECTURE),
        _op(_JUMP_EQUAL, numbers.audit, 1, 0),
        _op(_RETURN, _KILL),
        _op(_LOAD, _NUMBER),
        _op(_JUMP_FROM, _FOREIGN_NUMBERS, 0, 1),
        _op(_RETURN, _KILL),
    ]
    for number in numbers.allowed:
        code += _if_number(number, [_op(_RETURN, _ALLOW)])
    for number in numbers.mapping:  # memory is never made executable
        code += _if_number(number, _by_bits(2, _PROT_EXEC, if_set=not_permitted, if_clear=_ALLOW))
    code += _if_number(numbers.clone, _by_bits(0, _CLONE_THREAD, if_set=_ALLOW, if_clear=_KILL))
    # clone3 has its flags in memory, which a filter cannot read. With ENOSYS libc uses clone instead.
    code += _if_number(numbers.clone3, [_op(_RETURN, _ERRNO | errno.ENOSYS)])
    for number in numbers.killing:
        code += _if_number(number, [_op(_RETURN, _KILL)])
    return b"".join([*code, _op(_RETURN, not_permitted)])


def _if_number(number: int, instructions: list[bytes]) -> list[bytes]:
    return [_op(_JUMP_EQUAL, number, 0, len(instructions)), *instructions]


def _by_bits(argument: int, bits: int, *, if_set: int, if_clear: int) -> list[bytes]:
    low_word = _ARGUMENT + 8 * argument
    return [_op(_LOAD, low_word), _op(_JUMP_BITS, bits, 0, 1), _op(_RETURN, if_set), _op(_RETURN, if_clear)]


def _op(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("<HBBI", code, if_true, if_false, value)
