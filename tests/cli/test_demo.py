"""`make demo`: the shipped model gives the right answer through the real endpoint."""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_demo_ends_with_the_right_answer_as_json_and_leaves_its_clip(tmp_path):
    environment = {key: value for key, value in os.environ.items() if not key.startswith("OMNIREEL_")}
    ran = subprocess.run(
        [sys.executable, str(ROOT / "tools" / "demo.py")],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        encoding="utf-8",
        timeout=240,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    answer = json.loads(ran.stdout.splitlines()[-1])
    assert set(answer) == {"output", "finish_reason", "usage"}
    assert answer["output"] == "The red circle moves right."
    assert (tmp_path / "clip.mp4").stat().st_size > 1000
    assert "omnireel ask clip.mp4" in ran.stderr
