"""fal's JavaScript client, installed for Node from the lock file in `js`."""

import shutil
import subprocess
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent / "js"


def node_path() -> str:
    """Node's path; the test fails where Node or npm is missing."""
    paths = {name: shutil.which(name) for name in ("node", "npm")}
    if None in paths.values():
        pytest.fail("fal's JavaScript client is tested on Node 20 or newer, which brings npm: install it")
    return str(paths["node"])


def install_client() -> Path:
    """The folder whose `node_modules` has the client; installed unless that is up to date."""
    node_path()
    installed = FOLDER / "node_modules" / ".package-lock.json"
    lock = FOLDER / "package-lock.json"
    if not installed.exists() or installed.stat().st_mtime < lock.stat().st_mtime:
        command = ["npm", "ci", "--no-audit", "--no-fund"]
        ran = subprocess.run(command, cwd=FOLDER, capture_output=True, timeout=240, check=False)
        assert ran.returncode == 0, ran.stderr.decode()
    return FOLDER
