import copy
import json

import pytest
import toy_text as toy
from hypothesis import example, given
from hypothesis import strategies as st
from tokenizers import Tokenizer as HfTokenizer

from omnireel.errors import CheckpointError
from omnireel.text.tokenizer import Tokenizer

ADDED = [token["content"] for token in toy.tokenizer_description()["added_tokens"]]
texts = st.text() | st.lists(st.sampled_from([*ADDED, "<", "s>", "the", " 10 ", "é", "\n"])).map("".join)


@given(texts)
@example("<s>")
@example(" the</s>")
def test_text_never_yields_an_added_token(tokenizer, text):
    ids = tokenizer.encode_text(text)
    assert not set(ids) & set(tokenizer.added_tokens.values())
    assert b"".join(map(tokenizer.token_bytes, ids)) == text.encode()


@given(texts)
def test_markup_is_encoded_as_the_whole_tokenizer_encodes_it(tokenizer, whole_tokenizer, text):
    assert tokenizer.encode_markup(text) == whole_tokenizer.encode(text, add_special_tokens=False).ids


@pytest.fixture(scope="module")
def whole_tokenizer(directory):
    return HfTokenizer.from_file(str(directory / "tokenizer.json"))


def test_the_longest_of_two_added_tokens_wins():
    description = toy.tokenizer_description()
    description["added_tokens"][30]["content"] = "<img"
    assert Tokenizer(description).encode_markup("<img><img") == [21, 30]


def test_merges_are_applied(tokenizer):
    assert len(tokenizer.encode_text(" the")) == 1


def test_merges_written_as_one_string_are_read_too():
    description = toy.tokenizer_description()
    description["model"]["merges"] = [" ".join(merge) for merge in description["model"]["merges"]]
    assert len(Tokenizer(description).encode_text(" the")) == 1


def test_answers_end_at_the_turns_end_and_at_the_generation_configs_tokens(directory, tokenizer, tmp_path):
    assert tokenizer.stop_ids == {2, 11}
    toy.write_text_files(tmp_path)
    (tmp_path / "generation_config.json").write_text('{"eos_token_id": 5}')
    assert Tokenizer.from_directory(tmp_path).stop_ids == {2, 5, 11}
    (tmp_path / "generation_config.json").unlink()
    assert Tokenizer.from_directory(tmp_path).stop_ids == {2, 11}


def test_control_tokens_are_found_by_name(tokenizer):
    assert tokenizer.id_of("<image>") == 18
    with pytest.raises(CheckpointError, match="<video>"):
        tokenizer.id_of("<video>")


def test_control_tokens_other_than_tags_have_no_text(tokenizer):
    assert tokenizer.token_bytes(12) == b"<think>"
    assert tokenizer.token_bytes(18) == b""
    assert tokenizer.token_bytes(10**6) == b""


def test_a_directory_without_a_tokenizer_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match=r"no tokenizer\.json"):
        Tokenizer.from_directory(tmp_path)


def test_a_token_with_a_character_that_stands_for_no_byte_is_refused():
    description = toy.tokenizer_description()
    description["model"]["vocab"]["漢"] = 999
    with pytest.raises(CheckpointError, match=r"not byte-level.*漢"):
        Tokenizer(description)


def test_a_tokenizer_that_lacks_a_byte_is_refused():
    description = copy.deepcopy(toy.tokenizer_description())
    del description["model"]["vocab"]["Ā"]
    with pytest.raises(CheckpointError, match="1 of 256 bytes"):
        Tokenizer(description)


@pytest.mark.parametrize("token", ["  ", "\n\n", "\t", "\u00a0"])
def test_an_added_token_of_white_space_is_refused(directory, token):
    description = json.loads((directory / "tokenizer.json").read_text())
    description["added_tokens"].append({"id": 9_999, "content": token, "special": False})
    with pytest.raises(CheckpointError, match="white space"):
        Tokenizer(description)


def test_another_kind_of_tokenizer_is_refused(tmp_path):
    (tmp_path / "tokenizer.json").write_text('{"added_tokens": [], "model": {"type": "Unigram"}}')
    with pytest.raises(CheckpointError, match="not a byte-level BPE"):
        Tokenizer.from_directory(tmp_path)


@pytest.mark.parametrize(
    "text", ['{"eos_token_id": "2"}', '{"eos_token_id": [true]}', "[]", "{", '{"eos_token_id": [-1]}']
)
def test_end_tokens_that_are_not_ids_are_refused(tmp_path, text):
    toy.write_text_files(tmp_path)
    (tmp_path / "generation_config.json").write_text(text)
    with pytest.raises(CheckpointError, match=r"generation_config\.json"):
        Tokenizer.from_directory(tmp_path)
