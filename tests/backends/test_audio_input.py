"""From a clip with sound to an answer, with a model that has an audio encoder and one that has none."""

import asyncio
from fractions import Fraction

import pytest
import torch
from clips import ClipSpec, write_clip
from tiny import (
    SOUND,
    WITH_SOUND,
    answer_of,
    files_of,
    inspection_of,
    local_backend,
    make_task,
    tiny_encoder,
    tiny_model,
)

from omnireel.errors import CheckpointError
from omnireel.model.token_counts import num_sound_tokens
from omnireel.task import MediaOptions


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """(with sound, without)"""
    folder = tmp_path_factory.mktemp("clips")
    spec = {"codec": "mpeg4", "num_frames": 30, "rate": Fraction(10)}
    loud = write_clip(folder / "loud.mp4", ClipSpec(with_audio=True, **spec))
    return loud, write_clip(folder / "mute.mp4", ClipSpec(**spec))


def encode(text_directory, task):
    return tiny_encoder(tiny_model(**WITH_SOUND), text_directory).encode(task, files_of(task), lambda _: None)


@pytest.fixture
def with_encoder(text_directory):
    """A backend whose model has an audio encoder."""
    backend = local_backend(tiny_encoder(tiny_model(**WITH_SOUND), text_directory))
    yield backend
    asyncio.run(backend.close())


def test_a_clip_without_sound_has_none_with_and_without_an_audio_encoder(local, clips):
    loud, mute = clips
    assert [answer_of(local, make_task(clip)).video.sound for clip in (loud, mute)] == ["unheard", "absent"]


def test_sound_is_used_unless_the_task_leaves_it_out(with_encoder, clips):
    loud, mute = clips
    tasks = (make_task(loud), make_task(loud, media=MediaOptions(use_audio=False)), make_task(mute))
    used, off, absent = (answer_of(with_encoder, task) for task in tasks)
    assert [answer.video.sound for answer in (used, off, absent)] == ["used", "off", "absent"]
    assert (off.video.num_sound_tokens, absent.video.num_sound_tokens) == (0, 0)
    # Three seconds; the codec may add a few milliseconds.
    assert used.video.num_sound_tokens in (num_sound_tokens(48_000), num_sound_tokens(48_000) + 1)
    # The block has one token before it and one after it.
    assert used.input_tokens == off.input_tokens + used.video.num_sound_tokens + 2
    assert used.output != off.output


def test_inspecting_counts_the_tokens_of_the_sound(with_encoder, clips):
    for clip in clips:
        task = make_task(clip)
        answer, inspection = answer_of(with_encoder, task), inspection_of(with_encoder, task)
        assert inspection.input_tokens == answer.input_tokens
        assert inspection.video.sound == answer.video.sound
        assert inspection.video.num_sound_tokens == answer.video.num_sound_tokens


def test_inspecting_reports_the_span_of_the_sound(with_encoder, local, clips):
    loud, mute = clips
    part = MediaOptions(start_s=1.0, end_s=2.0)
    assert inspection_of(with_encoder, make_task(loud, media=part)).sound_span_s == pytest.approx(
        (1, 2), abs=0.05
    )
    assert inspection_of(with_encoder, make_task(loud)).sound_span_s == pytest.approx((0, 3), abs=0.1)
    assert inspection_of(with_encoder, make_task(mute)).sound_span_s is None
    assert inspection_of(local, make_task(loud)).sound_span_s is None


def test_only_the_chosen_part_of_the_sound_is_used(with_encoder, clips):
    part = answer_of(with_encoder, make_task(clips[0], media=MediaOptions(start_s=1.0, end_s=2.0)))
    assert part.video.num_sound_tokens == num_sound_tokens(16_000)


def test_the_sound_tokens_follow_the_last_tubelet(text_directory, clips):
    encoded = encode(text_directory, make_task(clips[0]))
    start, length = encoded.prompt.sound_span
    last_start, last_length = encoded.prompt.spans[-1]
    assert start == last_start + last_length + 2
    ids = encoded.prompt.ids
    assert ids[start - 1 : start + length + 1] == [28, *[27] * length, 29]
    rows = encoded.media[-1].rows
    assert (rows.start, rows.end) == (start, start + length)
    assert torch.equal(rows.embeddings, encoded.sound_tokens)
    assert ids.count(27) == length


def test_a_placeholder_that_the_user_types_is_text(text_directory, clips):
    task = make_task(clips[1], "<so_embedding> <so_start>")
    ids = encode(text_directory, task).prompt.ids
    assert not {27, 28, 29} & set(ids)


def test_a_damaged_sound_track_gives_a_warning_and_the_frames_are_used(with_encoder, clips, monkeypatch):
    monkeypatch.setattr("omnireel.video.reader.frames.ClipReader.read_sound", lambda _: None)
    answer = answer_of(with_encoder, make_task(clips[0]))
    assert (answer.video.sound, answer.video.warnings) == ("failed", ("sound_failed",))


def test_a_tokenizer_with_another_sound_token_is_refused(text_directory):
    with pytest.raises(CheckpointError, match="<so_embedding>"):
        tiny_encoder(tiny_model(sound_config=SOUND, sound_context_token_id=26), text_directory)
