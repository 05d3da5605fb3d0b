"""The shipped checkpoint is what the recipe says, in the official layout."""

import json
from pathlib import Path

import pytest

import omnireel
from omnireel.model.checkpoint.load import load_checkpoint
from training.recipe import VOCAB_SIZE, config_json
from training.vocabulary import CONTROL_TOKENS, TOKENIZER, read_words, train_tokenizer, write_text_files

DEMO = Path(omnireel.__file__).parent / "assets" / "demo"


def test_its_config_is_the_recipes():
    stored = json.loads((DEMO / "config.json").read_text())
    assert stored == json.loads(json.dumps(config_json()))


def test_its_text_files_are_made_again_byte_for_byte(tmp_path):
    write_text_files(tmp_path)
    for path in tmp_path.iterdir():
        assert (DEMO / path.name).read_bytes() == path.read_bytes(), path.name


def test_words_that_are_drawn_anew_are_as_many_and_mostly_the_same():
    drawn = train_tokenizer().get_vocab()
    assert len(drawn) == VOCAB_SIZE
    assert {drawn[token] for token in CONTROL_TOKENS.values()} == set(CONTROL_TOKENS)
    assert len(drawn.keys() & read_words(TOKENIZER).keys()) > 0.9 * VOCAB_SIZE


def test_it_is_small_and_loads_as_any_other():
    assert (DEMO / "model.safetensors").stat().st_size <= 25_000_000
    model = load_checkpoint(DEMO)
    assert model.config.language.pattern.count("M") == 4


@pytest.mark.parametrize("kind", ["M", "*", "E"])
def test_it_has_every_kind_of_layer(kind):
    assert kind in config_json()["llm_config"]["hybrid_override_pattern"]
