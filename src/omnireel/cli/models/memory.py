"""How much memory this process may use."""

from pathlib import Path

# Memory needed besides the weights: the vision tower's activations, the prompt's embeddings, the server itself.
OVERHEAD_BYTES = 1_500_000_000


def total_memory() -> int:
    """Bytes in all; in a container, its limit if that is lower."""
    limit, total = _number("memory.max"), _facts()["MemTotal"]
    return total if limit is None else min(limit, total)


def available_memory() -> int:
    """Bytes that are available now, within a container's limit."""
    limit, facts = _number("memory.max"), _facts()
    if limit is None or limit >= facts["MemTotal"]:
        return facts["MemAvailable"]
    return min(facts["MemAvailable"], max(0, limit - (_number("memory.current") or 0)))


def _facts() -> dict[str, int]:
    lines = Path("/proc/meminfo").read_text("ascii").splitlines()
    return {line.partition(":")[0]: int(line.split()[1]) * 1024 for line in lines}


def _number(name: str) -> int | None:
    path = Path("/sys/fs/cgroup") / name
    text = path.read_text("ascii").strip() if path.exists() else "max"
    return int(text) if text.isdecimal() else None
