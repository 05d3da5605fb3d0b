"""Set-up chooses the build of torch that fits the machine, goes on without the CPU index, and checks Python first."""

import ast
import contextlib
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from package_index import PYTHON, THIS_MACHINE, PackageIndex

from tools import setup
from tools.download_size import downloads

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "tools" / "setup.py"
TORCH = setup.torch_version()


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    """`cpu`: PyTorch's CPU index; `pypi`: PyPI, whose torch brings CUDA; `older`, `other`: without the build wanted."""
    with PackageIndex(tmp_path_factory.mktemp("index")) as served:
        served.add("cpu", "torch", f"{TORCH}+cpu", tag=THIS_MACHINE)
        served.add("pypi", "torch", TORCH, tag=THIS_MACHINE, requires=("nvidia-cublas==13.1", "triton==3.7"))
        served.add("pypi", "nvidia-cublas", "13.1")
        served.add("pypi", "triton", "3.7")
        served.add("older", "torch", "2.1.0+cpu", tag=THIS_MACHINE)
        served.add("other", "torch", f"{TORCH}+cpu", tag=THIS_MACHINE.replace(PYTHON, "cp39"))
        yield served


@pytest.fixture(autouse=True)
def machine(monkeypatch, tmp_path):
    """A machine without torch and without an NVIDIA driver, with the Python of the tests in `.venv`."""
    monkeypatch.setattr(setup, "PYTHON", Path(sys.executable))
    monkeypatch.setattr(setup, "DRIVER", tmp_path / "version")
    monkeypatch.setattr(setup, "installed", dict)
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


@contextlib.contextmanager
def listener():
    """The address of a port that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def closed_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    return f"http://127.0.0.1:{port}"


def fetched(build, index, monkeypatch):
    """The packages that pip would fetch for a build, where `pypi` is its own index."""
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_INDEX_URL", f"{index.url}/pypi")
    for name in ("PIP_FIND_LINKS", "PIP_EXTRA_INDEX_URL", "PIP_CONSTRAINT"):
        monkeypatch.delenv(name, raising=False)
    found = downloads(Path(sys.executable), *build.arguments)
    assert all(one.size > 0 for one in found)
    return {one.name: one.version for one in found}


def test_without_a_driver_the_cpu_build_is_taken_and_no_cuda_library(index, monkeypatch):
    build = setup.torch_build("auto", f"{index.url}/cpu")
    assert fetched(build, index, monkeypatch) == {"torch": f"{TORCH}+cpu"}
    assert build.megabytes < 300
    assert index.url in build.reason


def test_without_the_cpu_index_pips_own_is_taken_with_what_it_requires(index, monkeypatch):
    build = setup.torch_build("auto", closed_port())
    assert fetched(build, index, monkeypatch) == {"torch": TORCH, "nvidia-cublas": "13.1", "triton": "3.7"}
    assert build.megabytes > 2000
    assert "refused" in build.reason
    assert "CUDA" in build.reason


@pytest.mark.parametrize("page", ["older", "other", "missing"])
def test_an_index_that_lacks_the_build_is_passed_over(index, page):
    build = setup.torch_build("cpu", f"{index.url}/{page}")
    assert not build.is_from_cpu_index
    assert ("404" if page == "missing" else f"no torch {TORCH} for {PYTHON}") in build.reason


def test_an_index_that_never_answers_is_passed_over_in_time(monkeypatch):
    monkeypatch.setattr(setup, "PATIENCE_S", 0.3)
    with listener() as address:
        started = time.monotonic()
        build = setup.torch_build("auto", address)
        assert time.monotonic() - started < 20
    assert not build.is_from_cpu_index
    assert "no answer within" in build.reason or "timed out" in build.reason


def test_a_name_that_takes_too_long_to_resolve_does_not_hold_set_up(monkeypatch):
    monkeypatch.setattr(setup, "PATIENCE_S", 0.1)
    may_end = threading.Event()

    def resolve(*_, **__):
        may_end.wait(60)
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    started = time.monotonic()
    fault = setup.cpu_index_fault("https://download.invalid/whl/cpu", TORCH)
    may_end.set()
    assert fault == "no answer within 0 s"
    assert time.monotonic() - started < 20


@pytest.mark.parametrize("address", ["https://download.invalid/whl/cpu", "no-address", "http://[::1"])
def test_an_address_that_leads_nowhere_is_passed_over(address):
    assert not setup.torch_build("auto", address).is_from_cpu_index


def test_patience_is_a_few_seconds():
    assert setup.PATIENCE_S <= 5


def test_with_a_driver_torch_comes_from_pips_own_index(index, machine):
    (machine / "version").write_text("NVRM version: NVIDIA UNIX x86_64 Kernel Module")
    assert setup.torch_build("auto", f"{index.url}/cpu").arguments == ["-r", str(ROOT / "torch.lock")]
    assert setup.torch_build("cpu", f"{index.url}/cpu").is_from_cpu_index


def test_nvidia_smi_shows_a_driver_as_well(index, machine):
    program = machine / "nvidia-smi"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    build = setup.torch_build("auto", f"{index.url}/cpu")
    assert not build.is_from_cpu_index
    assert "nvidia-smi is there" in build.reason


def test_the_cuda_build_can_be_asked_for(index):
    assert not setup.torch_build("cuda", f"{index.url}/cpu").is_from_cpu_index


def test_the_pinned_torch_is_not_installed_again(monkeypatch):
    monkeypatch.setattr(setup, "installed", lambda: {"torch": f"{TORCH}+cpu"})
    assert setup.torch_build("auto", closed_port()) is None
    monkeypatch.setattr(setup, "installed", lambda: {"torch": "2.1.0+cpu"})
    assert setup.torch_build("auto", closed_port()) is not None


def run_script(folder, version):
    """Run a copy of the script in an empty project, under a Python that says it has this version."""
    (folder / "tools").mkdir()
    copy = shutil.copy(SCRIPT, folder / "tools")
    code = (
        f"import runpy, sys; sys.version_info = {version}; runpy.run_path({str(copy)!r}, run_name='__main__')"
    )
    command = [sys.executable, "-c", f"import sys; sys.argv = ['setup.py', 'runtime']; {code}"]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def test_an_old_python_is_named_before_anything_is_made(tmp_path):
    ran = run_script(tmp_path, (3, 10, 2, "final", 0))
    assert ran.returncode == 1
    expected = f"omnireel needs Python 3.11 or newer; {sys.executable} is 3.10.2. Name another one: make setup PYTHON="
    assert expected in ran.stderr
    assert not (tmp_path / ".venv").exists()


def test_an_old_python_can_read_the_script_and_has_its_modules():
    tree = ast.parse(SCRIPT.read_text("utf-8"), feature_version=(3, 7))
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name.partition(".")[0] for name in names} <= sys.stdlib_module_names


def test_the_oldest_python_is_the_one_that_the_package_names():
    declared = re.search(r'requires-python = ">=3\.(\d+)"', (ROOT / "pyproject.toml").read_text("utf-8"))
    assert declared is not None
    assert (3, int(declared[1])) == setup.OLDEST


def test_what_is_fetched_is_said_with_a_time(capsys):
    setup.announce("run-time set", 281, is_exact=True)
    assert capsys.readouterr().err == "setup: run-time set: 281 MB to fetch, about 2 min at 50 Mbit/s.\n"


def made(target):
    """What make would run for a target in a new clone."""
    command = ["/usr/bin/env", "make", "-n", "-B", target, "TORCH=cpu", "TORCH_CPU_INDEX=http://index"]
    return subprocess.run(
        command, cwd=ROOT, env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True, check=True
    ).stdout


@pytest.mark.parametrize("target", ["setup", "demo", "serve"])
def test_running_needs_the_run_time_set_alone(target):
    lines = made(target)
    assert "tools/setup.py runtime --torch cpu --cpu-index http://index" in lines
    assert "development" not in lines


@pytest.mark.parametrize("target", ["test", "check", "setup-development"])
def test_developing_needs_both_sets(target):
    lines = made(target)
    assert lines.index("tools/setup.py runtime") < lines.index("tools/setup.py development")


def test_help_has_a_line_for_every_target():
    text = (ROOT / "Makefile").read_text("utf-8")
    targets = set(re.findall(r"^([a-z-]+):", text, re.MULTILINE))
    lines = subprocess.run(
        ["/usr/bin/env", "make"],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    assert {line.split()[1] for line in lines} == targets
    assert all(len(line.split()) > 2 for line in lines)
