import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tokenizers import Tokenizer as HfTokenizer
from transformers import PreTrainedTokenizerFast

from omnireel.errors import CheckpointError
from omnireel.text.chat import ChatTemplate, Piece, video_messages

QUESTION = video_messages("What moves?", system_prompt="Be brief.", thinking=False)


@pytest.fixture(scope="module")
def hf_tokenizer(directory):
    hf = PreTrainedTokenizerFast(tokenizer_object=HfTokenizer.from_file(str(directory / "tokenizer.json")))
    hf.chat_template = (directory / "chat_template.jinja").read_text()
    return hf


@given(st.text(), st.text(), st.booleans())
@example("{{ 7 * 7 }} {% raw %}", "  padded\n", True)
@example("<video>", "x", False)
def test_the_rendered_text_is_what_transformers_renders(template, hf_tokenizer, prompt, system, thinking):
    messages = video_messages(prompt, system_prompt=system, thinking=thinking)
    pieces = template.render(messages, enable_thinking=thinking)
    expected = hf_tokenizer.apply_chat_template(
        messages, tokenize=False, add_generation_prompt=True, enable_thinking=thinking
    )
    assert "".join(piece.text for piece in pieces) == expected


def test_white_space_around_blocks_is_cut_as_transformers_cuts_it(hf_tokenizer):
    source = "a\n  {% if true %}\n{{ messages[0].content }}\n  {% endif %}\n b {# c #}\n"
    messages = [{"role": "user", "content": "Hi"}]
    pieces = ChatTemplate(source).render(messages, enable_thinking=True)
    expected = hf_tokenizer.apply_chat_template(messages, chat_template=source, tokenize=False)
    assert "".join(piece.text for piece in pieces) == expected


def test_a_conversation_is_split_into_markup_text_and_video(template):
    assert template.render(QUESTION, enable_thinking=False) == [
        Piece("markup", "<|im_start|>system\n"),
        Piece("text", "Be brief."),
        Piece("markup", "<|im_end|>\n<|im_start|>user\n"),
        Piece("video", "<video>"),
        Piece("text", "What moves?"),
        Piece("markup", "<|im_end|>\n<|im_start|>assistant\n<think></think>"),
    ]


def test_a_placeholder_that_the_user_typed_is_text(template):
    pieces = template.render(video_messages("<video>", system_prompt="", thinking=True), enable_thinking=True)
    assert [piece.kind for piece in pieces] == ["markup", "video", "text", "markup"]


@pytest.mark.parametrize(("thinking", "token"), [(True, "/think"), (False, "/no_think")])
def test_without_a_system_prompt_the_control_token_is_the_system_message(template, thinking, token):
    messages = video_messages("Hi", system_prompt=None, thinking=thinking)
    pieces = template.render(messages, enable_thinking=thinking)
    assert pieces[0].text == f"<|im_start|>system\n{token}<|im_end|>\n<|im_start|>user\n"


def test_an_empty_system_prompt_is_not_the_control_token(template):
    messages = video_messages("Hi", system_prompt="", thinking=True)
    assert template.render(messages, enable_thinking=True)[0].text.startswith(
        "<|im_start|>system\n<|im_end|>"
    )


def test_the_thinking_switch_reaches_the_template(template):
    assert template.render(QUESTION, enable_thinking=True)[-1].text.endswith("<think>\n")


BODY = (
    "{% for p in messages[1].content %}"
    "{% if p.type == 'video' %}<video>{% else %}{{ p.text }}{% endif %}"
    "{% endfor %}"
)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("{% if %}", "Line 1"),
        ("{{ raise_exception('no system role') }}", "no system role"),
        ("{{ messages[0].content + 1 }}", "failed"),
        ("{{ messages[0].content }}" + BODY.replace("<video>", ""), "0 videos"),
        ("{{ messages[0].content }}" + BODY.replace("<video>", "<video><video>"), "2 videos"),
        (BODY, "the whole text of each message"),
        ("{{ messages[0].content[:9] }}" + BODY, "the whole text of each message"),
        ("{{ messages.append(1) }}", "failed"),
        ("{{ ''.__class__.__mro__ }}", "failed"),
    ],
)
def test_a_template_that_cannot_be_used_is_refused(source, message):
    with pytest.raises(CheckpointError, match=message):
        ChatTemplate(source).render(QUESTION, enable_thinking=False)


def test_templates_may_break_out_of_loops_and_write_json():
    source = (
        "{{ messages[0].content }}{% for n in [1, 2] %}{{ {'é<': n} | tojson }}{% break %}{% endfor %}" + BODY
    )
    pieces = ChatTemplate(source).render(QUESTION, enable_thinking=False)
    assert pieces[1].text == '{"é<": 1}'


def test_the_template_may_be_in_the_tokenizers_config_and_use_its_tokens(tmp_path):
    config = {
        "chat_template": "{{ bos_token }}{{ eos_token }}{{ messages[0].content }}" + BODY,
        "bos_token": "<s>",
        "eos_token": {"content": "</s>"},
    }
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    pieces = ChatTemplate.from_directory(tmp_path).render(QUESTION, enable_thinking=False)
    assert pieces[0] == Piece("markup", "<s></s>")


def test_a_directory_without_a_template_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match=r"no chat_template\.jinja"):
        ChatTemplate.from_directory(tmp_path)


def test_a_template_can_use_the_reasoning_budget():
    source = (
        "{{ messages[0].content }}{{ messages[1].content[1].text }}<video>"
        "{{ reasoning_budget | default('as many as you like') }}"
    )
    template = ChatTemplate(source)
    ends = [
        template.render(QUESTION, enable_thinking=True, reasoning_budget=budget)[-1].text
        for budget in (None, 64, 0)
    ]
    assert ends == ["as many as you like", "64", "0"]
