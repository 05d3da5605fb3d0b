"""`make test-install`: omnireel is installed as the documentation says, and then used as it says.

It takes minutes and needs the package indexes of Python and npm, so it is not part of `make test`.
"""

import dataclasses
import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from package_index import THIS_MACHINE, PackageIndex, write_wheel

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "tests" / "docs"))

from doc_blocks import blocks_of  # noqa: E402  they lie beside the tests of the pages
from doc_runner import Reader  # noqa: E402

INSTALL_S = 1800
pytestmark = pytest.mark.timeout(INSTALL_S)
# Of the environment: our settings, fal's, another virtual environment, and what make gives to the commands it runs.
FOREIGN = ("OMNIREEL_", "FAL_", "VIRTUAL_", "MAKE", "MFLAGS")
QUESTION = "Which way does the red circle move?"


def run(*command, cwd, **variables):
    """Run a command without the settings and the environment of these tests. Returns what it printed to stdout."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(FOREIGN)}
    ran = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env=kept | variables,
        capture_output=True,
        text=True,
        timeout=INSTALL_S,
        check=False,
    )
    assert ran.returncode == 0, f"{command}\n{ran.stdout[-3000:]}\n{ran.stderr[-3000:]}"
    return ran.stdout


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """A fresh clone of what is committed."""
    path = tmp_path_factory.mktemp("fresh") / "omnireel"
    run("git", "clone", "--quiet", ROOT, path, cwd=ROOT)
    return path


@pytest.fixture(scope="module")
def demo(clone):
    """What `make demo` prints in the clone."""
    return run("make", "demo", cwd=clone)


def test_the_first_command_answers(demo, clone):
    answer = json.loads(demo.splitlines()[-1])
    assert answer["output"] == "The red circle moves right."
    assert (clone / "clip.mp4").exists()


def test_only_what_runs_was_installed(demo, clone):
    python = clone / ".venv" / "bin" / "python"
    listed = run(python, "-m", "pip", "list", "--format", "freeze", cwd=clone).splitlines()
    packages = {line.partition("==")[0] for line in listed}
    assert packages >= {"omnireel", "torch", "fal_client"}
    assert not packages & {"pytest", "transformers", "ruff", "procrastinate"}


def test_every_command_of_the_readme_works_after_it(demo, clone, tmp_path):
    """In the clone, from top to bottom; the addresses' ports are free ones."""
    readme = clone / "README.md"
    assert "`npm install @fal-ai/client`" in readme.read_text("utf-8")
    run("npm", "install", "@fal-ai/client", "--no-audit", "--no-fund", cwd=clone)
    with Reader(clone, tmp_path / "home", os.environ["PATH"], {}) as reader:
        for block in blocks_of(ROOT / "README.md"):
            reader.run(dataclasses.replace(block, kind=block.kind.replace("sh parse-only", "sh")))


@pytest.fixture(scope="module")
def wheel(demo, clone):
    """The wheel, built from nothing but the files that the image copies."""
    context = clone.parent / "context"
    context.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(clone / name, context)
    source = shutil.copytree(clone / "src", context / "src", ignore=shutil.ignore_patterns("*.egg-info"))
    assert source.is_dir()
    pip = (clone / ".venv" / "bin" / "python", "-m", "pip")
    run(*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", "dist", ".", cwd=context)
    return next((context / "dist").glob("*.whl"))


@pytest.fixture(scope="module")
def locked(demo, clone):
    """What the clone has installed, without omnireel itself: a folder for the path of another environment."""
    folder = clone.parent / "packages"
    folder.mkdir()
    for path in site_packages(clone / ".venv").iterdir():
        if "omnireel" not in path.name:
            (folder / path.name).symlink_to(path)
    return folder


def site_packages(venv):
    return next((venv / "lib").glob("python*/site-packages"))


def make_venv(path, locked):
    """An environment that sees the locked packages, with the pip among them."""
    run(sys.executable, "-m", "venv", "--without-pip", path, cwd=locked)
    (site_packages(path) / "locked.pth").write_text(f"{locked}\n")


def test_the_wheel_works_in_another_environment_and_directory(wheel, locked, clone, tmp_path):
    """pip finds each requirement among the locked packages, or fails."""
    venv = tmp_path / "venv"
    make_venv(venv, locked)
    run(venv / "bin" / "python", "-m", "pip", "install", "--no-index", wheel, cwd=tmp_path)
    works(venv / "bin" / "omnireel", clone / "clip.mp4", tmp_path)


def test_pipx_installs_a_checkout(locked, clone, tmp_path):
    """Into an environment that has its dependencies (--force), because fetching them again takes minutes."""
    folders = {name: str(tmp_path / name) for name in ("PIPX_HOME", "PIPX_BIN_DIR", "PIPX_MAN_DIR")}
    venvs = tmp_path / "PIPX_HOME" / "venvs"
    venvs.mkdir(parents=True)
    make_venv(venvs / "omnireel", locked)
    pipx = Path(sys.executable).with_name("pipx")
    run(pipx, "install", "--force", "--pip-args=--no-deps", ".", cwd=clone, **folders)
    works(tmp_path / "PIPX_BIN_DIR" / "omnireel", clone / "clip.mp4", tmp_path)


def works(omnireel, clip, folder):
    """`omnireel` answers from a directory that is not its own."""
    home = {"HOME": str(folder)}
    assert run(omnireel, "--version", cwd=folder, **home).startswith("omnireel 0.")
    assert "demo" in run(omnireel, "doctor", cwd=folder, **home)
    answer = run(omnireel, "ask", clip, QUESTION, "--json", "--temperature", "0", cwd=folder, **home)
    assert json.loads(answer)["output"] == "The red circle moves right."


@pytest.fixture
def project(tmp_path):
    """A project with locks of tiny packages, and the index that has them. Its torch brings a CUDA library."""
    with PackageIndex(tmp_path) as index:
        small = index.add("pypi", "small", "1.0")
        for package, requires in (("torch", ("nvidia-cublas==13.1",)), ("nvidia-cublas", ())):
            index.add("pypi", package, "13.1" if requires == () else "2.0", requires=requires)
        index.add("cpu", "torch", "2.0+cpu", tag=THIS_MACHINE)
        folder = tmp_path / "project"
        (folder / "tools").mkdir(parents=True)
        shutil.copy(ROOT / "tools" / "setup.py", folder / "tools")
        digest = hashlib.sha256(small.read_bytes()).hexdigest()
        (folder / "requirements.lock").write_text(f"# Fetches 1 MB\nsmall==1.0 --hash=sha256:{digest}\n")
        (folder / "torch.lock").write_text(
            "# The CPU build fetches 2 MB\n# PyPI's build fetches 4 MB\ntorch==2.0\n"
        )
        write_wheel(folder / EDITABLE, "omnireel", "0.1", tag="py3-none-any", requires=())
        (folder / "backend.py").write_text(BACKEND)
        (folder / "pyproject.toml").write_text(
            '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
        )
        yield folder, index.url


EDITABLE = "omnireel-0.1-py3-none-any.whl"
BACKEND = f"""
import shutil

def build_editable(folder, config_settings=None, metadata_directory=None):
    shutil.copy("{EDITABLE}", folder)
    return "{EDITABLE}"
"""


def set_up(project, cpu_index):
    """Run set-up in the project. Returns what it said, and the packages that are there afterwards."""
    folder, url = project
    environment = {"PATH": os.environ["PATH"], "PIP_CONFIG_FILE": "/dev/null", "PIP_INDEX_URL": f"{url}/pypi"}
    ran = subprocess.run(
        [sys.executable, "tools/setup.py", "runtime", "--torch", "cpu", "--cpu-index", cpu_index],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout == ""
    listed = run(folder / ".venv" / "bin" / "python", "-m", "pip", "list", "--format", "freeze", cwd=folder)
    said = [line.removeprefix("setup: ") for line in ran.stderr.splitlines() if line.startswith("setup: ")]
    return said, {line for line in listed.split() if line.startswith(("torch", "nvidia", "small"))}


def test_set_up_takes_the_cpu_build_and_has_nothing_to_fetch_the_second_time(project):
    index = f"{project[1]}/cpu"
    said, packages = set_up(project, index)
    assert said[1:3] == [
        f"torch comes from {index}.",
        "run-time set: 3 MB to fetch, about 1 min at 50 Mbit/s.",
    ]
    assert packages == {"small==1.0", "torch==2.0+cpu"}
    assert set_up(project, index)[0][0] == "run-time set: all packages are there."


def test_set_up_goes_on_where_the_cpu_index_never_answers(project):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        said, packages = set_up(project, f"http://127.0.0.1:{silent.getsockname()[1]}")
    assert "no answer within 4 s" in said[1] or "timed out" in said[1]
    assert said[2] == "run-time set: at most 5 MB to fetch, about 1 min at 50 Mbit/s."
    assert packages == {"small==1.0", "torch==2.0", "nvidia-cublas==13.1"}


def test_set_up_goes_on_where_the_cpu_index_names_a_file_that_it_does_not_have(project):
    folder, url = project
    next((folder.parent / "cpu" / "torch").glob("*.whl")).unlink()
    said, packages = set_up(project, f"{url}/cpu")
    assert "Trying pip's own index." in said[3]
    assert "torch==2.0" in packages
