"""Write the hashes of the files of every pinned package into requirements.lock and gguf.lock: `python tools/lock.py`.

It needs the package index. The versions stay as they are; pip then refuses any other file. The hashes are those of the
source and of the wheels for Linux on x86-64 and arm64. torch is in torch.lock without hashes, because it has many
builds.
"""

import json
import re
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename

ROOT = Path(__file__).parents[1]
LOCKS = (ROOT / "requirements.lock", ROOT / "gguf.lock")
INDEX = "https://pypi.org/simple"
PIN = re.compile(r"([A-Za-z0-9._-]+)==([A-Za-z0-9.!+_-]+)")
PYTHONS = ("cp311", "cp312", "cp313")
PLATFORMS = re.compile(r"any|(many)?linux.*_(x86_64|aarch64)")


def main() -> None:
    """Replace the hashes in the lock files."""
    for lock in LOCKS:
        lines = [line for line in lock.read_text("utf-8").splitlines() if not line.startswith("    --hash")]
        with ThreadPoolExecutor(8) as pool:
            lock.write_text("".join(pool.map(hashed, [line.removesuffix(" \\") for line in lines])), "utf-8")


def hashed(line: str) -> str:
    """A pin with the hashes of its files. Any other line is returned unchanged."""
    pin = PIN.fullmatch(line)
    if pin is None:
        return line + "\n"
    hashes = sorted(
        {file["hashes"]["sha256"] for file in files(pin[1]) if is_wanted(file["filename"], pin[2])}
    )
    if not hashes:
        raise SystemExit(f"The index has no file of {line} for Linux.")
    return " \\\n    ".join([line, *(f"--hash=sha256:{digest}" for digest in hashes)]) + "\n"


def files(name: str) -> list[dict[str, Any]]:
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
