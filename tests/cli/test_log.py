"""The log that a person sees on a terminal."""

import os
import pty
import re
import subprocess
import sys
import time

import httpx
from served import ENDPOINT_ID, data_uri, make_clip

COLOUR = re.compile(r"\x1b\[[0-9;]*m")


class Terminal:
    """A pseudo-terminal; `lines` are those that a program has written to it so far."""

    def __init__(self):
        self._reader, self.end = pty.openpty()
        os.set_blocking(self._reader, False)
        self._seen = b""

    @property
    def lines(self):
        try:
            while piece := os.read(self._reader, 65_536):
                self._seen += piece
        except OSError:  # nothing more at the moment, or the program has ended
            pass
        return COLOUR.sub("", self._seen.decode()).splitlines()

    def wait_for(self, words):
        deadline = time.monotonic() + 60
        while not (found := [line for line in self.lines if words in line]):
            assert time.monotonic() < deadline, self.lines
            time.sleep(0.02)
        return found[0]


def test_a_terminal_shows_one_readable_line_for_each_request(environment, tmp_path):
    terminal = Terminal()
    command = [
        sys.executable,
        "-c",
        "import omnireel.cli; omnireel.cli.main()",
        "serve",
        "--port",
        "0",
        "--data-dir",
        str(tmp_path),
    ]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=terminal.end
    ) as process:
        try:
            url = re.search(r"url=(\S+)", terminal.wait_for("listening"))[1]
            before = len(terminal.lines)
            with httpx.Client(base_url=url, trust_env=False) as client:
                asked = {"prompt": "hello there", "video_url": data_uri(make_clip())}
                client.post(f"/{ENDPOINT_ID}", json=asked)
                client.get("/none%0D%0A%1B[2Jmore")
                job = client.post(f"/queue/{ENDPOINT_ID}", json=asked).json()
                terminal.wait_for("job ended")
                client.get(job["status_url"])
            terminal.wait_for("/status")
            lines = terminal.lines[before:]
        finally:
            process.kill()
    short = f"{job['request_id'][:8]}…"
    app = ENDPOINT_ID.rpartition("/")[0]
    wanted = [
        rf"POST /{ENDPOINT_ID} 200 in [0-9.]+ s, \d+ tokens in, \d+ out",
        r"GET /none\\r\\n\\x1b\[2Jmore 404 in [0-9.]+ s",
        rf"POST /queue/{ENDPOINT_ID} 200 in [0-9.]+ s",
        rf"job ended +attempt=1 request_id={short} state=succeeded",
        rf"GET /queue/{app}/requests/{short}/status 200 in [0-9.]+ s",
    ]
    shown = sorted(lines)
    assert len(lines) == len(wanted), lines
    for pattern in wanted:
        assert [line for line in shown if re.fullmatch(rf"\d\d:\d\d:\d\d \[info +\] {pattern}", line)], (
            pattern,
            lines,
        )
