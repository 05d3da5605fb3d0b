"""The shipped checkpoint matches the recipe and has the official layout."""

import json
from pathlib import Path

import pytest

import omnireel
from omnireel.model.checkpoint.load import load_checkpoint
from training.recipe import VOCAB_SIZE, config_json
from training.vocabulary import CONTROL_TOKENS, TOKENIZER, read_words, train_tokenizer, write_text_files

DEMO = Path(omnireel.__file__).parent / "assets" / "demo"


def test_the_config_is_that_of_the_recipe():
    stored = json.loads((DEMO / "config.json").read_text())
    assert stored == json.loads(json.dumps(config_json()))


def test_the_text_files_are_reproduced_byte_for_byte(tmp_path):
    write_text_files(tmp_path)
    for path in tmp_path.iterdir():
        assert (DEMO / path.name).read_bytes() == path.read_bytes(), path.name


def test_a_newly_trained_tokenizer_has_as_many_words_and_mostly_the_same():
    vocabulary = train_tokenizer().get_vocab()
    assert len(vocabulary) == VOCAB_SIZE
    assert {vocabulary[token] for token in CONTROL_TOKENS.values()} == set(CONTROL_TOKENS)
    assert len(vocabulary.keys() & read_words(TOKENIZER).keys()) > 0.7 * VOCAB_SIZE


def test_the_checkpoint_is_small_and_loads_like_any_other():
    assert (DEMO / "model.safetensors").stat().st_size <= 25_000_000
    model = load_checkpoint(DEMO)
    assert model.config.language.pattern.count("M") == 4


@pytest.mark.parametrize("kind", ["M", "*", "E"])
def test_the_model_has_every_kind_of_layer(kind):
    assert kind in config_json()["llm_config"]["hybrid_override_pattern"]
