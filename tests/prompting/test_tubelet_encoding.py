"""Tubelets are encoded in batches, and equal ones in a row once, without changing what the model reads."""

from fractions import Fraction

import pytest
import torch
from clips import ClipSpec, moving_square, write_clip
from tiny import files_of, make_task, tiny_encoder, tiny_model

from omnireel.model.vision.prune import keep_mask
from omnireel.prompting import encoding
from omnireel.video.tubelets import tubelet_batches

LOSSLESS = {"qp": "0"}


def scenes(number):
    """Six tubelets at two frames a second: three pictures of two seconds each."""
    return moving_square(number // 20 * 20, 160, 90)


@pytest.fixture(scope="module")
def still(tmp_path_factory):
    path = tmp_path_factory.mktemp("clips") / "still.mp4"
    return write_clip(path, ClipSpec(num_frames=60, rate=Fraction(10), paint=scenes, options=LOSSLESS))


@pytest.fixture(scope="module")
def moving(tmp_path_factory):
    path = tmp_path_factory.mktemp("clips") / "moving.mp4"
    return write_clip(path, ClipSpec(num_frames=60, rate=Fraction(10), options=LOSSLESS))


@pytest.fixture
def model():
    return tiny_model()


def encode(model, text_directory, clip, **options):
    """The encoded prompt, its pixels, the size of each batch of the tower, and the messages about them."""
    sizes, pixels, messages = [], [], []
    inner = type(model).encode_video
    model.encode_video = lambda batch: sizes.append(len(batch)) or inner(model, batch)
    task = make_task(clip)
    encoded = tiny_encoder(model, text_directory, **options).encode(
        task,
        files_of(task),
        lambda progress: messages.append(progress.message) if progress.stage == "encoding" else None,
        on_pixels=pixels.append,
    )
    return encoded, torch.cat(pixels), sizes, messages


@pytest.mark.parametrize("clip_name", ["moving", "still"])
def test_batches_give_the_tokens_of_single_tubelets(model, text_directory, request, clip_name):
    clip = request.getfixturevalue(clip_name)
    batched, pixels, _, _ = encode(model, text_directory, clip, max_tubelets=4)
    with torch.inference_mode():
        single = torch.cat([type(model).encode_video(model, tubelet[None]) for tubelet in pixels])
        assert torch.allclose(batched.vision_tokens, single, rtol=1e-4, atol=1e-5)
        assert torch.equal(batched.kept, keep_mask(single, 0.5))


def test_equal_tubelets_in_a_row_are_encoded_once(model, text_directory, still, moving):
    encoded, pixels, sizes, messages = encode(model, text_directory, still, max_tubelets=2)
    assert sizes == [2, 1]
    assert len(pixels) == len(encoded.vision_tokens) == 6
    assert torch.equal(encoded.vision_tokens[::2], encoded.vision_tokens[1::2])
    assert messages == ["4 of 6 tubelets encoded", "6 of 6 tubelets encoded"]
    assert encode(model, text_directory, moving, max_tubelets=2)[2] == [2, 2, 2]


def test_pixels_that_a_trace_keeps_are_those_of_every_tubelet(model, text_directory, still):
    _, pixels, _, _ = encode(model, text_directory, still)
    encoder = tiny_encoder(model, text_directory)
    task = make_task(still)
    with encoder.counter.open_clip(task, files_of(task)) as clip:
        rows, cols = encoder.counter.patch_grid(clip.facts, task.media.detail)
        frames = [frame.rgb for frame in clip.read_frames()]
    spec = encoder._pixel_spec
    each = [
        next(iter(tubelet_batches(frames[n : n + 2], rows, cols, spec))).pixels
        for n in range(0, len(frames), 2)
    ]
    assert torch.equal(pixels, torch.cat(each))


def test_a_large_tower_gets_small_batches(model, text_directory, moving, monkeypatch):
    vision = model.config.vision
    operations = 4 * vision.num_layers * vision.width * (2 * vision.width + vision.mlp_width) * 32
    monkeypatch.setattr(encoding, "_MAX_OPERATIONS", 4 * operations)
    assert encode(model, text_directory, moving)[2] == [4, 2]
    monkeypatch.setattr(encoding, "_MAX_OPERATIONS", 1)
    assert encode(model, text_directory, moving)[2] == [1] * 6
