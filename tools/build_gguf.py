"""Build llama-cpp-python for this machine and install it here: `python tools/build_gguf.py`, or `make gguf`.

It is compiled for the instructions that this processor has, but never for AMX: such a build crashes with Q8_0. The
wheels are kept by version and flags, so that the next time takes seconds. CMAKE_ARGS adds flags, such as
-DGGML_CUDA=ON. Versions and hashes are in gguf.lock.
"""

import hashlib
import json
import os
import platform
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from importlib.metadata import distributions
from pathlib import Path

LOCK = Path(__file__).parents[1] / "gguf.lock"
# Flag of the build → the flags in /proc/cpuinfo that it needs.
INSTRUCTIONS = {
    "GGML_SSE42": {"sse4_2"},
    "GGML_AVX": {"avx"},
    "GGML_AVX2": {"avx2"},
    "GGML_BMI2": {"bmi2"},
    "GGML_FMA": {"fma"},
    "GGML_F16C": {"f16c"},
    "GGML_AVX_VNNI": {"avx_vnni"},
    "GGML_AVX512": {"avx512f", "avx512cd", "avx512bw", "avx512dq", "avx512vl"},
    "GGML_AVX512_VBMI": {"avx512vbmi"},
    "GGML_AVX512_VNNI": {"avx512_vnni"},
    "GGML_AVX512_BF16": {"avx512_bf16"},
}
NEVER = ("GGML_AMX_TILE", "GGML_AMX_INT8", "GGML_AMX_BF16")
NOT_NEEDED = ("LLAVA_BUILD",)  # its own reader of pictures and sound


def main() -> None:
    """Build where no wheel is kept, and install."""
    flags = build_flags(processor_flags(), platform.machine()) + shlex.split(os.environ.get("CMAKE_ARGS", ""))
    directory = wheel_directory(flags, os.environ)
    if not any(directory.glob("llama_cpp_python-*.whl")):
        print(
            f"building llama-cpp-python with {' '.join(flags)}; this takes minutes",
            file=sys.stderr,
            flush=True,
        )
        build(flags, directory)
    wheels = [str(path) for path in sorted(directory.glob("*.whl"))]
    # pip leaves a package of the same version alone, also where it was built with other flags.
    again = () if is_installed(directory) else ("--force-reinstall",)
    pip("install", "--no-deps", "--no-index", *again, *wheels)
    print(f"installed from {directory}")


def processor_flags(path: Path = Path("/proc/cpuinfo")) -> set[str]:
    """The instruction sets of this processor, as Linux names them; empty where it does not say."""
    lines = path.read_text("ascii", "replace").splitlines() if path.exists() else []
    return next((set(line.partition(":")[2].split()) for line in lines if line.startswith("flags")), set())


def build_flags(found: set[str], machine: str) -> list[str]:
    """CMake's flags for a processor. Where it is no x86-64, or names no flags, the compiler looks at it itself."""
    off = [f"-D{name}=OFF" for name in (*NEVER, *NOT_NEEDED)]
    if machine not in ("x86_64", "AMD64") or not found:
        return off
    chosen = [f"-D{name}={'ON' if needed <= found else 'OFF'}" for name, needed in INSTRUCTIONS.items()]
    return ["-DGGML_NATIVE=OFF", *chosen, *off]


def wheel_directory(flags: list[str], environ: Mapping[str, str]) -> Path:
    """Where the wheels of these flags, this Python and the locked versions are kept."""
    cache = Path(environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    kind = [
        sys.implementation.cache_tag,
        platform.system(),
        platform.machine(),
        *flags,
        LOCK.read_text("utf-8"),
    ]
    return (
        cache
        / "omnireel"
        / "wheels"
        / f"{locked_version()}-{hashlib.sha256(repr(kind).encode()).hexdigest()[:16]}"
    )


def locked_version() -> str:
    """The version of llama-cpp-python in gguf.lock."""
    pin = re.search(r"^llama-cpp-python==(\S+)", LOCK.read_text("utf-8"), re.MULTILINE)
    if pin is None:
        raise SystemExit(f"{LOCK} does not pin llama-cpp-python.")
    return pin[1]


def is_installed(directory: Path, site: Path | None = None) -> bool:
    """Whether the installed package came from the wheel in `directory`. site: where packages lie, if not here"""
    found = distributions(name="llama_cpp_python", path=[str(site)] if site else sys.path)
    origins = (json.loads(each.read_text("direct_url.json") or "{}").get("url", "") for each in found)
    return any(origin.startswith(f"{directory.as_uri()}/") for origin in origins)


def build(flags: list[str], directory: Path) -> None:
    """Compile the wheels into `directory`, which appears when they are complete."""
    directory.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=directory.parent) as unfinished:
        environ = {"CMAKE_BUILD_PARALLEL_LEVEL": str(os.cpu_count() or 1)} | os.environ
        environ["CMAKE_ARGS"] = shlex.join(flags)
        source = ("--no-binary", "llama-cpp-python", "--no-cache-dir")
        locked = ("--require-hashes", "--no-deps", "-r", str(LOCK))
        pip("wheel", *source, *locked, "-w", unfinished, environ=environ)
        Path(unfinished, "flags.txt").write_text("\n".join(flags) + "\n", "utf-8")
        directory.mkdir(exist_ok=True)
        for path in sorted(Path(unfinished).iterdir(), key=lambda path: path.name.startswith("llama")):
            path.rename(directory / path.name)


def pip(*arguments: str, environ: Mapping[str, str] | None = None) -> None:
    """Run pip of this Python. Exits where it fails."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", *arguments]
    if subprocess.run(command, env=environ, check=False).returncode:
        raise SystemExit(f"pip {arguments[0]} failed. A build needs a C++ compiler and CMake.")


if __name__ == "__main__":
    main()
