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
        ("It is", "<think>It is", "It is"),
        ("It is </thin", "<think>It is </thin", "It is </thin"),
        ("It is.\n</think>\n", "<think>It is.</think>", "It is."),
        ("</think>Red.", "<think></think>Red.", ""),
        ("", "<think>", ""),
    ],
)
def test_thinking_puts_the_chain_between_tags(tokenizer, text, output, reasoning):
    answer = streamed(tokenizer, text, thinking=True)
    assert (answer.output, answer.reasoning) == (output, reasoning)


def test_without_thinking_the_output_is_the_answer_alone(tokenizer):
    answer = streamed(tokenizer, "<think>It is red.</think>Red.", thinking=False)
    assert (answer.output, answer.reasoning) == ("Red.", None)


@given(st.lists(st.sampled_from(["<think>", "</think>", "<", "a ", "\n", "é", "<tool_call>"])).map("".join))
def test_thinking_has_a_tag_once_and_the_closing_one_where_the_chain_has_ended(tokenizer, text):
    answer = streamed(tokenizer, text, thinking=True)
    assert answer.output.startswith("<think>")
    has_ended = "</think>" in text or "<tool_call>" in text
    assert (answer.output.count("<think>"), answer.output.count("</think>")) == (1, has_ended)
    assert answer.is_chain_open is not has_ended
    assert answer.has_answer is bool(answer.output.partition("</think>")[2])
