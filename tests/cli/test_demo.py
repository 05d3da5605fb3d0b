"""`make demo`: the shipped model gives the right answer through the real endpoint."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tools.demo import wait_until_ready

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
    assert ran.stderr.index("The clip is in") < ran.stderr.index("Starting omnireel serve")


@pytest.mark.parametrize(
    ("end", "deadline_s", "reason"),
    [
        ("raise SystemExit(3)", 60, "ended with code 3"),
        ("time.sleep(60)", 0, r"did not start within 0 s \(a busy machine\? run it again\)"),
    ],
)
def test_a_demo_whose_server_is_not_there_says_why_with_the_end_of_its_log(tmp_path, end, deadline_s, reason):
    log = tmp_path / "server.log"
    log.write_text("first\n" * 50 + "no port is free\n")
    command = [sys.executable, "-c", f"import time; {end}"]
    with subprocess.Popen(command) as server:
        with pytest.raises(SystemExit, match=rf"The server {reason}[^$]*no port is free$"):
            wait_until_ready("http://127.0.0.1:9", server, log, deadline_s)
        server.kill()
