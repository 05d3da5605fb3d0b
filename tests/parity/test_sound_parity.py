"""The audio encoder against transformers, and against the formula where transformers is wrong."""

import numpy as np
import pytest
import torch
from oracle import TOLERANCE, load_oracle
from transformers import ParakeetFeatureExtractor

from omnireel.model.audio.encoder import sound_clips
from omnireel.model.audio.mel import log_mel, mel_filters
from omnireel.model.checkpoint.load import load_checkpoint
from omnireel.model.token_counts import CLIP_SAMPLES, SAMPLE_RATE, num_sound_tokens
from tools.scaled_checkpoint import Sizes, write_checkpoint

SHAPES = {
    "small": Sizes(sound_width=64, seed=3),
    "three heads, deep": Sizes(
        sound_width=48, sound_layers=4, sound_heads=3, sound_mlp_width=64, sound_channels=8, seed=4
    ),
}
LENGTHS = [1600, 1761, 16_000, 47_999, 100_003]


@pytest.fixture(scope="module", params=SHAPES.values(), ids=SHAPES)
def pair(request, tmp_path_factory):
    """omnireel's model and transformers' model of one checkpoint."""
    directory = tmp_path_factory.mktemp("sound")
    write_checkpoint(directory, request.param)
    return load_checkpoint(directory), load_oracle(directory)


def recording(num_samples):
    """Noise, a rising tone, and a second of silence."""
    rng = np.random.default_rng(num_samples)
    at = np.arange(num_samples) / SAMPLE_RATE
    sound = 0.3 * np.sin(2 * np.pi * (200 + 300 * at) * at) + 0.05 * rng.normal(size=num_samples)
    sound[num_samples // 3 : num_samples // 3 + SAMPLE_RATE] = 0
    return torch.tensor(sound, dtype=torch.float32)


@pytest.fixture(scope="module")
def extractor():
    return ParakeetFeatureExtractor(feature_size=128)


def test_the_filters_are_those_of_transformers(extractor):
    torch.testing.assert_close(mel_filters(128), extractor.mel_filters, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("length", LENGTHS)
def test_spectra_are_those_of_transformers(extractor, length):
    samples = recording(length)
    theirs = extractor(samples.numpy(), sampling_rate=SAMPLE_RATE, return_tensors="pt")
    valid = theirs["input_features"][0][theirs["attention_mask"][0].bool()]
    torch.testing.assert_close(log_mel(samples, 128), valid, **TOLERANCE)


@pytest.mark.parametrize("length", LENGTHS)
def test_sound_tokens_are_those_of_transformers(pair, extractor, length):
    """Only valid positions are compared. For some lengths transformers gives one more, from a masked spectrum."""
    model, oracle = pair
    samples = recording(length)
    features = extractor(samples.numpy(), sampling_rate=SAMPLE_RATE, return_tensors="pt")
    mask = features["attention_mask"].bool()
    hidden = oracle.audio_tower(features["input_features"], attention_mask=mask).last_hidden_state
    theirs = oracle.embed_audio(hidden)[0]
    ours = model.encode_sound(samples)
    assert (
        len(ours)
        == num_sound_tokens(length)
        == int(oracle.audio_tower._get_subsampling_output_length(mask.sum(-1)))
    )
    torch.testing.assert_close(ours, theirs[: len(ours)], **TOLERANCE)


# Seconds → tokens in vLLM 0.32, which counts whole hops in clips of 30 s. transformers counts one more spectrum.
@pytest.mark.parametrize(
    ("seconds", "tokens"),
    [(0.1, 2), (1, 13), (10, 125), (29.99, 375), (30, 375), (35, 438), (60, 750), (61.3, 767)],
)
def test_the_number_of_tokens_is_that_of_vllm(seconds, tokens):
    assert num_sound_tokens(round(seconds * SAMPLE_RATE)) == tokens


def test_an_empty_recording_has_a_token():
    assert num_sound_tokens(0) >= 1


def test_a_long_recording_is_its_clips_one_after_another(pair):
    """transformers encodes it as one clip with one normalisation, but the model was trained on clips of 30 s."""
    model, _ = pair
    samples = recording(CLIP_SAMPLES + 20_000)
    parts = [model.encode_sound(samples[:CLIP_SAMPLES]), model.encode_sound(samples[CLIP_SAMPLES:])]
    assert torch.equal(model.encode_sound(samples), torch.cat(parts))


def test_a_short_last_clip_is_padded():
    clips = sound_clips(recording(CLIP_SAMPLES + 5))
    assert [len(clip) for clip in clips] == [CLIP_SAMPLES, 1600]
    assert clips[1][5:].eq(0).all()


def test_a_token_of_a_recording_depends_on_what_comes_after_it(pair):
    """No causal mask: a change at the end reaches the first token."""
    model, _ = pair
    samples = recording(40_000)
    changed = samples.clone()
    changed[-4000:] = 0
    assert not torch.allclose(model.encode_sound(samples)[0], model.encode_sound(changed)[0])
