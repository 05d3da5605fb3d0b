"""fal's JavaScript client, installed for Node from the lock file in `js`."""

import shutil
import subprocess
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent / "js"


def node_path() -> str:
    """The path of Node. The test fails if Node or npm is missing."""
    paths = {name: shutil.which(name) for name in ("node", "npm")}
    if None in paths.values():
        pytest.fail("The tests of fal's JavaScript client need Node 20 or newer with npm. Install it.")
    return str(paths["node"])


def install_client() -> Path:
    """Install the client, if it is not up to date. Returns the folder whose `node_modules` has it."""
    node_path()
    installed = FOLDER / "node_modules" / ".package-lock.json"
    lock = FOLDER / "package-lock.json"
    if not installed.exists() or installed.stat().st_mtime < lock.stat().st_mtime:
        command = ["npm", "ci", "--no-audit", "--no-fund"]
        ran = subprocess.run(command, cwd=FOLDER, capture_output=True, timeout=240, check=False)
        assert ran.returncode == 0, ran.stderr.decode()
    return FOLDER
