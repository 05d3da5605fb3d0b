"""Each setting is declared once; flag, variable, file, help and the reference page follow from that."""

import ast
import json
import os
import sys
import tomllib
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from omnireel import settings
from omnireel.cli import app
from omnireel.cli.flags import command
from omnireel.engine.params import SamplingParams
from omnireel.prompting.clip import MediaDefaults
from omnireel.settings import DECLARATIONS, AskSettings, KeySettings, Settings, declarations
from omnireel.settings.declaration import PREFIX
from omnireel.settings.kinds import PATH, TEXT

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "tools"))

from configuration_page import PAGE, render  # noqa: E402  it is not part of the package

CLASSES = (Settings, AskSettings, KeySettings)
EVERY = [pytest.param(declared, id=name) for name, declared in DECLARATIONS.items()]
REFUSABLE = [pytest.param(d, id=name) for name, d in DECLARATIONS.items() if d.kind not in (TEXT, PATH)]


@pytest.fixture(autouse=True)
def _no_settings(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        monkeypatch.delenv(name)


def run(declared, *arguments):
    """Run a command that takes the setting as a flag. Returns the settings that it was called with, and the result."""
    called = []
    one_command = typer.Typer()

    @command(one_command, declared.commands[0])
    def keep(*, settings: Settings, asked: AskSettings, wanted: KeySettings) -> None:
        called.append((settings, asked, wanted))

    result = CliRunner().invoke(one_command, arguments)
    return called, result


def as_text(value):
    """A TOML value in the form that flags and variables have."""
    if isinstance(value, list):
        return ",".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def as_flag(declared):
    if declared.kind.is_switch:
        return [declared.flag if declared.example else declared.negative_flag]
    return [declared.flag, as_text(declared.example)]


def bad_text(declared):
    """A text that the setting does not take."""
    for text in ("?!", "", "-1"):
        try:
            declared.kind.parse(text)
        except ValueError:
            return text
    raise AssertionError(f"{declared.name} takes everything")


def given(results):
    """The settings that do not have their default."""
    return {
        declared.name: value
        for cls, values in zip(CLASSES, results, strict=True)
        for declared in declarations(cls)
        if (value := getattr(values, declared.name)) != declared.default
    }


def options_of(path):
    """The options of a command of the real command line, by name."""
    found = typer.main.get_command(app)
    for name in path.split():
        found = found.commands[name]
    return {option.name: option for option in found.params if option.param_type_name == "option"}


def command_paths(group=None, path=""):
    for name, found in (group or typer.main.get_command(app)).commands.items():
        if hasattr(found, "commands"):
            yield from command_paths(found, f"{path}{name} ")
        else:
            yield path + name


@pytest.mark.parametrize("declared", EVERY)
def test_a_flag_a_variable_and_a_line_of_the_file_have_the_same_effect(declared, monkeypatch):
    by_flag, _ = run(declared, *as_flag(declared))
    expected = {declared.name: declared.kind.parse(declared.example)}
    assert [given(results) for results in by_flag] == [expected]

    monkeypatch.setenv(declared.variable, as_text(declared.example))
    by_variable, _ = run(declared)
    assert by_variable == by_flag

    monkeypatch.delenv(declared.variable)
    Path("omnireel.toml").write_text(f"{declared.name} = {json.dumps(declared.example)}\n")
    by_file, _ = run(declared)
    assert by_file == by_flag


@pytest.mark.parametrize("declared", REFUSABLE)
def test_a_bad_value_is_refused_by_name_in_each_place(declared, monkeypatch):
    bad = bad_text(declared)
    if not declared.kind.is_switch:  # its flag takes no value
        called, result = run(declared, declared.flag, bad)
        assert (called, result.exit_code) == ([], 2)
        assert f"error: {declared.flag} is {bad!r}; it must be {declared.kind.wanted}." in result.stderr

    monkeypatch.setenv(declared.variable, bad)
    called, result = run(declared)
    assert (called, result.exit_code) == ([], 2)
    assert f"error: {declared.variable} is {bad!r}; it must be {declared.kind.wanted}." in result.stderr

    monkeypatch.delenv(declared.variable)
    Path("omnireel.toml").write_text(f"{declared.name} = {json.dumps(bad)}\n")
    called, result = run(declared)
    assert (called, result.exit_code) == ([], 2)
    assert (
        f"error: omnireel.toml: {declared.name} is {bad!r}; it must be {declared.kind.wanted}."
        in result.stderr
    )


@pytest.mark.parametrize("declared", EVERY)
def test_a_table_in_the_file_is_refused_for_every_setting(declared):
    Path("omnireel.toml").write_text(f"[{declared.name}]\nx = 1\n")
    called, result = run(declared)
    assert (called, result.exit_code) == ([], 2)
    assert f"omnireel.toml: {declared.name} is {{'x': 1}}" in result.stderr


@pytest.mark.parametrize("declared", EVERY)
def test_the_default_is_a_value_that_the_setting_takes(declared):
    if declared.default is None:
        assert declared.default_text
    elif declared.kind.is_switch or not isinstance(declared.default, tuple):
        assert declared.kind.parse(declared.default) == declared.default
    else:
        assert declared.kind.parse([as_text(item) for item in declared.default]) == declared.default


@pytest.mark.parametrize("declared", EVERY)
def test_the_help_is_one_or_two_short_sentences(declared):
    assert declared.help.endswith(".")
    assert len(declared.help) <= 100


def test_no_two_classes_declare_the_same_name():
    assert len(DECLARATIONS) == sum(len(declarations(cls)) for cls in CLASSES)


def test_a_command_has_the_flags_of_the_settings_that_name_it_and_of_no_other():
    for path in command_paths():
        flags = options_of(path).keys() & DECLARATIONS.keys()
        assert flags == {name for name, declared in DECLARATIONS.items() if path in declared.commands}, path


def test_every_command_that_a_setting_names_exists():
    assert {path for declared in DECLARATIONS.values() for path in declared.commands} <= set(command_paths())


def test_serve_takes_every_setting_of_the_deployment_as_a_flag():
    assert {declared.name for declared in declarations(Settings)} <= options_of("serve").keys()


def test_a_worker_takes_no_flag_of_a_setting_that_only_the_server_reads():
    assert options_of("worker").keys().isdisjoint({"port", "auth", "cors_origins", "max_body_bytes"})
    assert options_of("worker").keys() >= {"model", "fetch_allow", "max_running", "lease_s"}


@pytest.mark.parametrize("declared", EVERY)
def test_help_shows_flag_value_default_and_explanation(declared, monkeypatch):
    monkeypatch.setenv("COLUMNS", "90")  # text that is too long for its column would be cut off
    _, result = run(declared, "--help")
    assert "…" not in result.output
    shown = " ".join(result.output.replace("│", " ").split())
    assert declared.flag in shown
    assert declared.help.split()[0] in shown
    if declared.kind.is_switch:
        assert declared.negative_flag in shown
    else:
        assert f"{declared.flag} {declared.kind.metavar}" in shown
        assert f"[default: {declared.shown_default}]" in shown


def test_help_shows_no_value_for_flags_that_take_none():
    for path in ("", "webhooks", "keys", *command_paths()):
        shown = CliRunner().invoke(app, [*path.split(), "--help"]).output
        assert "<bool>" not in shown
        assert "--help" in shown


def test_sampling_has_the_defaults_of_the_engine():
    asked, sampling = AskSettings(), SamplingParams()
    for name in ("temperature", "top_p", "max_tokens", "seed", "reasoning_budget", "grace_period"):
        assert getattr(asked, name) == getattr(sampling, name)


def test_the_defaults_that_are_shown_for_frames_are_the_real_ones():
    shown = [float(DECLARATIONS[name].default_text) for name in ("fps", "max_frames", "video_pruning_rate")]
    defaults = MediaDefaults()
    assert shown == [defaults.fps, defaults.max_frames, defaults.pruning_rate]


def test_the_shown_data_directory_is_the_one_that_is_used():
    default = Path(DECLARATIONS["data_dir"].default_text).expanduser()
    assert Settings().store_path.parent == default


def test_the_reference_page_is_current():
    assert PAGE.read_text("utf-8") == render(), "run: python tools/configuration_page.py"


@pytest.mark.parametrize("declared", EVERY)
def test_the_reference_page_has_each_setting(declared):
    entry = render().split(f"#### `{declared.name}`\n")[1].split("####")[0]
    for text in (
        declared.flag,
        declared.variable,
        declared.name + " = ",
        declared.kind.wanted,
        declared.help,
    ):
        assert text in entry
    assert all(f"`{path}`" in entry for path in declared.commands)


def test_the_example_file_on_the_reference_page_is_accepted():
    example = PAGE.read_text("utf-8").split("```toml\n")[1].split("```")[0]
    Path("omnireel.toml").write_text(example)
    assert settings.read_settings({}) != Settings()
    assert len(tomllib.loads(example)) > 5


def names_of(cls, trees):
    """The names of parameters, variables and attributes that are annotated with a class."""
    for tree in trees:
        for node in ast.walk(tree):
            name = getattr(node, "arg", None) if isinstance(node, ast.arg) else None
            if isinstance(node, ast.AnnAssign):
                name = getattr(node.target, "id", None) or getattr(node.target, "attr", None)
            annotation = getattr(node, "annotation", None)
            if name and annotation is not None and ast.unparse(annotation).strip("'") == cls.__name__:
                yield name.strip("_")


def attributes_read(names, trees):
    """The attributes that are read from objects with one of these names."""
    for tree in trees:
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute):
                owner = getattr(node.value, "attr", None) or getattr(node.value, "id", "")
                if owner.strip("_") in names:
                    yield node.attr


@pytest.mark.parametrize("cls", CLASSES)
def test_each_setting_is_read_somewhere(cls):
    trees = [ast.parse(path.read_text("utf-8")) for path in (ROOT / "src").rglob("*.py")]
    names = set(names_of(cls, trees))
    own = ast.parse((ROOT / "src/omnireel/settings/deployment.py").read_text("utf-8"))
    read = set(attributes_read(names, trees)) | set(attributes_read({"self"}, [own]))
    assert {declared.name for declared in declarations(cls)} - read == set()
