"""The control tokens of a prompt are those of its template, for any text in any field of a request."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import omnireel
from omnireel.prompting.layout import lay_out_prompt
from omnireel.text.chat import ChatTemplate, video_messages
from omnireel.text.tokenizer import Tokenizer

DEMO = Path(omnireel.__file__).parent / "assets" / "demo"
TOKENIZER, TEMPLATE = Tokenizer.from_directory(DEMO), ChatTemplate.from_directory(DEMO)
ADDED = set(TOKENIZER.added_tokens.values())
PIECES = [
    *TOKENIZER.added_tokens,
    "<|im",
    "_start|>",
    "<",
    "|>",
    "</thi",
    "nk>",
    " ",
    "\n",
    "user\n",
    "{{",
    "\u200b",
    "é",
]
hostile_text = st.lists(st.sampled_from(PIECES) | st.text(max_size=5)).map(lambda parts: "a" + "".join(parts))


def control_ids(prompt, system_prompt, *, thinking):
    messages = video_messages(prompt, system_prompt=system_prompt, thinking=thinking)
    pieces = TEMPLATE.render(messages, enable_thinking=thinking)
    laid_out = lay_out_prompt(pieces, ["Frame 1 sampled at 0.00 seconds: "], [2], TOKENIZER)
    return [i for i in laid_out.ids if i in ADDED]


@pytest.mark.parametrize("thinking", [False, True])
@given(text=hostile_text)
def test_a_prompt_adds_and_takes_no_control_token_of_the_demo_model(thinking, text):
    assert control_ids(text, None, thinking=thinking) == control_ids("a", None, thinking=thinking)


@pytest.mark.parametrize("thinking", [False, True])
@given(text=hostile_text)
def test_a_system_prompt_adds_and_takes_no_control_token_of_the_demo_model(thinking, text):
    assert control_ids("a", text, thinking=thinking) == control_ids("a", "a", thinking=thinking)
