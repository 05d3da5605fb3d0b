"""The spans of a prompt with the tokens that fill them, and the hashes that tell their contents apart."""

from fractions import Fraction

import pytest
import torch
from clips import ClipSpec, write_clip
from tiny import WITH_SOUND, files_of, make_task, tiny_encoder, tiny_model

from omnireel.errors import GenerationError
from omnireel.task import MediaOptions


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    path = tmp_path_factory.mktemp("clips") / "clip.mp4"
    return write_clip(path, ClipSpec(codec="mpeg4", num_frames=30, rate=Fraction(10), with_audio=True))


@pytest.fixture
def encoder(text_directory):
    return tiny_encoder(tiny_model(**WITH_SOUND), text_directory)


def encode(encoder, clip, prompt="What moves?", **media):
    task = make_task(clip, prompt, media=MediaOptions(**media))
    return encoder.encode(task, files_of(task), lambda _: None)


def test_spans_hold_the_kept_vision_tokens_in_order_and_the_sound_after_them(encoder, clip):
    encoded = encode(encoder, clip)
    *vision, sound = (span.rows for span in encoded.media)
    assert torch.equal(torch.cat([rows.embeddings for rows in vision]), encoded.vision_tokens[encoded.kept])
    assert torch.equal(sound.embeddings, encoded.sound_tokens)
    filled = {position for span in encoded.media for position in range(span.rows.start, span.rows.end)}
    assert filled == {n for n, token in enumerate(encoded.prompt.ids) if token in (18, 27)}


def test_a_hash_is_equal_for_equal_tokens_only(encoder, clip):
    hashes = [span.content_hash for span in encode(encoder, clip).media]
    assert len(set(hashes)) == len(hashes)
    assert [span.content_hash for span in encode(encoder, clip, "And now?").media] == hashes
    later = [span.content_hash for span in encode(encoder, clip, start_s=0.3).media]
    assert not set(later) & set(hashes)


def test_memory_that_runs_out_while_a_clip_is_encoded_is_a_failure_with_a_type(encoder, clip):
    encoder.model.encode_video = lambda _: torch.empty(2**60, dtype=torch.uint8)
    with pytest.raises(GenerationError, match="not enough memory") as caught:
        encode(encoder, clip)
    assert caught.value.kind == "out_of_memory"
