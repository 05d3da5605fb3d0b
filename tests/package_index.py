"""A package index on loopback (PEP 503), with wheels of a few hundred bytes."""

import base64
import functools
import hashlib
import http.server
import platform
import sys
import threading
import zipfile
from pathlib import Path
from typing import Self

PYTHON = f"cp{sys.version_info[0]}{sys.version_info[1]}"
THIS_MACHINE = f"{PYTHON}-{PYTHON}-manylinux_2_28_{platform.machine()}"


class PackageIndex:
    """Serves a folder. Each `add` makes a wheel and lists it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        handler = functools.partial(_Quiet, directory=str(folder))
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def add(
        self,
        index: str,
        name: str,
        version: str,
        *,
        tag: str = "py3-none-any",
        requires: tuple[str, ...] = (),
    ):
        """Put a wheel into the index below `index`. Returns its path."""
        folder = self._folder / index / name
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{name.replace('-', '_')}-{version}-{tag}.whl"
        write_wheel(path, name, version, tag=tag, requires=requires)
        links = [
            f'<a href="{wheel.name.replace("+", "%2B")}">{wheel.name}</a>' for wheel in folder.glob("*.whl")
        ]
        (folder / "index.html").write_text("<!DOCTYPE html><html><body>" + "".join(links) + "</body></html>")
        return path


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Write nothing to stderr."""


def write_wheel(path: Path, name: str, version: str, *, tag: str, requires: tuple[str, ...]) -> None:
    """Write a wheel with one empty module."""
    module = name.replace("-", "_")
    info = f"{module}-{version}.dist-info"
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    lines += [f"Requires-Dist: {requirement}" for requirement in requires]
    files = {
        f"{module}.py": "",
        f"{info}/METADATA": "\n".join(lines) + "\n",
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: {tag}\n",
    }
    record = "".join(f"{name},sha256={_digest(text)},{len(text)}\n" for name, text in files.items())
    with zipfile.ZipFile(path, "w") as wheel:
        for file, text in files.items():
            wheel.writestr(file, text)
        wheel.writestr(f"{info}/RECORD", f"{record}{info}/RECORD,,\n")


def _digest(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip("=")
