from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracle import Processor
from transformers import PreTrainedTokenizerFast

from omnireel.prompting.layout import lay_out_prompt, time_labels
from omnireel.text.chat import ChatTemplate, video_messages
from omnireel.text.tokenizer import Tokenizer
from omnireel.video.sample import choose_frames

RATES = [10.0, 15.0, 23.976, 24.0, 25.0, 29.97, 30.0, 50.0, 59.94, 60.0]


def oracle_video_text(indices, source_fps, tokens_per_tubelet):
    """The text that transformers puts in place of <video>."""
    # It takes one metadata object, although its own callers pass a list.
    metadata = SimpleNamespace(fps=source_fps, frames_indices=indices)
    processor = SimpleNamespace(
        image_start_token="<img>", image_token="<image>", image_end_token="</img>", video_temporal_patch_dim=2
    )
    counts = {"num_tokens": [tokens_per_tubelet]}
    return Processor.replace_video_token(
        processor, counts, 0, num_frames=len(indices), video_metadata=metadata
    )


@given(
    st.lists(st.integers(0, 7200), min_size=1, max_size=9, unique=True).map(sorted),
    st.sampled_from(RATES) | st.floats(1, 240),
)
def test_label_strings_are_those_of_transformers(indices, source_fps):
    ours = "\n".join(f"{label}<img><image></img>" for label in time_labels(indices, source_fps))
    assert ours == oracle_video_text(indices, source_fps, 1)


@given(st.integers(1, 7200), st.sampled_from(RATES), st.floats(0.1, 60), st.integers(1, 600))
def test_frame_indices_are_those_of_vllm(num_frames, source_fps, fps, max_frames):
    """transformers leaves the choice to its caller. The rule is vLLM's, written with numpy as in vLLM."""
    count = max(1, min(num_frames, max_frames, int(np.floor(num_frames / source_fps * fps))))
    theirs = np.linspace(0, num_frames - 1, count, dtype=int).tolist()
    assert choose_frames(num_frames, source_fps, fps=fps, max_frames=max_frames) == theirs


@pytest.mark.parametrize("thinking", [True, False])
@pytest.mark.parametrize("prompt", ["What happens?", "Wo ist die rote Kugel – links?\nUnd dann?", "10 + 10"])
def test_prompt_ids_are_those_of_transformers_over_the_whole_string(text_directory, prompt, thinking):
    """transformers renders the template, expands the video and encodes the whole string at once."""
    theirs = PreTrainedTokenizerFast(tokenizer_file=str(text_directory / "tokenizer.json"))
    theirs.chat_template = (text_directory / "chat_template.jinja").read_text()
    messages = video_messages(prompt, system_prompt=None, thinking=thinking)
    whole = theirs.apply_chat_template(
        messages, tokenize=False, add_generation_prompt=True, enable_thinking=thinking
    )
    indices = [0, 15, 31, 47, 62]
    assert whole.count("<video>") == 1
    whole = whole.replace("<video>", oracle_video_text(indices, 29.97, 6))

    pieces = ChatTemplate.from_directory(text_directory).render(messages, enable_thinking=thinking)
    labels = time_labels(indices, 29.97)
    ours = lay_out_prompt(pieces, labels, [6] * 3, Tokenizer.from_directory(text_directory))
    assert ours.ids == theirs(whole, add_special_tokens=False)["input_ids"]
