"""A few of the mutated clips of which `make fuzz-media` reads ten thousand."""

import json
import subprocess
import sys
from pathlib import Path

FUZZ = Path(__file__).parent.parent / "fuzz_media.py"


def test_mutated_clips_are_read_or_refused_as_documented():
    # In a separate process, because memory and sandbox violations are counted over all children of a process.
    command = [sys.executable, str(FUZZ), "--files", "40", "--seed", "7"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=250, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout.splitlines()[-1])
    assert sum(report["outcomes"].values()) == 40
    assert len(report["outcomes"]) > 1
    assert (report["faults"], report["sandbox_violations"]) == (0, 0)
