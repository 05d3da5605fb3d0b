import pytest
import toy_text as toy
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer as HfTokenizer

from omnireel.prompting.layout import lay_out_prompt, time_labels
from omnireel.text.chat import Piece, video_messages

ADDED = [token["content"] for token in toy.tokenizer_description()["added_tokens"]]
LABELS = [
    "Frame 1 sampled at 0.00 seconds and frame 2 sampled at 0.49 seconds: ",
    "Frame 3 sampled at 0.99 seconds: ",
]


def lay_out(template, tokenizer, prompt, *, system_prompt=None, counts=(3, 0)):
    messages = video_messages(prompt, system_prompt=system_prompt, thinking=False)
    return lay_out_prompt(template.render(messages, enable_thinking=False), LABELS, counts, tokenizer)


def test_labels_name_both_frames_and_their_times():
    assert time_labels([0, 15, 31, 47], 25) == [
        "Frame 1 sampled at 0.00 seconds and frame 2 sampled at 0.60 seconds: ",
        "Frame 3 sampled at 1.24 seconds and frame 4 sampled at 1.88 seconds: ",
    ]


def test_a_tubelet_with_one_real_frame_has_half_a_label():
    assert time_labels([0, 15, 30], 30) == LABELS
    assert time_labels([7], 50) == ["Frame 1 sampled at 0.14 seconds: "]


@pytest.mark.parametrize(
    ("index", "source_fps", "seconds"),
    [
        (1799, 30, "59.37"),
        (1798, 29.97, "59.33"),
        (1439, 24, "59.00"),
        (3599, 60, "57.58"),
        (1499, 25, "59.96"),
    ],
)
def test_times_drift_with_the_whole_milliseconds_of_a_frame(index, source_fps, seconds):
    assert time_labels([index], source_fps) == [f"Frame 1 sampled at {seconds} seconds: "]


def test_labels_follow_the_number_of_frames_in_a_tubelet():
    assert time_labels([0, 25], 25, 1) == [
        "Frame 1 sampled at 0.00 seconds: ",
        "Frame 2 sampled at 1.00 seconds: ",
    ]


def test_each_tubelet_is_its_label_and_its_kept_tokens(template, tokenizer):
    prompt = lay_out(template, tokenizer, "What moves?")
    encode = tokenizer.encode_text
    assert prompt.ids == [
        *[10, *encode("system\n/no_think"), 11, *encode("\n"), 10, *encode("user\n")],
        *[*encode(LABELS[0]), 21, 18, 18, 18, 22],
        *[*encode("\n" + LABELS[1]), 21, 22],
        *[*encode("What moves?"), 11, *encode("\n"), 10, *encode("assistant\n"), 12, 13],
    ]


def test_spans_point_at_the_kept_tokens(template, tokenizer):
    prompt = lay_out(template, tokenizer, "What moves?", counts=(3, 5))
    assert [length for _, length in prompt.spans] == [3, 5]
    marked = {i for start, length in prompt.spans for i in range(start, start + length)}
    assert marked == {i for i, token in enumerate(prompt.ids) if token == 18}


@pytest.mark.parametrize("token", ADDED)
def test_a_control_token_in_the_users_text_stays_text(template, tokenizer, token):
    added = set(tokenizer.added_tokens.values())

    def control_ids(prompt, system_prompt):
        ids = lay_out(template, tokenizer, prompt, system_prompt=system_prompt).ids
        return [i for i in ids if i in added]

    assert control_ids(f"a {token}{token} b", token) == control_ids("a b", "c")


@given(st.lists(st.sampled_from([*ADDED, "<vid", "eo>", "<|im_", "start|>", " ", "\n"])).map("".join))
def test_no_user_text_changes_the_control_tokens(template, tokenizer, text):
    added = set(tokenizer.added_tokens.values())
    ids = lay_out(template, tokenizer, text, system_prompt=text).ids
    assert [i for i in ids if i in added] == [10, 11, 10, 21, 18, 18, 18, 22, 21, 22, 11, 10, 12, 13]


@given(st.text().map(lambda text: text.replace("<", "(")))
def test_plain_text_is_encoded_as_transformers_encodes_the_whole(template, tokenizer, whole_tokenizer, text):
    pieces = template.render(video_messages("x", system_prompt=text, thinking=False), enable_thinking=False)
    before_video = pieces[: [piece.kind for piece in pieces].index("video")]
    whole = "".join(piece.text for piece in before_video)
    expected = whole_tokenizer.encode(whole, add_special_tokens=False).ids
    assert lay_out_prompt(before_video, [], [], tokenizer).ids == expected


@pytest.fixture(scope="module")
def whole_tokenizer(directory):
    return HfTokenizer.from_file(str(directory / "tokenizer.json"))


def test_a_prompt_without_a_video_has_no_spans(tokenizer):
    prompt = lay_out_prompt([Piece("text", "the")], [], [], tokenizer)
    assert prompt.spans == []
