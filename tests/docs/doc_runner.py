"""Runs the blocks of one page as a reader would: one directory, one shell, the official clients."""

import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from doc_blocks import Block

BLOCK_S = 120
START_S = 60
# The addresses that the pages name. Tests run beside each other, so each gets ports of its own.
_PORTS = {"8000": "OMNIREEL_PORT", "8443": "OMNIREEL_TLS_PORT"}


class Reader:
    """Somewhere to follow a page.

    folder: where the commands run, with what the page takes for granted; home: a folder that is made, for the files
    of a user; path: the value of PATH
    """

    def __init__(self, folder: Path, home: Path, path: str, variables: Mapping[str, str]) -> None:
        self.folder = folder
        self._state = folder / "variables.sh"
        self._state.write_text("")
        self._running: list[subprocess.Popen[bytes]] = []
        self._ports = {name: str(_free_port()) for name in _PORTS.values()}
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("OMNIREEL_", "FAL_"))}
        home.mkdir()
        # An answer that is an error fails the example.
        (home / ".curlrc").write_text("fail-with-body\n")
        self._environment = kept | {
            "HOME": str(home),
            "PATH": path,
            "no_proxy": "127.0.0.1",
            "NO_COLOR": "1",
            "OMNIREEL_PORT": self._ports["OMNIREEL_PORT"],
            **variables,
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._running:
            os.killpg(process.pid, signal.SIGTERM)
        for process in self._running:
            process.wait(60)

    def run(self, block: Block) -> None:
        """Run the block to its end, or start it. Raises AssertionError where it fails."""
        text = self._with_ports(block.text)
        match block.kind:
            case "sh":
                self._run(text, block)
            case "sh background":
                self._start(text, block)
            case "python":
                (self.folder / "example.py").write_text(text)
                self._run("python example.py", block)
            case "js":
                (self.folder / "example.mjs").write_text(text)
                self._run("node example.mjs", block)
            case _:
                raise AssertionError(f"{block}: nothing runs this")

    def _with_ports(self, text: str) -> str:
        for written, name in _PORTS.items():
            text = text.replace(f"127.0.0.1:{written}", f"127.0.0.1:{self._ports[name]}")
        return text

    def _script(self, text: str) -> list[str]:
        """A shell that has the variables of the blocks before, and keeps its own for those after."""
        state = self._state
        script = f"set -euo pipefail\nset -a\n. '{state}'\n{text}\nset +a\nexport -p > '{state}'\n"
        return ["bash", "-c", script]

    def _run(self, text: str, block: Block) -> None:
        ran = subprocess.run(
            self._script(text),
            cwd=self.folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=BLOCK_S,
            check=False,
        )
        assert ran.returncode == 0, f"{block} failed:\n{ran.stdout.decode()}\n{self._log()}"

    def _start(self, text: str, block: Block) -> None:
        # A port for HTTPS is refused without it.
        https = {"OMNIREEL_TLS_PORT": self._ports["OMNIREEL_TLS_PORT"]} if "--tls" in text else {}
        path = self.folder / f"background-{len(self._running)}.log"
        with path.open("wb") as log:
            process = subprocess.Popen(
                self._script(text),
                cwd=self.folder,
                env=self._environment | https,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._running.append(process)
        ends = time.monotonic() + START_S
        while not self._is_ready(block, path):
            assert process.poll() is None, f"{block} ended:\n{path.read_text()}"
            assert time.monotonic() < ends, f"{block} did not start:\n{path.read_text()}"
            time.sleep(0.1)

    def _is_ready(self, block: Block, log: Path) -> bool:
        if "serve" not in block.text:
            return '"working"' in log.read_text()
        try:
            url = f"http://127.0.0.1:{self._ports['OMNIREEL_PORT']}/health/ready"
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url) as response:
                return response.status == 200
        except (urllib.error.URLError, ConnectionError):
            return False

    def _log(self) -> str:
        texts = [path.read_text() for path in sorted(self.folder.glob("background-*.log"))]
        return "\n".join(text[-2000:] for text in texts)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]
