"""`omnireel pack` without the library: types that need no packing, what is refused, and how the result is used."""

import json
import sys

import pytest
import torch
from typer.testing import CliRunner

from omnireel.cli import app
from omnireel.cli.backend import DEMO, dtype_of, find_model, open_counter, own_limits
from omnireel.cli.models.doctor import run_checks
from omnireel.cli.models.gguf_sizes import PUBLISHED, cost_of_recipe
from omnireel.errors import CheckpointError, OmnireelError
from omnireel.model.checkpoint.encoders import encoder_bytes, load_encoders
from omnireel.model.checkpoint.gguf.formats import Recipe
from omnireel.model.checkpoint.load import load_checkpoint
from omnireel.model.checkpoint.packed import read_manifest, sha256_of, verify_files
from omnireel.model.config import parse_config
from omnireel.settings import Settings
from tools.scaled_checkpoint import Sizes, published_config_json, write_checkpoint


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    """The demo as a GGUF in BF16; tests must not change it."""
    out = tmp_path_factory.mktemp("packed") / "demo"
    result = run("pack", "demo", "--out", out, "--type", "bf16", "--json")
    assert result.exit_code == 0, result.stderr
    return out


@pytest.fixture
def copy(packed, tmp_path):
    """A copy to change."""
    out = tmp_path / "copy"
    out.mkdir()
    for path in packed.iterdir():
        (out / path.name).write_bytes(path.read_bytes())
    return out


def model(path, **more):
    return Settings(model=str(path), **more)


def test_a_packed_directory_has_all_files_and_their_checksums(packed):
    manifest = read_manifest(packed)
    assert {path.name for path in packed.iterdir()} == {*manifest.files, "pack.json"}
    assert {"language.gguf", "encoders.safetensors", "config.json", "tokenizer.json"} <= set(manifest.files)
    assert all(sha256_of(packed / name) == file.sha256 for name, file in manifest.files.items())
    assert (manifest.source, manifest.type, manifest.experts) == ("demo", "bf16", "bf16")
    verify_files(packed, lambda *_: None)


def test_its_encoders_are_those_of_the_checkpoint(packed):
    whole, alone = load_checkpoint(DEMO, torch.float32), load_encoders(packed, torch.float32)
    wanted = {k: v for k, v in whole.state_dict().items() if not k.startswith("language_model.")}
    found = alone.state_dict()
    assert found.keys() == wanted.keys()
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)
    assert encoder_bytes(packed, torch.float32) == sum(tensor.nbytes for tensor in found.values())


def test_sound_encoders_are_packed_too(tmp_path):
    write_checkpoint(tmp_path / "x", Sizes(sound_width=32))
    assert run("pack", tmp_path / "x", "--out", tmp_path / "out", "--type", "f32").exit_code == 0
    samples = torch.sin(torch.arange(8000) / 9)
    whole, alone = load_checkpoint(tmp_path / "x"), load_encoders(tmp_path / "out")
    assert torch.equal(alone.encode_sound(samples), whole.encode_sound(samples))


def test_a_second_run_has_nothing_to_do_and_another_type_is_refused(packed):
    again = run("pack", "demo", "--out", packed, "--type", "bf16", "--json")
    assert json.loads(again.stdout)["packed"] is False
    other = run("pack", "demo", "--out", packed, "--type", "f32")
    assert other.exit_code == 1
    assert "has demo packed as bf16" in other.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("demo", "--type", "q3"), 2, "--type is 'q3'; it must be one of"),
        (("demo", "--type", "bf16", "--experts", "q3"), 2, "--experts is 'q3'"),
        (("nowhere", "--type", "bf16"), 3, "There is no checkpoint at nowhere"),
        (("demo", "--type", "bf16", "--experts", "nvfp4"), 3, "is not NVFP4"),
    ],
)
def test_what_cannot_be_packed_is_named(tmp_path, arguments, code, message):
    result = run("pack", *arguments, "--out", tmp_path / "out")
    assert (result.exit_code, message in result.stderr) == (code, True), result.stderr


def test_a_directory_with_other_files_is_left_alone(tmp_path):
    (tmp_path / "letter.txt").write_text("x")
    result = run("pack", "demo", "--out", tmp_path, "--type", "bf16")
    assert result.exit_code == 1
    assert "has other files: letter.txt" in result.stderr


def test_without_the_library_the_command_that_installs_it_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "llama_cpp", None)
    result = run("pack", "demo", "--out", tmp_path / "out", "--type", "q8_0")
    assert result.exit_code == 3
    assert "llama-cpp-python, which is not installed" in result.stderr
    assert "make gguf" in result.stderr
    assert "pip install 'omnireel[gguf]'" in result.stderr


def test_a_gguf_without_the_library_gets_exit_code_3(packed, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "llama_cpp", None)
    checks = run_checks(model(packed, data_dir=tmp_path / "data", port=0))
    (check,) = [check for check in checks if check.name == "model"]
    assert (check.exit_code, "llama-cpp-python, which is not installed" in str(check.problem)) == (3, True)


def test_a_packed_directory_is_a_model(packed):
    files = find_model(model(packed))
    assert (files.directory, files.language, files.name) == (packed, packed / "language.gguf", "demo")
    assert find_model(model(packed / "language.gguf")).directory == packed
    assert dtype_of(model(packed, dtype="float32"), files) == torch.float32
    assert open_counter(model(packed), own_limits(Settings())).max_context == 16_384


def test_a_gguf_that_lies_alone_takes_its_other_files_from_the_encoders_setting(packed, tmp_path):
    alone = tmp_path / "some-q4.gguf"
    alone.write_bytes((packed / "language.gguf").read_bytes())
    files = find_model(model(alone, encoders=str(packed)))
    assert (files.directory, files.language, files.name) == (packed, alone, "some-q4")
    assert find_model(model(tmp_path, encoders=str(packed))).language == alone
    with pytest.raises(CheckpointError, match="There is no checkpoint at nvidia") as raised:
        find_model(model(alone, data_dir=tmp_path / "data"))
    assert "omnireel pull nvidia/" in str(raised.value.hint)
    assert "--gguf" in str(raised.value.hint)


def test_several_ggufs_leave_the_choice_open(tmp_path):
    for name in ("a-q4.gguf", "b-q8.gguf", "mmproj-f16.gguf"):
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"several GGUFs: a-q4\.gguf, b-q8\.gguf\."):
        find_model(model(tmp_path))
    (tmp_path / "a-q4.gguf").unlink()
    (tmp_path / "b-q8.gguf").rename(tmp_path / "b-00002-of-00002.gguf")
    with pytest.raises(CheckpointError, match="lacks the first file of its GGUF"):
        find_model(model(tmp_path))


def truncate(name):
    def damage(directory):
        with (directory / name).open("r+b") as file:
            file.truncate(1000)

    return damage


def other_vocabulary(directory):
    """A GGUF of another model in place of the packed one."""
    other = directory.parent / "other"
    write_checkpoint(other, Sizes())
    assert run("pack", other, "--out", directory.parent / "small", "--type", "f32").exit_code == 0
    (directory / "pack.json").unlink()
    (directory / "language.gguf").write_bytes((directory.parent / "small" / "language.gguf").read_bytes())


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (truncate("language.gguf"), "language.gguf has 1,000 bytes"),
        (truncate("encoders.safetensors"), "encoders.safetensors has 1,000 bytes"),
        (lambda directory: (directory / "tokenizer.json").unlink(), "lacks the packed file 'tokenizer.json'"),
        (lambda directory: (directory / "pack.json").write_text("{}"), "is not a list of packed files"),
        (lambda directory: (directory / "language.gguf.journal").touch(), None),
        (other_vocabulary, "config.json says"),
    ],
)
def test_a_damaged_directory_gets_exit_code_3_and_a_name(copy, tmp_path, damage, message):
    damage(copy)
    if message is None:
        (copy / "pack.json").unlink()
        message = "is not packed to its end"
    checks = run_checks(model(copy, data_dir=tmp_path / "data", port=0))
    (check,) = [check for check in checks if check.name == "model"]
    assert (check.exit_code, message in str(check.problem)) == (3, True), check.problem


def test_an_interrupted_pack_is_continued(tmp_path, monkeypatch, packed):
    from omnireel.cli.models import pack

    def fail(*_):
        raise OmnireelError("stopped")

    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setattr(pack, "copy_encoders", fail)
        assert run("pack", "demo", "--out", out, "--type", "bf16").exit_code == 1
    with pytest.raises(CheckpointError, match="is not packed to its end"):
        find_model(model(out))
    before = (out / "language.gguf").stat().st_mtime_ns
    assert run("pack", "demo", "--out", out, "--type", "bf16").exit_code == 0
    assert (out / "language.gguf").stat().st_mtime_ns == before, "it is not written again"
    assert {path.name: path.read_bytes() for path in out.iterdir()} == {
        path.name: path.read_bytes() for path in packed.iterdir()
    }


def test_the_published_sizes_are_those_of_the_config():
    assert parse_config(published_config_json()).language == PUBLISHED


@pytest.mark.parametrize(
    ("recipe", "gigabytes", "token_gigabytes"),
    [
        (Recipe("bf16", "bf16"), 63.2, 6.46),
        (Recipe("q8_0", "q4_0"), 18.9, 2.74),
        (Recipe("nvfp4", "nvfp4"), 18.9, 2.74),
    ],
)
def test_a_token_costs_what_was_measured_and_computed_elsewhere(recipe, gigabytes, token_gigabytes):
    """The sum over the published tensors, and the size of a GGUF that was made of them: 17.6 GiB."""
    cost = cost_of_recipe(PUBLISHED, recipe)
    assert cost.num_bytes / 1e9 == pytest.approx(gigabytes, rel=0.01)
    assert cost.token_bytes / 1e9 == pytest.approx(token_gigabytes, rel=0.05)
    assert cost.token_flop / 1e9 == pytest.approx(5.75, rel=0.01)
