"""What pip would fetch, without fetching it: `python -m tools.download_size torch==2.13.0`, and any option of pip."""

import json
import subprocess
import sys
import tempfile
import urllib.request
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Download:
    """One file that pip would fetch; size: in bytes."""

    name: str
    version: str
    size: int


def main() -> None:
    """Print a line for each file, the largest first, and the sum."""
    found = downloads(Path(sys.executable), *sys.argv[1:])
    for one in sorted(found, key=lambda one: -one.size):
        print(f"{one.size / 1e6:10,.1f} MB  {one.name} {one.version}")
    print(f"{sum(one.size for one in found) / 1e6:10,.1f} MB  in {len(found)} files")


def downloads(python: Path, *arguments: str) -> list[Download]:
    """What `pip install` would fetch with these arguments, were nothing installed and no file at hand.

    python: the interpreter it is for
    """
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.json")
        command = [str(python), "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--dry-run"]
        command += ["--ignore-installed", "--report", str(report), *arguments]
        subprocess.run(command, stdout=sys.stderr, check=True)
        items = json.loads(report.read_text("utf-8"))["install"]
    return [
        Download(item["metadata"]["name"], item["metadata"]["version"], _size(item["download_info"]["url"]))
        for item in items
    ]


def _size(address: str) -> int:
    request = urllib.request.Request(address, method="HEAD")
    with urllib.request.urlopen(request, timeout=60) as response:
        return int(response.headers["Content-Length"])


if __name__ == "__main__":
    main()
