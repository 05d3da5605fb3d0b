"""Make `.venv` or bring it up to date; `make setup`, `make demo`, `make test` and the others run this.

python3 tools/setup.py runtime      what omnireel, the demo and the documentation's examples need
python3 tools/setup.py development  what tests, checks, benchmarks and training need beside that

It runs before anything is installed, perhaps under a Python that is too old. So it imports the standard library only,
and any Python from 3.7 on can parse it. Everything it prints goes to stderr.
"""

from __future__ import annotations

import argparse
import math
import os
import queue
import re
import shutil
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
PYTHON, PIP = VENV / "bin" / "python", VENV / "bin" / "pip"
LOCKS = {"runtime": ROOT / "requirements.lock", "development": ROOT / "development.lock"}
TORCH_LOCK = ROOT / "torch.lock"
OLDEST = (3, 11)
CPU_INDEX = "https://download.pytorch.org/whl/cpu"
DRIVER = Path("/proc/driver/nvidia/version")
# How long the CPU index may take to answer, with the look-up of its name.
PATIENCE_S = 4.0
MAX_PAGE_BYTES = 8 * 1024 * 1024
# What the estimate assumes, in megabytes a second: a connection of 50 Mbit/s, and unpacking on two slow cores.
FETCHED_MB_S, UNPACKED_MB_S = 50 / 8, 5.0
# An index that answers and then stops must not keep pip for minutes.
FROM_CPU_INDEX = ["--retries", "1", "--timeout", "15", "--index-url"]


class Build(NamedTuple):
    """Where torch is taken from.

    arguments: for pip; megabytes: to fetch, with what torch requires; is_from_cpu_index: or from pip's own, where a
    mirror may have another build; reason: in words
    """

    arguments: list[str]
    megabytes: int
    is_from_cpu_index: bool
    reason: str


def main() -> None:
    """Install one of the two sets."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("set", choices=sorted(LOCKS))
    parser.add_argument("--torch", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--cpu-index", default=CPU_INDEX)
    options = parser.parse_args()
    started = time.monotonic()
    is_new = not (PYTHON.exists() and PIP.exists())  # venv makes pip last, so that half a .venv is made again
    if is_new:
        make_venv()
    fault = python_fault(venv_python()[0], ".venv/bin/python")
    if fault is not None:
        sys.exit(f"{fault}, after removing .venv.")
    if options.set == "runtime":
        install_runtime(torch_build(options.torch, options.cpu_index), is_new)
    else:
        lock = LOCKS["development"]
        announce(
            "development set", 0 if is_installed(lock) else megabytes_of(lock, "Fetches"), is_exact=False
        )
        install_lock(lock)
    say(f"done in {time.monotonic() - started:.0f} s; .venv takes {disk_megabytes(VENV):,} MB of disk.")


def make_venv() -> None:
    """Make `.venv` with this Python. Exits with a sentence where this Python cannot."""
    fault = python_fault(sys.version_info[:3], sys.executable)
    if fault is not None:
        sys.exit(fault)
    say(f"making .venv with Python {'.'.join(map(str, sys.version_info[:3]))}.")
    if subprocess.run([sys.executable, "-m", "venv", str(VENV)], stdout=sys.stderr, check=False).returncode:
        shutil.rmtree(str(VENV), ignore_errors=True)
        sys.exit(
            "setup: Python could not make .venv. On Debian and Ubuntu, install its module for that:"
            f" apt install python{sys.version_info[0]}.{sys.version_info[1]}-venv"
        )


def python_fault(version: tuple[int, ...], executable: str) -> str | None:
    """A sentence where this version of Python is too old, or None."""
    if version[:2] >= OLDEST:
        return None
    return (
        f"setup: omnireel needs Python {'.'.join(map(str, OLDEST))} or newer;"
        f" {executable} is {'.'.join(map(str, version))}. Name another one: make setup PYTHON=python3.12"
    )


def venv_python() -> tuple[tuple[int, ...], str]:
    """The version of the Python in `.venv`, and its machine, such as x86_64."""
    ask = "import platform, sys; print(*sys.version_info[:3], platform.machine())"
    *version, machine = subprocess.check_output([str(PYTHON), "-c", ask]).decode().split()
    return tuple(map(int, version)), machine


def torch_build(wanted: str, cpu_index: str) -> Build | None:
    """Which build of torch to install, or None where the pinned version is installed."""
    version = torch_version()
    if installed().get("torch", "").partition("+")[0] == version:  # 2.13.0+cpu is a build of 2.13.0
        return None
    pips_own = Build(["-r", str(TORCH_LOCK)], megabytes_of(TORCH_LOCK, "PyPI's build fetches"), False, "")
    if wanted == "cuda":
        return pips_own._replace(reason="TORCH=cuda: torch comes from pip's own index.")
    driver = nvidia_driver() if wanted == "auto" else None
    if driver is not None:
        return pips_own._replace(reason=f"{driver} is there: torch comes from pip's own index.")
    fault = cpu_index_fault(cpu_index, version)
    if fault is not None:
        return pips_own._replace(
            reason=f"{cpu_index}: {fault}. torch comes from pip's own index,"
            " whose build may bring CUDA libraries that omnireel does not use."
        )
    arguments = [*FROM_CPU_INDEX, cpu_index, f"torch=={version}"]
    megabytes = megabytes_of(TORCH_LOCK, "The CPU build fetches")
    return Build(arguments, megabytes, True, f"torch comes from {cpu_index}.")


def torch_version() -> str:
    """The version that torch.lock pins."""
    found = re.search(r"^torch==(\S+)$", TORCH_LOCK.read_text("utf-8"), re.MULTILINE)
    assert found is not None, f"{TORCH_LOCK} pins no torch"
    return found[1]


def installed() -> dict[str, str]:
    """The packages in `.venv`: canonical name → version."""
    ask = "import importlib.metadata as m; print(*(d.name + '==' + d.version for d in m.distributions()))"
    return pins(subprocess.check_output([str(PYTHON), "-c", ask]).decode().split())


def pins(lines: list[str]) -> dict[str, str]:
    """What lines such as `name==1.0` pin: canonical name → version."""
    found = (re.match(r"([\w.-]+)==([^\s;]+)", line) for line in lines)
    return {re.sub(r"[-_.]+", "-", pin[1]).lower(): pin[2] for pin in found if pin is not None}


def is_installed(lock: Path) -> bool:
    """Whether `.venv` has every package that a lock pins."""
    return pins(lock.read_text("utf-8").splitlines()).items() <= installed().items()


def nvidia_driver() -> str | None:
    """What shows that this machine has an NVIDIA driver, or None."""
    return str(DRIVER) if DRIVER.exists() else shutil.which("nvidia-smi")


def cpu_index_fault(index: str, version: str) -> str | None:
    """Why the index cannot be used, within PATIENCE_S; None where it has this version for this machine."""
    answers: queue.Queue[str | OSError | ValueError] = queue.Queue()
    # A thread, because looking up a name cannot be interrupted.
    threading.Thread(target=_read_page, args=(f"{index.rstrip('/')}/torch/", answers), daemon=True).start()
    try:
        page = answers.get(timeout=PATIENCE_S)
    except queue.Empty:
        return f"no answer within {PATIENCE_S:.0f} s"
    if not isinstance(page, str):
        return f"no page ({page.reason if type(page) is urllib.error.URLError else page})"
    python, machine = venv_python()
    tag = f"cp{python[0]}{python[1]}"
    wheel = rf"torch-{re.escape(version)}(\+|%2B)cpu-{tag}-\w+-\w*{machine}\.whl"
    if re.search(wheel, page, re.IGNORECASE) is None:
        return f"no torch {version} for {tag} on {machine}"
    return None


def _read_page(address: str, answers: queue.Queue[str | OSError | ValueError]) -> None:
    try:
        with urllib.request.urlopen(address, timeout=PATIENCE_S) as response:
            answers.put(response.read(MAX_PAGE_BYTES).decode("utf-8", "replace"))
    except (OSError, ValueError) as error:  # ValueError: not an address
        answers.put(error)


def install_runtime(torch: Build | None, is_new: bool) -> None:
    """Install the locked packages, torch and omnireel itself, so that it runs from this directory."""
    lock = LOCKS["runtime"]
    if torch is not None:
        say(torch.reason)
    megabytes = 0 if is_installed(lock) else megabytes_of(lock, "Fetches")
    megabytes += torch.megabytes if torch is not None else 0
    announce("run-time set", megabytes, is_exact=is_new and torch is not None and torch.is_from_cpu_index)
    install_lock(lock)
    if torch is not None and pip(*torch.arguments):
        if not torch.is_from_cpu_index:
            sys.exit("setup: pip could not install torch; the lines above say why.")
        say("the CPU index answered, but torch could not be installed from it. Trying pip's own index.")
        pip_or_exit("-r", str(TORCH_LOCK))
    # setuptools is among the locked packages.
    pip_or_exit("--no-deps", "--no-build-isolation", "--editable", str(ROOT))


def install_lock(lock: Path) -> None:
    """Install what a lock pins, and nothing else. Where all of it is there, pip is not asked, which would list it."""
    if is_installed(lock):
        return
    pip_or_exit("--require-hashes", "--no-deps", "--requirement", str(lock))


def pip_or_exit(*arguments: str) -> None:
    """Run pip. Exits where it fails."""
    if pip(*arguments):
        sys.exit(f"setup: pip install {' '.join(arguments)} failed; the lines above say why.")


def pip(*arguments: str) -> int:
    """Run `pip install`; it shows its progress. Returns the exit code."""
    command = [str(PYTHON), "-m", "pip", "--disable-pip-version-check", "install", *arguments]
    return subprocess.run(command, stdout=sys.stderr, check=False).returncode


def megabytes_of(lock: Path, words: str) -> int:
    """The figure after `words` in the comments of a lock, which `tools/lock.py` writes."""
    found = re.search(rf"^# {words} (\d+) MB", lock.read_text("utf-8"), re.MULTILINE)
    assert found is not None, f"{lock} does not say how much it fetches. Run `python -m tools.lock`."
    return int(found[1])


def announce(what: str, megabytes: int, is_exact: bool) -> None:
    """Say how much will be fetched, and about how long that takes."""
    if megabytes == 0:
        say(f"{what}: all packages are there.")
        return
    minutes = math.ceil(megabytes * (1 / FETCHED_MB_S + 1 / UNPACKED_MB_S) / 60)
    at_most = "" if is_exact else "at most "
    say(f"{what}: {at_most}{megabytes:,} MB to fetch, about {minutes} min at 50 Mbit/s.")


def say(line: str) -> None:
    """Print one line to stderr."""
    print(f"setup: {line}", file=sys.stderr, flush=True)


def disk_megabytes(folder: Path) -> int:
    """What the files of a folder take."""
    sizes = (
        os.lstat(os.path.join(place, name)).st_size
        for place, _, names in os.walk(str(folder))
        for name in names
    )
    return sum(sizes) // 1_000_000


if __name__ == "__main__":
    main()
