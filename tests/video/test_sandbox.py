"""A compromised decoding child can only read and write its open files, compute and exit."""

import platform
import signal
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from omnireel.errors import InputError
from omnireel.video.decoder import bpf, sandbox
from omnireel.video.reader import process
from omnireel.video.reader.frames import open_clip

PACKAGES = str(Path(process.__file__).parents[3])
CONFINED = f"""
import ctypes, errno, fcntl, mmap, os, resource, signal, socket, struct, sys, threading
sys.path.insert(0, {PACKAGES!r})
from omnireel.video.decoder.sandbox import confine
PARENT = os.getppid()
libc = ctypes.CDLL(None, use_errno=True)
shared = os.memfd_create("shared", os.MFD_ALLOW_SEALING)
os.ftruncate(shared, 8192)
fcntl.fcntl(shared, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
def call(*arguments):
    result = libc.syscall(*[ctypes.c_long(argument) for argument in arguments])
    if result < 0:
        raise OSError(ctypes.get_errno(), "refused")
confine(5)
"""
REFUSED, ENDED = 0, -signal.SIGSYS


def run(script, *, is_confined=True):
    prelude = CONFINED if is_confined else CONFINED.replace("confine(5)", "")
    command = [sys.executable, "-I", "-c", prelude + script]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)


def attempt(script, *, is_confined=True):
    """Run a script: 0 if the kernel refused the call, 77 if it succeeded, minus the signal if one ended the process."""
    refusals = "(OSError, RuntimeError, MemoryError, ValueError)"
    lines = f"try:\n    {script}\nexcept {refusals}:\n    os._exit(0)\nos._exit(77)"
    return run(lines, is_confined=is_confined).returncode


X86_64 = platform.machine() == "x86_64"
ATTEMPTS = {
    "socket": ("socket.socket()", ENDED),
    "unix socket": ("socket.socket(socket.AF_UNIX)", ENDED),
    "socket pair": ("socket.socketpair()", ENDED),
    "connect": (f"call({42 if X86_64 else 203}, 0, 0, 0)", ENDED),
    "read a file": ("open('/etc/passwd').read()", REFUSED),
    "write a file": ("open('/var/omnireel-attacker', 'w')", REFUSED),
    "list a directory": ("os.listdir('/')", REFUSED),
    "status of a file": ("os.stat('/etc/passwd')", REFUSED),
    "unlink": ("os.unlink('/var/omnireel-nothing')", REFUSED),
    "memory of the parent as a file": ("open(f'/proc/{PARENT}/mem', 'rb')", REFUSED),
    "exec": ("os.execv('/bin/true', ['true'])", ENDED),
    "fork": ("os.fork()", ENDED),
    "clone": (f"call({56 if X86_64 else 220}, signal.SIGCHLD, 0, 0, 0, 0)", ENDED),
    "ptrace": (f"call({101 if X86_64 else 117}, 16, PARENT, 0, 0)", ENDED),
    "kill": ("os.kill(PARENT, 0)", ENDED),
    "kill a thread": (f"call({200 if X86_64 else 130}, PARENT, 0)", REFUSED),
    "read the parent": (f"call({310 if X86_64 else 270}, PARENT, 0, 0, 0, 0, 0)", ENDED),
    "write the parent": (f"call({311 if X86_64 else 271}, PARENT, 0, 0, 0, 0, 0)", ENDED),
    "pidfd": ("os.pidfd_open(PARENT)", ENDED),
    "io_uring": ("call(425, 1, 0)", ENDED),
    "bpf": (f"call({321 if X86_64 else 280}, 0, 0, 0)", ENDED),
    "new namespace": (f"call({272 if X86_64 else 97}, 0x10000000)", ENDED),
    "mount": (f"call({165 if X86_64 else 40}, 0, 0, 0, 0, 0)", ENDED),
    "more memory": ("bytearray(2 << 30)", REFUSED),
    "hundreds of threads": (
        "[threading.Thread(target=threading.Event().wait, daemon=True).start() for _ in range(200)]",
        REFUSED,
    ),
    "executable memory": ("mmap.mmap(-1, 4096, prot=7)", REFUSED),
    "another memfd": ("os.memfd_create('x')", REFUSED),
    "raised limits": ("resource.setrlimit(resource.RLIMIT_FSIZE, (1, 1))", REFUSED),
    "shrunk memory": ("os.ftruncate(shared, 4096)", REFUSED),
    "grown memory": ("os.ftruncate(shared, 16384)", REFUSED),
    "own signals": ("fcntl.fcntl(0, fcntl.F_SETOWN, PARENT)", REFUSED),
    "another user": ("os.setuid(0)", REFUSED),
    "priority": ("os.nice(-5)", REFUSED),
}


@pytest.mark.parametrize(("script", "expected"), ATTEMPTS.values(), ids=ATTEMPTS)
def test_the_sandbox_stops(script, expected):
    assert attempt(script) == expected


@pytest.mark.parametrize(
    "name",
    ["socket", "read a file", "fork", "hundreds of threads", "executable memory", "kill", "more memory"],
)
def test_the_same_calls_work_without_the_sandbox(name):
    assert attempt(ATTEMPTS[name][0], is_confined=False) == 77


def test_landlock_alone_blocks_files():
    script = CONFINED.replace(
        "confine(5)", "from omnireel.video.decoder import sandbox; libc.prctl(38, 1, 0, 0, 0)"
    )
    script += "\nsandbox._block_files()\nopen('/etc/passwd')"
    done = subprocess.run([sys.executable, "-I", "-c", script], capture_output=True, text=True, check=False)
    assert "PermissionError" in done.stderr


def test_a_sandboxed_child_can_still_write_and_start_threads():
    done = run(
        "thread = threading.Thread(target=os.write, args=(1, b'done'))\nthread.start(); thread.join()\n"
        "os._exit(0)"
    )
    assert (done.stdout, done.returncode) == ("done", 0)


def test_the_kernel_reports_the_sandbox():
    done = run("os._exit(0)", is_confined=False)
    assert done.returncode == 0
    script = "status = open('/proc/self/status')\n" + CONFINED + "print(status.read())"
    done = subprocess.run([sys.executable, "-I", "-c", script], capture_output=True, text=True, check=False)
    assert "NoNewPrivs:\t1" in done.stdout
    assert "Seccomp:\t2" in done.stdout


def test_a_child_that_violates_the_sandbox_is_ended_counted_and_not_retried(hostile, clip, caplog):
    hostile(CONFINED + "socket.socket()")
    before = process.num_sandbox_violations()
    with pytest.raises(InputError) as caught:
        open_clip(clip)
    assert caught.value.kind == "video_decode_failed"
    assert process.num_sandbox_violations() == before + 1
    assert caplog.text.count("forbidden system call") == 1


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_every_jump_of_the_filter_lands_inside_it(machine):
    code = list(struct.iter_unpack("<HBBI", bpf.program(machine)))
    for index, (kind, if_true, if_false, _) in enumerate(code):
        if kind & 7 == 5:
            assert index + 1 + max(if_true, if_false) < len(code)
    assert code[-1][0] == 6


def test_this_kernel_has_the_whole_sandbox():
    assert sandbox.missing() == ()


def test_seccomp_is_missing_on_an_architecture_without_a_table(monkeypatch):
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    assert "seccomp" in sandbox.missing()


def test_landlock_is_missing_on_a_kernel_without_it(monkeypatch):
    monkeypatch.setattr(sandbox, "_landlock_abi", lambda: -1)
    assert sandbox.missing() == ("landlock",)
