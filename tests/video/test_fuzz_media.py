"""A few mutated clips, as `make fuzz-media` has ten thousand of them."""

import json
import subprocess
import sys
from pathlib import Path

FUZZ = Path(__file__).parent.parent / "fuzz_media.py"


def test_mutated_clips_are_read_or_refused_as_documented():
    # A process of its own: memory and intrusions are counted for all children that a process ever had.
    command = [sys.executable, str(FUZZ), "--files", "40", "--seed", "7"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=250, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout.splitlines()[-1])
    assert sum(report["outcomes"].values()) == 40
    assert len(report["outcomes"]) > 1
    assert (report["faults"], report["intrusions"]) == (0, 0)
