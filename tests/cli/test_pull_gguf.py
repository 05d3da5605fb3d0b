"""`omnireel pull --gguf` from a hub on loopback: a GGUF, or the encoders that belong to one."""

import json

import pytest
import torch
from hub_double import MODEL_ID, REVISION, Hub
from safetensors.torch import load_file, save

from omnireel.cli.backend import DEMO, find_model
from omnireel.errors import CheckpointError
from omnireel.model.checkpoint.encoders import load_encoders
from omnireel.settings import Settings

LANGUAGE = ("model-00001-of-00004.safetensors", "model-00002-of-00004.safetensors")
MIXED, ENCODERS = "model-00003-of-00004.safetensors", "model-00004-of-00004.safetensors"


def published_files():
    """The demo in shards, as the published checkpoints are: two with the language part alone."""
    tensors = load_file(DEMO / "model.safetensors")
    language = sorted(name for name in tensors if name.startswith("language_model."))
    others = sorted(set(tensors) - set(language))
    shards = {
        LANGUAGE[0]: language[:50],
        LANGUAGE[1]: language[50:100],
        MIXED: [*language[100:], *others[:5]],
        ENCODERS: others[5:],
    }
    files = {name: save({key: tensors[key] for key in keys}) for name, keys in shards.items()}
    places = {key: name for name, keys in shards.items() for key in keys}
    files["model.safetensors.index.json"] = json.dumps({"weight_map": places}).encode()
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        files[name] = (DEMO / name).read_bytes()
    return files


@pytest.fixture
def pull(omnireel, tmp_path):
    """Runs `pull` from a hub that has these files. Returns the report, and the names of the files that it fetched."""
    hubs = []

    def run(files, *flags, revision=REVISION):
        hub = Hub(files)
        hub.revision = revision
        hubs.append(hub)
        home = {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "hf"), "HF_TOKEN": ""}
        ran = omnireel("pull", MODEL_ID, "--data-dir", "data", *flags, **home)
        return ran, {path.rpartition("/")[2] for _, path, _ in hub.requests if "/resolve/" in path}

    yield run
    for hub in hubs:
        hub.close()


def test_of_a_checkpoint_only_the_shards_with_encoders_are_fetched(pull, tmp_path):
    files = published_files()
    ran, fetched = pull(files, "--gguf", "--json")
    assert ran.returncode == 0, ran.stderr
    assert fetched == set(files) - set(LANGUAGE)
    report = json.loads(ran.stdout)
    assert report["bytes"] == sum(len(files[name]) for name in fetched)
    (tmp_path / "x.gguf").write_bytes(b"GGUF")
    settings = Settings(model=str(tmp_path / "x.gguf"), encoders=MODEL_ID, data_dir=tmp_path / "data")
    directory = find_model(settings).directory
    assert str(directory) == str((tmp_path / report["directory"]).resolve())
    tower = load_encoders(directory, torch.float32).state_dict()
    name = "vision_model.radio_model.model.patch_generator.video_embedder.weight"
    assert torch.equal(tower[name], load_file(DEMO / "model.safetensors")[name].float())
    again, fetched = pull(files, "--gguf", "--json")
    assert (json.loads(again.stdout)["downloaded"], fetched) == (False, set())


def test_of_a_repository_with_ggufs_one_is_fetched(pull, tmp_path):
    parts = {f"big-q8-0000{n}-of-00002.gguf": b"GGUF" + bytes(n) for n in (1, 2)}
    files = {"small-q4.gguf": b"GGUF", **parts, "mmproj-f16.gguf": b"GGUF", "config.json": b"{}"}
    ran, fetched = pull(files, "--gguf")
    assert (ran.returncode, fetched) == (1, set())
    assert "has several GGUFs: small-q4.gguf (0.0 GB), big-q8.gguf (0.0 GB)" in ran.stderr
    assert f"omnireel pull {MODEL_ID} --gguf-file NAME --data-dir data\n" in ran.stderr
    ran, fetched = pull(files, "--gguf-file", "big-q8.gguf")
    assert (ran.returncode, fetched) == (0, set(parts)), ran.stderr
    settings = Settings(model=MODEL_ID, encoders=str(DEMO), data_dir=tmp_path / "data")
    assert find_model(settings).language.name == "big-q8-00001-of-00002.gguf"
    ran, _ = pull({"x.gguf": b"GGUF"})
    assert ran.returncode == 1
    assert f"omnireel pull {MODEL_ID} --gguf --data-dir data\n" in ran.stderr


def test_several_ggufs_of_a_repository_are_kept_and_a_newer_revision_replaces_its_own(pull, tmp_path):
    files = {"a-q4.gguf": b"GGUF-A", "b-00001-of-00001.gguf": b"GGUF-B"}
    directory = tmp_path / "data" / "models" / MODEL_ID
    assert pull(files, "--gguf-file", "b.gguf")[0].returncode == 0
    ran, fetched = pull(files, "--gguf-file", "a-q4.gguf")
    assert (ran.returncode, fetched) == (0, {"a-q4.gguf"}), ran.stderr
    assert f"use it with --model {MODEL_ID}/a-q4.gguf" in ran.stdout
    assert {path.name: path.read_bytes() for path in directory.glob("*.gguf")} == files
    for name in ("a-q4.gguf", "b.gguf"):
        assert pull(files, "--gguf-file", name)[1] == set(), "it is there already"
    parts = {f"b-0000{n}-of-00002.gguf": b"GGUF" for n in (1, 2)}
    ran, fetched = pull(parts, "--gguf-file", "b.gguf", "--json", revision="f" * 40)
    assert (ran.returncode, fetched) == (0, set(parts)), ran.stderr
    assert {path.name for path in directory.glob("*.gguf")} == {"a-q4.gguf", *parts}
    assert json.loads(ran.stdout)["older"] == ["a-q4.gguf"]
    assert pull(files, "--gguf-file", "a-q4.gguf", revision="f" * 40)[1] == {"a-q4.gguf"}, (
        "it may have changed"
    )


def test_one_of_several_ggufs_is_chosen_by_its_name(pull, tmp_path):
    files = {"a-q4.gguf": b"GGUF-A", "b-q8.gguf": b"GGUF-B"}
    for name in files:
        assert pull(files, "--gguf-file", name)[0].returncode == 0
    shared = {"encoders": str(DEMO), "data_dir": tmp_path / "data"}
    assert find_model(Settings(model=f"{MODEL_ID}/b-q8.gguf", **shared)).language.read_bytes() == b"GGUF-B"
    with pytest.raises(CheckpointError, match="several GGUFs") as caught:
        find_model(Settings(model=MODEL_ID, **shared))
    assert caught.value.hint == "Name one of them after what --model says, such as …/a-q4.gguf."


def test_a_checkpoint_and_a_gguf_of_one_repository_delete_each_other_in_no_mode(pull, tmp_path):
    files = published_files() | {"x.gguf": b"GGUF"}
    directory = tmp_path / "data" / "models" / MODEL_ID
    assert pull(files, "--gguf")[0].returncode == 0
    for flags in ((), ("--without-weights",)):
        ran, fetched = pull(files, *flags)
        assert (ran.returncode, fetched) == (1, set())
        assert "has x.gguf, which this pull would delete" in ran.stderr
    assert (directory / "x.gguf").read_bytes() == b"GGUF"
    (directory / "x.gguf").unlink()
    assert pull(files)[0].returncode == 0
    ran, fetched = pull(files, "--gguf")
    assert (ran.returncode, fetched) == (1, set())
    assert "has weights in safetensors, which this pull would delete" in ran.stderr
    assert (directory / MIXED).read_bytes() == files[MIXED]


def test_a_gguf_of_a_repository_without_any_is_named(pull):
    ran, fetched = pull(published_files(), "--gguf-file", "x.gguf")
    assert (ran.returncode, fetched) == (1, set())
    assert f"{MODEL_ID} has no GGUFs, so also no 'x.gguf'" in ran.stderr
    assert f"omnireel pull {MODEL_ID} --gguf --data-dir data\n" in ran.stderr


def test_only_the_id_of_a_model_is_a_hint_to_pull_it(tmp_path):
    alone = tmp_path / "x.gguf"
    alone.write_bytes(b"GGUF")
    data = tmp_path / "data"
    for settings in (
        Settings(model=str(alone), encoders=str(tmp_path / "none"), data_dir=data),
        Settings(model=str(alone), encoders="models/none.gguf", data_dir=data),
        Settings(model="models/none.gguf", data_dir=data),
    ):
        with pytest.raises(CheckpointError) as raised:
            find_model(settings)
        assert "omnireel pull" not in f"{raised.value} {raised.value.hint}"
    with pytest.raises(CheckpointError) as raised:
        find_model(Settings(model=str(alone), encoders="some/model", data_dir=data))
    assert str(raised.value.hint).endswith(f"omnireel pull some/model --gguf --data-dir {data}")
