import pytest
from hypothesis import given
from hypothesis import strategies as st

from omnireel.text.answer import AnswerText


def streamed(tokenizer, text, *, thinking):
    answer = AnswerText(tokenizer, thinking=thinking)
    deltas = [*(answer.push(i) for i in tokenizer.encode_markup(text)), answer.finish()]
    assert "".join(deltas) == answer.output
    return answer


@pytest.mark.parametrize(
    ("text", "output", "reasoning"),
    [
        ("It is red.\n</think>\nRed.", "<think>It is red.</think>Red.", "It is red."),
        ("It is", "<think>It is</think>", "It is"),
        ("</think>Red.", "<think></think>Red.", ""),
        ("", "<think></think>", ""),
    ],
)
def test_thinking_puts_the_chain_between_tags(tokenizer, text, output, reasoning):
    answer = streamed(tokenizer, text, thinking=True)
    assert (answer.output, answer.reasoning) == (output, reasoning)


def test_without_thinking_the_output_is_the_answer_alone(tokenizer):
    answer = streamed(tokenizer, "<think>It is red.</think>Red.", thinking=False)
    assert (answer.output, answer.reasoning) == ("Red.", None)


@given(st.lists(st.sampled_from(["<think>", "</think>", "<", "a ", "\n", "é", "<tool_call>"])).map("".join))
def test_thinking_has_each_tag_once_for_any_output(tokenizer, text):
    output = streamed(tokenizer, text, thinking=True).output
    assert output.startswith("<think>")
    assert (output.count("<think>"), output.count("</think>")) == (1, 1)
