import pytest
from hypothesis import given
from hypothesis import strategies as st

from omnireel.text.reasoning import ReasoningSplitter, split

parts = st.sampled_from(
    ["<think>", "</think>", "<tool_call>", "<", "</", "th", "think>", " ", "\n", "a", "b c"]
)


@pytest.mark.parametrize(
    ("text", "reasoning", "answer"),
    [
        ("\nIt is red.\n</think>\n\nRed.", "It is red.", "Red."),
        ("It is red.", "It is red.", ""),
        ("<think>It is red.</think>Red.", "It is red.", "Red."),
        ("a</think>b</think>c", "a", "bc"),
        ("a</think><think>b", "a", "b"),
        ("a <tool_call>f</tool_call>", "a", "<tool_call>f</tool_call>"),
        ("</think>b", "", "b"),
        ("a < b </thin", "a < b </thin", ""),
        ("a</think>b \n", "a", "b \n"),
        ("", "", ""),
    ],
)
def test_reasoning_ends_at_the_first_closing_tag(text, reasoning, answer):
    assert split(text, starts_inside=True) == (reasoning, answer)


@pytest.mark.parametrize(
    ("text", "reasoning", "answer"),
    [
        ("\nRed.", "", "Red."),
        ("Red.</think> Yes.", "", "Red. Yes."),
        ("<think>It is red.</think>Red.", "It is red.", "Red."),
        ("Red. <think>No.", "", "Red. No."),
    ],
)
def test_without_an_open_tag_everything_is_answer(text, reasoning, answer):
    assert split(text, starts_inside=False) == (reasoning, answer)


def test_an_answer_that_is_all_reasoning_becomes_the_answer():
    assert split("<think>It is red.", starts_inside=False).answer == "It is red."
    assert split("<think>It is red.</think>", starts_inside=False).answer == "It is red."


@given(st.lists(parts), st.booleans(), st.data())
def test_a_stream_in_pieces_splits_as_the_whole(pieces, starts_inside, data):
    text = "".join(pieces)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)))))
    splitter = ReasoningSplitter(starts_inside=starts_inside)
    out = [splitter.push(text[a:b]) for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    out.append(splitter.finish())
    assert tuple(map("".join, zip(*out, strict=True))) == split(text, starts_inside=starts_inside)


def test_a_tag_that_may_be_starting_is_held_back():
    splitter = ReasoningSplitter(starts_inside=True)
    assert splitter.push("so </thi") == ("so", "")
    assert splitter.push("nk> yes") == ("", "yes")
