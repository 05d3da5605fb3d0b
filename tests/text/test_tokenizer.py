import copy
import json
import threading
import time

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


@given(texts | st.text(st.sampled_from("ab \n\t?!-_<s>/é映🎧")), st.integers(1, 7))
@example(" " * 400, 7)
@example("th" * 200, 1)
def test_the_fewest_tokens_are_no_more_than_there_are(tokenizer, text, slice_length):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("omnireel.text.tokenizer._SLICE", slice_length)
        assert tokenizer.fewest_tokens(text) <= len(tokenizer.encode_text(text))


def test_the_fewest_tokens_of_a_kind_of_text_come_from_the_longest_token_of_that_kind():
    description = toy.tokenizer_description()
    description["model"]["vocab"] |= {"Ġ" * 128: 900, "-" * 64: 901, "Ġinternationally": 902}
    tokenizer = Tokenizer(description)
    assert tokenizer.fewest_tokens(" " * 12_800) == 100
    assert tokenizer.fewest_tokens("-" * 12_800) == 200
    assert tokenizer.fewest_tokens("x" * 1500) == 100
    assert tokenizer.fewest_tokens("映" * 500) == 100
    assert tokenizer.fewest_tokens("") == 0


@pytest.mark.parametrize(
    "stages",
    [
        {"normalizer": {"type": "NFC"}},
        {"pre_tokenizer": {"type": "Whitespace"}},
        {
            "pre_tokenizer": {
                "type": "Sequence",
                "pretokenizers": [
                    {"type": "Split", "pattern": {"String": " "}, "behavior": "Removed", "invert": False},
                    {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True},
                ],
            }
        },
    ],
    ids=["normalised", "words only", "separators dropped"],
)
def test_nothing_is_certain_where_text_is_changed_before_it_is_tokenised(stages):
    tokenizer = Tokenizer(toy.tokenizer_description() | stages)
    assert tokenizer.fewest_tokens("a " * 10_000) == 0


def test_other_threads_run_while_a_text_is_tokenised(tokenizer):
    # The machine itself may keep a thread waiting, so one good run of three is enough.
    assert any(longest < took_s / 2 for longest, took_s in (longest_gap(tokenizer) for _ in range(3)))


def longest_gap(tokenizer):
    """How long another thread waited at most while a text was tokenised, and how long that took, in seconds."""
    text, gaps, is_over = "the ten " * 100_000, [], threading.Event()

    def look_at_the_clock():
        last = time.perf_counter()
        while not is_over.is_set():
            time.sleep(0.001)
            now = time.perf_counter()
            gaps.append(now - last)
            last = now

    clock = threading.Thread(target=look_at_the_clock)
    clock.start()
    start = time.perf_counter()
    tokenizer.encode_text(text)
    took_s = time.perf_counter() - start
    is_over.set()
    clock.join()
    return max(gaps), took_s
