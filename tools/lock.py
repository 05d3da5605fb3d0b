"""Write the hashes of every pinned package's files, and what is fetched, into the lock files: `python -m tools.lock`.

Paths as arguments name some of the files.

It needs the package index. The versions stay as they are; pip then refuses any other file. The hashes are those of the
source and of the wheels for Linux on x86-64 and arm64. The megabytes are those of the files that pip chooses here.
torch is in torch.lock without hashes, because it has many builds; `python -m tools.lock --torch` measures two of them.
"""

import json
import re
import sys
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from packaging.tags import Tag, sys_tags
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename

from tools import setup
from tools.download_size import downloads

ROOT = Path(__file__).parents[1]
LOCKS = (*setup.LOCKS.values(), ROOT / "gguf.lock", *ROOT.glob("tests/*/requirements.lock"))
INDEX = "https://pypi.org/simple"
PIN = re.compile(r"([A-Za-z0-9._-]+)==([A-Za-z0-9.!+_-]+)")
PYTHONS = ("cp311", "cp312", "cp313")
PLATFORMS = re.compile(r"any|(many)?linux.*_(x86_64|aarch64)")


def main() -> None:
    """Replace the hashes and figures in the lock files; with --torch, the figures in torch.lock."""
    if "--torch" in sys.argv[1:]:
        measure_torch()
        return
    for path in [Path(named) for named in sys.argv[1:]] or LOCKS:
        write_hashes(path)


def write_hashes(path: Path) -> None:
    """Replace hashes and size in one lock file."""
    lines = [line for line in path.read_text("utf-8").splitlines() if not line.startswith("    --hash")]
    lines = [line.removesuffix(" \\") for line in lines]
    ranks = {tag: rank for rank, tag in enumerate(sys_tags())}
    with ThreadPoolExecutor(8) as pool:
        pinned = list(pool.map(lambda line: wanted_files(line) if PIN.fullmatch(line) else [], lines))
    total = sum(chosen(files, ranks)["size"] for files in pinned if files)
    text = "".join(hashed(line, files) for line, files in zip(lines, pinned, strict=True))
    path.write_text(with_figure(text, "Fetches", total), "utf-8")


def wanted_files(pin: str) -> list[dict[str, Any]]:
    """The files of a pin that may be installed."""
    name, version = pin.split("==")
    found = [file for file in files_of(name) if is_wanted(file["filename"], version)]
    if not found:
        raise SystemExit(f"The index has no file of {pin} for Linux.")
    return found


def chosen(files: list[dict[str, Any]], ranks: dict[Tag, int]) -> dict[str, Any]:
    """The file that pip takes here: the wheel with the best tag, or the source."""

    def rank(file: dict[str, Any]) -> int:
        if not file["filename"].endswith(".whl"):
            return len(ranks)
        return min(ranks.get(tag, len(ranks) + 1) for tag in parse_wheel_filename(file["filename"])[3])

    return min(files, key=rank)


def hashed(line: str, files: list[dict[str, Any]]) -> str:
    """A pin with the hashes of its files. Any other line is returned unchanged."""
    hashes = sorted({file["hashes"]["sha256"] for file in files})
    return " \\\n    ".join([line, *(f"--hash=sha256:{digest}" for digest in hashes)]) + "\n"


def with_figure(text: str, words: str, size: int) -> str:
    """The text with the megabytes after `words` replaced, where `setup.megabytes_of` finds them."""
    replaced, count = re.subn(rf"(?m)^(# {words}) \d+ MB", rf"\1 {round(size / 1e6)} MB", text)
    if count != 1:
        raise SystemExit(f'The lock has no line "# {words} 0 MB", where the size is written.')
    return replaced


def measure_torch() -> None:
    """Replace the figures in torch.lock by what pip would fetch from either index."""
    text, pin = setup.TORCH_LOCK.read_text("utf-8"), f"torch=={setup.torch_version()}"
    locked = {canonicalize_name(name) for name, _ in PIN.findall(setup.LOCKS["runtime"].read_text("utf-8"))}
    for words, index in (("The CPU build fetches", setup.CPU_INDEX), ("PyPI's build fetches", INDEX)):
        found = downloads(Path(sys.executable), "--index-url", index, pin)
        size = sum(one.size for one in found if canonicalize_name(one.name) not in locked)
        text = with_figure(text, words, size)
    setup.TORCH_LOCK.write_text(text, "utf-8")


def files_of(name: str) -> list[dict[str, Any]]:
    """All files of all versions of a package. Source: PEP 691."""
    address = f"{INDEX}/{canonicalize_name(name)}/"
    asked = urllib.request.Request(address, headers={"Accept": "application/vnd.pypi.simple.v1+json"})
    with urllib.request.urlopen(asked, timeout=60) as answer:
        return list(json.load(answer)["files"])


def is_wanted(filename: str, version: str) -> bool:
    """Whether a file has this version and is the source or a wheel for a supported platform."""
    if not filename.endswith(".whl"):
        return filename.endswith((f"-{version}.tar.gz", f"-{version}.zip"))
    try:
        _, found, _, tags = parse_wheel_filename(filename)
    except InvalidWheelFilename:
        return False
    return str(found) == version and any(
        PLATFORMS.fullmatch(tag.platform)
        and (tag.interpreter in PYTHONS or tag.abi == "abi3" or tag.interpreter.startswith("py3"))
        for tag in tags
    )


if __name__ == "__main__":
    main()
