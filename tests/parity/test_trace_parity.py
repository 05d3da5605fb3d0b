"""The file of `omnireel trace` agrees with transformers and plain PyAV on the same clip and weights."""

from fractions import Fraction

import av
import numpy as np
import pytest
import torch
from clips import ClipSpec, write_clip
from oracle import TOLERANCE, compute_retention_mask, oracle_vision_tokens
from safetensors import safe_open
from transformers import ParakeetFeatureExtractor
from typer.testing import CliRunner

from omnireel.cli import app
from omnireel.text.tokenizer import Tokenizer
from omnireel.video.patch_grid import target_grid
from omnireel.video.reader.frames import open_clip
from omnireel.video.tubelets import PixelSpec, frame_pixels

FLAGS = [
    "--dtype",
    "float32",
    "--max-tokens",
    "8",
    "--max-frames",
    "5",
    "--video-pruning-rate",
    "0.4",
    "--think",
]


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """Three seconds at 10 frames a second, with a tone."""
    path = tmp_path_factory.mktemp("clips") / "square.mp4"
    return write_clip(path, ClipSpec(codec="mpeg4", num_frames=30, rate=Fraction(10), with_audio=True))


@pytest.fixture(scope="module")
def traced(checkpoint, clip, tmp_path_factory):
    out = tmp_path_factory.mktemp("trace") / "trace.safetensors"
    command = ["trace", str(clip), "What moves?", "--out", str(out), "--model", str(checkpoint), *FLAGS]
    result = CliRunner().invoke(app, command, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    with safe_open(out, "pt") as file:
        assert (file.metadata()["dtype"], file.metadata()["model"]) == ("float32", str(checkpoint))
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  it is not a mapping


@pytest.fixture(scope="module")
def decoded(clip):
    """Every frame and its time, by PyAV alone."""
    with av.open(str(clip)) as container:
        return [(frame.to_ndarray(format="rgb24"), float(frame.time)) for frame in container.decode(video=0)]


def test_the_frames_are_those_at_the_chosen_indices(traced, decoded, model):
    indices = traced["frame_indices"].tolist()
    assert indices == np.linspace(0, 29, 5).astype(int).tolist()
    assert traced["frame_times_s"].tolist() == pytest.approx([decoded[i][1] for i in indices])
    config = model.config
    spec = PixelSpec(
        config.vision.target_patches, config.vision.patch_size, 2, config.norm_mean, config.norm_std
    )
    frames = [decoded[i][0] for i in [*indices, indices[-1]]]
    rows, cols = target_grid(frames[0].shape[1], frames[0].shape[0], spec.target_patches)
    pixels = torch.stack([frame_pixels(frame, rows, cols, spec) for frame in frames])
    assert torch.equal(traced["pixels"], pixels.reshape(3, 6, *pixels.shape[2:]))


def test_vision_tokens_and_the_kept_ones_are_those_of_transformers(traced, oracle):
    pixels = traced["pixels"]
    theirs = oracle_vision_tokens(oracle, pixels.reshape(-1, 3, *pixels.shape[2:])).flatten(0, 1)
    ours = traced["vision_tokens"]
    torch.testing.assert_close(ours.flatten(0, 1), theirs, **TOLERANCE)
    thw = torch.tensor([len(ours), 1, ours.shape[1]])
    kept = compute_retention_mask(video_embeds=theirs, thw=thw, spatial_merge_size=1, q=0.4)
    assert torch.equal(traced["kept"].flatten(), kept.flatten())


def test_logits_and_the_greedy_answer_are_those_of_transformers(traced, oracle, model, checkpoint):
    ids, features = traced["input_ids"][None], traced["vision_tokens"][traced["kept"]]
    stops = Tokenizer.from_directory(checkpoint).stop_ids
    embeddings = oracle.get_input_embeddings()(ids)
    embeddings[ids == model.config.image_token_id] = features
    if model.config.sound is not None:
        embeddings[ids == model.config.sound_token_id] = traced["audio_tokens"]
    theirs = oracle.language_model(inputs_embeds=embeddings).logits
    torch.testing.assert_close(traced["prompt_logits"], theirs[0], **TOLERANCE)
    chosen = [int(theirs[0, -1].argmax())]
    while len(chosen) < 8 and chosen[-1] not in stops:
        embeddings = torch.cat([embeddings, oracle.get_input_embeddings()(torch.tensor([chosen[-1:]]))], 1)
        chosen.append(int(oracle.language_model(inputs_embeds=embeddings).logits[0, -1].argmax()))
    assert traced["output_ids"].tolist() == chosen


def test_sound_tokens_are_those_of_transformers(traced, oracle, model, clip):
    if model.config.sound is None:
        assert "audio_tokens" not in traced
        return
    with open_clip(clip) as reader:
        samples = reader.read_sound().samples
    features = ParakeetFeatureExtractor(feature_size=128)(samples, sampling_rate=16_000, return_tensors="pt")
    hidden = oracle.audio_tower(
        features["input_features"], attention_mask=features["attention_mask"].bool()
    ).last_hidden_state
    theirs, ours = oracle.embed_audio(hidden)[0], traced["audio_tokens"]
    torch.testing.assert_close(ours, theirs[: len(ours)], **TOLERANCE)
    assert int((traced["input_ids"] == model.config.sound_token_id).sum()) == len(ours)


def test_a_file_that_cannot_be_written_is_reported_before_anything_is_read(checkpoint, clip, tmp_path):
    command = ["trace", str(clip), "?", "--out", str(tmp_path / "no" / "x"), "--model", str(checkpoint)]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 1
    assert "There is no directory" in result.output
