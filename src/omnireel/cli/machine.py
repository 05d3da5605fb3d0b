"""What this machine has. Linux says most; elsewhere some answers are None."""

import os
import platform
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import torch

_CGROUP = Path("/sys/fs/cgroup")
_COUNTS = re.compile("avx|amx|fma|f16c|arm|sve|neon|vsx|rvv")


@dataclass(frozen=True)
class Machine:
    """cores: that this process may use; instructions: sets of the processor that matter to matmuls;
    available_bytes: of memory, as far as the control group lets us have it; gpu: None without one.
    """

    processor: str
    cores: int
    instructions: tuple[str, ...]
    memory_bytes: int
    available_bytes: int
    gpu: str | None
    free_disk_bytes: int


def this_machine(data_dir: Path, *, cgroup: Path = _CGROUP, meminfo: Path = Path("/proc/meminfo")) -> Machine:
    """data_dir: whose disk is meant; it need not exist."""
    total, available = memory(cgroup, meminfo)
    capabilities = torch.cpu.get_capabilities()
    return Machine(
        processor=platform.machine(),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        instructions=tuple(
            sorted(name for name, has in capabilities.items() if has is True and _COUNTS.match(name))
        ),
        memory_bytes=total,
        available_bytes=available,
        gpu=torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        free_disk_bytes=shutil.disk_usage(existing(data_dir)).free,
    )


def existing(path: Path) -> Path:
    """The nearest place above `path`, or itself, that is there."""
    absolute = path.absolute()
    return next(place for place in (absolute, *absolute.parents) if place.exists())


def memory(cgroup: Path, meminfo: Path) -> tuple[int, int]:
    """Total and available bytes: the machine's, or its control group's (version 2 or 1) if fewer."""
    total, available = _whole_memory(meminfo)
    pairs = (
        ("memory.max", "memory.current"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
    )
    for limit_name, used_name in pairs:
        limit, used = _number(cgroup / limit_name), _number(cgroup / used_name)
        if limit is not None and limit < total:
            # What the page cache holds counts as used, but can be had.
            used = max(0, (used or 0) - _cached(cgroup / Path(limit_name).parent / "memory.stat"))
            return limit, min(available, limit - used)
    return total, available


def _whole_memory(meminfo: Path) -> tuple[int, int]:
    if not meminfo.is_file():
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        return total, total
    lines = (line.split() for line in meminfo.read_text("ascii").splitlines())
    kilobytes = {words[0]: int(words[1]) for words in lines}
    return kilobytes["MemTotal:"] * 1024, kilobytes["MemAvailable:"] * 1024


def _number(path: Path) -> int | None:
    """None where there is no such file, or where it says max."""
    text = path.read_text("ascii").strip() if path.is_file() else ""
    return int(text) if text.isdigit() else None


def _cached(path: Path) -> int:
    lines = path.read_text("ascii").splitlines() if path.is_file() else []
    return sum(int(n) for name, n in (line.split() for line in lines) if name == "inactive_file")
