"""Every example of README.md and docs/ works as it is written."""

import json
import os
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections import Counter
from configparser import RawConfigParser
from pathlib import Path

import pytest
import typer.main
from doc_blocks import PARSED, ROOT, RUN, SHOWN, Block, all_blocks, blocks_of, pages
from doc_runner import Reader
from javascript_client import install_client

from omnireel.cli import app
from omnireel.settings import read_settings
from tools.demo import make_clip

# The README's examples run with the demo model. Elsewhere the echo backend answers, which loads no torch.
WITH_DEMO_MODEL = {"README.md"}
# What may stand in a block that is not run, and why.
PARSE_ONLY = {
    "omnireel": "needs weights, or the internet",
    "make": "sets up or trains",
    "pip": "needs the internet",
    "npm": "needs the internet",
    "pipx": "needs the internet",
    "docker": "needs a container engine",
    "source": "the environment of the reader",
    "python": "trains, or runs benchmarks",
    "sudo": "needs root",
    "systemctl": "needs a service manager",
}
MOST_PARSE_ONLY = 14


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    make_clip(path)
    return path


@pytest.fixture(scope="module")
def node_modules():
    return install_client() / "node_modules"


@pytest.mark.parametrize(
    "page", [page for page in pages() if any(block.kind in RUN for block in blocks_of(page))], ids=name_of
)
def test_the_examples_of_a_page_run_from_top_to_bottom(page, tmp_path, clip, node_modules):
    variables = {} if name_of(page) in WITH_DEMO_MODEL else {"OMNIREEL_BACKEND": "echo"}
    (tmp_path / "clip.mp4").write_bytes(clip.read_bytes())
    (tmp_path / "node_modules").symlink_to(node_modules)
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    with Reader(tmp_path, tmp_path / "home", path, variables) as reader:
        for block in blocks_of(page):
            if block.kind in RUN:
                reader.run(block)


def test_every_block_says_what_it_is():
    unknown = [str(block) for block in all_blocks() if block.kind not in (*RUN, *PARSED, *SHOWN)]
    assert unknown == []


def test_few_blocks_are_only_parsed():
    marked = [block for block in all_blocks() if block.kind == "sh parse-only"]
    assert len(marked) <= MOST_PARSE_ONLY, [str(block) for block in marked]


def test_configuration_of_other_programs_is_shown_once_each():
    shown = Counter(block.kind for block in all_blocks() if block.kind in ("caddy", "ini"))
    assert set(shown.values()) <= {1}, shown


@pytest.mark.parametrize("block", [block for block in all_blocks() if block.kind == "sh parse-only"], ids=str)
def test_commands_that_are_not_run_are_understood(block):
    checked = subprocess.run(["bash", "-n", "-c", block.text], capture_output=True, check=False)
    assert checked.returncode == 0, checked.stderr.decode()
    for words in commands_of(block):
        assert words[0] in PARSE_ONLY, f"{block}: why is {words[0]} not run?"
        if words[0] == "omnireel":
            parse_command(words[1:])
        elif words[0] == "make":
            check_target(words)
        elif words[:2] == ["python", "-m"]:
            check_module(words[2])


def commands_of(block: Block) -> list[list[str]]:
    """The words of each command, without comments."""
    lines = block.text.replace("\\\n", " ").splitlines()
    return [words for line in lines if (words := shlex.split(line, comments=True))]


def parse_command(words: list[str]) -> None:
    """Raises where the command line does not take `words`."""
    command, context, name = typer.main.get_command(app), None, "omnireel"
    while True:
        context = command.make_context(name, list(words), parent=context)
        if not hasattr(command, "resolve_command"):
            return
        words = [*context._protected_args, *context.args]
        found, command, words = command.resolve_command(context, words)
        assert command is not None
        name = found or ""


def check_target(words: list[str]) -> None:
    """Raises where the Makefile has no such target."""
    make = shutil.which("make")
    assert make is not None
    subprocess.run([make, "-n", *words[1:]], cwd=ROOT, capture_output=True, check=True)


def check_module(name: str) -> None:
    """Raises where `python -m` would not find it."""
    path = ROOT / name.replace(".", "/")
    assert path.with_suffix(".py").exists() or (path / "__main__.py").exists(), name


@pytest.mark.parametrize("block", [block for block in all_blocks() if block.kind == "json"], ids=str)
def test_json_is_json(block):
    json.loads(block.text)


@pytest.mark.parametrize("block", [block for block in all_blocks() if block.kind == "toml"], ids=str)
def test_settings_files_are_accepted(block, tmp_path, monkeypatch):
    (tmp_path / "omnireel.toml").write_text(block.text)
    monkeypatch.chdir(tmp_path)
    for name in list(tomllib.loads(block.text)):
        monkeypatch.delenv(f"OMNIREEL_{name.upper()}", raising=False)
    read_settings({})


@pytest.mark.parametrize("block", [block for block in all_blocks() if block.kind == "ini"], ids=str)
def test_units_start_a_command_that_exists(block):
    unit = RawConfigParser()
    unit.optionxform = str
    unit.read_string(block.text)
    program, *words = shlex.split(unit["Service"]["ExecStart"])
    assert Path(program).name == "omnireel"
    parse_command(words)
