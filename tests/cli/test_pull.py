"""`omnireel pull` from a hub on loopback that cuts connections, damages files and states wrong sizes."""

import json
import shutil

import pytest
from hub_double import MODEL_ID, REVISION, Hub

from omnireel.cli.backend import DEMO

NAMES = [
    "config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja",
    "generation_config.json", "model.safetensors",
]  # fmt: skip
WEIGHTS = "model.safetensors"
NEWER = "f" * 40


@pytest.fixture
def hub():
    """A hub with the demo checkpoint, and with files that must not be downloaded."""
    files = {name: (DEMO / name).read_bytes() for name in NAMES}
    files |= {
        "modeling.py": b"evil()",
        "pytorch_model.bin": b"pickle",
        "folder/x.json": b"{}",
        ".x.json": b"",
    }
    double = Hub(files)
    yield double
    double.close()


@pytest.fixture
def pull(omnireel, hub, tmp_path):
    def run(*flags, model_id=MODEL_ID):
        home = {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "hf"), "HF_TOKEN": ""}
        return omnireel("pull", model_id, "--data-dir", "data", *flags, **home)

    return run


@pytest.fixture
def directory(tmp_path):
    return tmp_path / "data" / "models" / "someone" / "tiny-model"


def test_only_files_that_cannot_hold_code_are_fetched_and_the_licence_is_named(pull, hub, directory):
    ran = pull("--json")
    assert ran.returncode == 0, ran.stderr
    report = json.loads(ran.stdout)
    assert (report["revision"], report["downloaded"]) == (REVISION, True)
    assert "tiny-licence" in ran.stderr
    assert "https://example.com/l" in ran.stderr
    assert {path.name for path in directory.iterdir()} == {*NAMES, "pulled.json"}
    assert all((directory / name).read_bytes() == hub.files[name] for name in NAMES)
    fetched = {path.rpartition("/")[2] for _, path, _ in hub.requests if "/resolve/" in path}
    assert fetched == set(NAMES)


def test_a_pulled_model_is_not_fetched_again(pull, hub):
    assert pull().returncode == 0
    hub.requests.clear()
    again = pull("--json")
    assert json.loads(again.stdout)["downloaded"] is False
    assert not [path for _, path, _ in hub.requests if "/resolve/" in path]


def test_a_model_that_runs_elsewhere_is_pulled_without_its_weights_and_can_be_completed(pull, hub, directory):
    assert pull("--without-weights").returncode == 0
    assert {path.name for path in directory.iterdir()} == {*NAMES, "pulled.json"} - {WEIGHTS}
    assert json.loads(pull("--without-weights", "--json").stdout)["downloaded"] is False
    assert json.loads(pull("--json").stdout)["downloaded"] is True
    assert (directory / WEIGHTS).read_bytes() == hub.files[WEIGHTS]
    assert json.loads(pull("--without-weights", "--json").stdout)["downloaded"] is False


def test_a_pull_without_weights_deletes_no_weights_and_a_whole_one_replaces_them(pull, hub, directory):
    assert pull().returncode == 0
    hub.revision = NEWER
    ran = pull("--without-weights")
    assert ran.returncode == 1
    assert f"data/models/{MODEL_ID} has weights in safetensors, which this pull would delete" in ran.stderr
    assert ran.stderr.endswith(f"omnireel pull {MODEL_ID} --data-dir data\n")
    assert f"remove the directory data/models/{MODEL_ID}," in ran.stderr
    assert (directory / WEIGHTS).read_bytes() == hub.files[WEIGHTS]
    hub.files["model-00001-of-00001.safetensors"] = hub.files.pop(WEIGHTS)
    assert json.loads(pull("--json").stdout)["revision"] == NEWER
    assert [path.name for path in directory.glob("*.safetensors")] == ["model-00001-of-00001.safetensors"]


def test_an_interrupted_whole_pull_leaves_nothing_for_one_without_weights(pull, hub, directory):
    hub.cut_after = 12_000_000
    assert pull().returncode == 1
    hub.cut_after = None
    ran = pull("--without-weights")
    assert ran.returncode == 0, ran.stderr
    assert {path.name for path in directory.iterdir()} == {*NAMES, "pulled.json"} - {WEIGHTS}


def test_a_record_without_names_is_that_of_a_whole_checkpoint(pull, directory):
    directory.mkdir(parents=True)
    (directory / "pulled.json").write_text(json.dumps({"model": MODEL_ID, "revision": REVISION}))
    for flags in ((), ("--without-weights",)):
        assert json.loads(pull("--json", *flags).stdout)["downloaded"] is False


def test_a_model_without_config_has_nothing_to_pull_without_weights(pull, hub, directory):
    del hub.files["config.json"]
    ran = pull("--without-weights")
    assert ran.returncode == 1
    assert f"{MODEL_ID} has no config.json" in ran.stderr
    assert not directory.exists()


@pytest.mark.parametrize("flags", [("--gguf",), ("--gguf-file", "x.gguf")])
def test_a_gguf_and_a_pull_without_weights_exclude_each_other(pull, hub, flags):
    ran = pull("--without-weights", *flags)
    assert (ran.returncode, hub.requests) == (2, [])
    assert "--without-weights goes neither with --gguf nor with --gguf-file" in ran.stderr


def test_a_pulled_model_answers_by_its_id(pull, omnireel, clip):
    usual = {"OMNIREEL_BACKEND": "local", "OMNIREEL_DATA_DIR": "data"}
    flags = ("--model", MODEL_ID, "--temperature", "0", "--max-tokens", "4", "--json")
    before = omnireel("ask", clip, "what moves?", *flags, **usual)
    assert before.returncode == 3
    assert f"omnireel pull {MODEL_ID}" in before.stderr
    assert pull().returncode == 0
    answer = omnireel("ask", clip, "what moves?", *flags, **usual)
    flags = ("--temperature", "0", "--max-tokens", "4", "--json")
    assert json.loads(answer.stdout) == json.loads(
        omnireel("ask", clip, "what moves?", *flags, **usual).stdout
    )


def test_a_download_continues_where_its_connection_was_cut(pull, hub, directory):
    hub.cut_after, hub.num_cuts = 12_000_000, 1
    assert pull().returncode == 0
    first, second = hub.fetched(WEIGHTS)
    assert first is None
    assert 0 < int(second.removeprefix("bytes=").split("-")[0]) <= 12_000_000
    assert (directory / WEIGHTS).read_bytes() == hub.files[WEIGHTS]


def test_a_pull_that_failed_is_continued_by_the_next(pull, hub, directory):
    hub.cut_after = 12_000_000
    ran = pull()
    assert ran.returncode == 1
    assert "could not be fetched" in ran.stderr
    assert not directory.exists()
    hub.cut_after = None
    hub.requests.clear()
    assert pull().returncode == 0
    (only,) = hub.fetched(WEIGHTS)
    assert 0 < int(only.removeprefix("bytes=").split("-")[0]) <= 12_000_000
    assert (directory / WEIGHTS).read_bytes() == hub.files[WEIGHTS]


@pytest.mark.parametrize("name", [WEIGHTS, "config.json"])
def test_a_damaged_file_is_found_and_fetched_again(pull, hub, directory, name):
    hub.damaged = {name}
    ran = pull()
    assert ran.returncode == 1
    assert f"{name} was damaged on the way" in ran.stderr
    assert not directory.exists()
    hub.damaged = set()
    assert pull().returncode == 0
    assert (directory / name).read_bytes() == hub.files[name]


def test_too_little_disk_is_reported_before_anything_is_downloaded(pull, hub, directory):
    hub.stated = {WEIGHTS: shutil.disk_usage("/").total * 100}
    ran = pull()
    assert ran.returncode == 1
    assert "GB of disk" in ran.stderr
    assert not [path for _, path, _ in hub.requests if "/resolve/" in path]


def test_a_file_with_more_bytes_than_the_hub_states_is_not_written_further(pull, hub, tmp_path, directory):
    hub.stated = {WEIGHTS: 100_000}
    ran = pull()
    assert ran.returncode == 1
    assert not directory.exists()
    assert all(path.stat().st_size <= 100_000 for path in tmp_path.rglob(f"{WEIGHTS}*"))


@pytest.mark.parametrize("revision", ["../../../../escape", "main", "", "0" * 39])
def test_a_revision_that_is_no_hash_names_no_directory(pull, hub, tmp_path, revision):
    hub.revision = revision
    ran = pull()
    assert ran.returncode == 1
    assert "states no revision" in ran.stderr
    assert not list(tmp_path.rglob("*.safetensors"))


def test_the_licence_of_a_gated_model_has_to_be_accepted(pull, hub):
    hub.gated = "manual"
    ran = pull()
    assert (ran.returncode, hub.fetched(WEIGHTS)) == (1, [])
    assert "--accept-licence" in ran.stderr
    assert pull("--accept-licence").returncode == 0


@pytest.mark.parametrize(("model_id", "code"), [("nobody/nothing", 1), ("../x", 2), ("a/..", 2), ("demo", 2)])
def test_an_id_of_no_model_is_refused(pull, model_id, code):
    ran = pull(model_id=model_id)
    assert ran.returncode == code
    assert [line.split(":")[0] for line in ran.stderr.splitlines()] == ["error", "hint"]


def test_a_hub_that_does_not_answer_is_named_with_the_variable_for_another(pull, hub):
    hub.close()
    error, hint = pull().stderr.splitlines()
    assert error == f"error: {MODEL_ID} could not be fetched from {hub.url}: connection refused."
    assert "HF_ENDPOINT" in hint
