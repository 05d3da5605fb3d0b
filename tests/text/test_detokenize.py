from hypothesis import given
from hypothesis import strategies as st

from omnireel.text.detokenize import Detokenizer


def deltas(tokenizer, ids):
    detokenizer = Detokenizer(tokenizer)
    return [*(detokenizer.push(i) for i in ids), detokenizer.finish()]


@given(st.text())
def test_detokenising_in_pieces_gives_the_text_back(tokenizer, text):
    assert "".join(deltas(tokenizer, tokenizer.encode_text(text))) == text


@given(st.lists(st.integers(0, 320)))
def test_any_ids_in_pieces_equal_the_whole(tokenizer, ids):
    whole = b"".join(map(tokenizer.token_bytes, ids)).decode("utf-8", "replace")
    assert "".join(deltas(tokenizer, ids)) == whole


def test_a_character_is_held_back_until_it_is_whole(tokenizer):
    assert deltas(tokenizer, tokenizer.encode_text("a€")) == ["a", "", "", "€", ""]


def test_a_character_that_never_ends_is_replaced(tokenizer):
    assert deltas(tokenizer, tokenizer.encode_text("€")[:2]) == ["", "", "\ufffd"]
