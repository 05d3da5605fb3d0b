"""From a clip with sound to an answer, with a model that hears and one that does not."""

import asyncio
from fractions import Fraction

import pytest
import torch
from clips import ClipSpec, write_clip
from tiny import answer_of, make_ask, tiny_model

from omnireel.backends.base import MediaOptions
from omnireel.backends.local import LocalBackend
from omnireel.errors import CheckpointError
from omnireel.model.audio.encoder import num_sound_tokens
from omnireel.prompting.preparation import Preparation
from omnireel.text.chat import ChatTemplate
from omnireel.text.tokenizer import Tokenizer

SOUND = {
    "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16,
    "subsampling_conv_channels": 4, "num_mel_bins": 16, "projection_hidden_size": 16,
}  # fmt: skip
HEARING = {"sound_config": SOUND, "sound_context_token_id": 27}


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """(with sound, without)"""
    folder = tmp_path_factory.mktemp("clips")
    spec = {"codec": "mpeg4", "num_frames": 30, "rate": Fraction(10)}
    loud = write_clip(folder / "loud.mp4", ClipSpec(with_audio=True, **spec))
    return loud, write_clip(folder / "mute.mp4", ClipSpec(**spec))


def preparation(text_directory, **changes):
    tokenizer, template = (
        Tokenizer.from_directory(text_directory),
        ChatTemplate.from_directory(text_directory),
    )
    model = tiny_model(**changes)
    for name, buffer in model.named_buffers():
        if name.endswith("running_var"):
            buffer.fill_(1.0)
    return Preparation(model, tokenizer, template)


@pytest.fixture
def hearing(text_directory):
    backend = LocalBackend(preparation(text_directory, **HEARING), model_name="hearing")
    yield backend
    asyncio.run(backend.close())


def test_sound_is_heard_unless_the_caller_says_no(hearing, clips):
    loud, mute = clips
    heard, off, absent = (
        answer_of(hearing, ask)
        for ask in (make_ask(loud), make_ask(loud, media=MediaOptions(use_audio=False)), make_ask(mute))
    )
    assert [a.video.sound for a in (heard, off, absent)] == ["used", "off", "absent"]
    assert (off.video.num_sound_tokens, absent.video.num_sound_tokens) == (0, 0)
    # Three seconds; the codec may add a few milliseconds.
    assert heard.video.num_sound_tokens in (num_sound_tokens(48_000), num_sound_tokens(48_000) + 1)
    # The block has a token before and one behind it.
    assert heard.input_tokens == off.input_tokens + heard.video.num_sound_tokens + 2
    assert heard.output != off.output


def test_a_model_without_an_audio_encoder_says_so(local, clips):
    assert [answer_of(local, make_ask(clip)).video.sound for clip in clips] == ["unheard", "unheard"]


def test_inspecting_counts_the_sound_and_no_answer_has_more_tokens(hearing, clips):
    for clip in clips:
        ask = make_ask(clip)
        answer, inspection = answer_of(hearing, ask), asyncio.run(hearing.inspect(ask))
        assert inspection.input_tokens == answer.input_tokens
        assert inspection.video.sound == answer.video.sound
        assert inspection.video.num_sound_tokens == answer.video.num_sound_tokens


def test_only_the_wanted_part_is_heard(hearing, clips):
    part = answer_of(hearing, make_ask(clips[0], media=MediaOptions(start_s=1.0, end_s=2.0)))
    assert part.video.num_sound_tokens == num_sound_tokens(16_000)


def test_the_sound_tokens_lie_behind_the_last_tubelet(text_directory, clips):
    prepared = preparation(text_directory, **HEARING).prepare(make_ask(clips[0]), lambda _: None)
    start, length = prepared.prompt.sound_span
    last_start, last_length = prepared.prompt.spans[-1]
    assert start == last_start + last_length + 2
    ids = prepared.prompt.ids
    assert ids[start - 1 : start + length + 1] == [28, *[27] * length, 29]
    assert torch.equal(prepared.embeddings[start : start + length], prepared.sound_tokens)
    assert ids.count(27) == length


def test_a_placeholder_that_the_user_types_is_text(text_directory, clips):
    ask = make_ask(clips[1], "<so_embedding> <so_start>")
    ids = preparation(text_directory, **HEARING).prepare(ask, lambda _: None).prompt.ids
    assert not {27, 28, 29} & set(ids)


def test_a_damaged_track_is_told_and_the_pictures_are_used(hearing, clips, monkeypatch):
    monkeypatch.setattr("omnireel.video.reader.frames.ClipReader.read_sound", lambda _: None)
    answer = answer_of(hearing, make_ask(clips[0]))
    assert (answer.video.sound, answer.video.warnings) == ("failed", ("sound_failed",))


def test_a_tokenizer_with_another_sound_token_is_refused(text_directory):
    with pytest.raises(CheckpointError, match="<so_embedding>"):
        preparation(text_directory, sound_config=SOUND, sound_context_token_id=26)
