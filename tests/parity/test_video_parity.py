"""The whole model path: pixels and ids in, logits and tokens out."""

import numpy as np
import pytest
import torch
from oracle import TOLERANCE, compute_retention_mask, oracle_vision_tokens

from omnireel.engine.engine import Engine, EngineConfig
from omnireel.engine.params import SamplingParams
from omnireel.engine.request import MediaSpan, Request
from omnireel.engine.runner import Rows
from omnireel.engine.runners.torch import TorchRunner
from omnireel.model.vision.prune import keep_mask
from omnireel.prompting.layout import lay_out_prompt, time_labels
from omnireel.text.chat import ChatTemplate, video_messages
from omnireel.text.tokenizer import Tokenizer
from omnireel.video.patch_grid import target_grid
from omnireel.video.tubelets import PixelSpec, frame_pixels, tubelet_batches

INDICES = [0, 15, 31, 47, 62]


@pytest.fixture(scope="module")
def frames():
    """Five 160×90 pictures that change little by little."""
    steps = np.random.default_rng(0).normal(0, 25, (5, 90, 160, 3)).cumsum(0)
    return (steps + 128).clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def grid(model):
    return target_grid(160, 90, model.config.vision.target_patches)


@pytest.fixture(scope="module")
def spec(model):
    config = model.config
    return PixelSpec(
        config.vision.target_patches, config.vision.patch_size, 2, config.norm_mean, config.norm_std
    )


@pytest.fixture(scope="module")
def vision_tokens(model, frames, grid, spec):
    """Encoded in batches as in serving, here of two tubelets."""
    batches = tubelet_batches(frames, *grid, spec, max_tubelets=2)
    return torch.cat([model.encode_video(batch.pixels) for batch in batches])


@pytest.fixture(scope="module")
def pixels(frames, grid, spec):
    return torch.stack([frame_pixels(frame, *grid, spec) for frame in frames])


def lay_out(checkpoint, counts):
    messages = video_messages("What happens?", system_prompt=None, thinking=True)
    pieces = ChatTemplate.from_directory(checkpoint).render(messages, enable_thinking=True)
    return lay_out_prompt(pieces, time_labels(INDICES, 30.0), counts, Tokenizer.from_directory(checkpoint))


def embed(model, prompt, kept):
    is_vision = torch.zeros(len(prompt.ids), dtype=torch.bool)
    for start, length in prompt.spans:
        is_vision[start : start + length] = True
    return model.embed_prompt(torch.tensor(prompt.ids), kept, is_vision)


def test_logits_of_a_video_and_a_prompt_are_those_of_transformers(
    model, oracle, checkpoint, vision_tokens, pixels
):
    prompt = lay_out(checkpoint, [vision_tokens[0, ..., 0].numel()] * len(vision_tokens))
    x = embed(model, prompt, vision_tokens.flatten(0, 2))[None]
    ours = model.logits(model.forward_hidden(x, model.new_state()))
    theirs = oracle(input_ids=torch.tensor([prompt.ids]), pixel_values_videos=pixels).logits
    torch.testing.assert_close(ours, theirs, **TOLERANCE)


def test_the_answer_to_a_video_is_that_of_transformers(model, oracle, checkpoint, vision_tokens, pixels):
    """Greedy, eight tokens, through the engine with a chunked prefill."""
    prompt = lay_out(checkpoint, [vision_tokens[0, ..., 0].numel()] * len(vision_tokens))
    engine = Engine(TorchRunner(model, max_context=1024), EngineConfig(prefill_chunk=50))
    rows = zip(prompt.spans, vision_tokens.flatten(1, 2), strict=True)
    media = tuple(MediaSpan(Rows(start, tokens), "") for (start, _), tokens in rows)
    sampling = SamplingParams(temperature=0, max_tokens=8)
    engine.add(Request("a", tuple(prompt.ids), media, sampling, frozenset()))
    ours = []
    while not engine.is_idle:
        ours += [event.token_id for event in engine.step() if event.num_read is None]
    ids = torch.tensor([prompt.ids])
    theirs = oracle.generate(
        input_ids=ids, attention_mask=torch.ones_like(ids), pixel_values_videos=pixels, max_new_tokens=8,
        do_sample=False, eos_token_id=-1, pad_token_id=0,
    )  # fmt: skip
    assert ours == theirs[0, ids.shape[1] :].tolist()


def test_logits_of_a_pruned_video_are_those_of_transformers_parts(
    model, oracle, checkpoint, vision_tokens, pixels
):
    """Its forward pass cannot prune, so its tower, pruning function and language model are combined here."""
    mask = keep_mask(vision_tokens, 0.5)
    prompt = lay_out(checkpoint, mask.flatten(1).sum(1).tolist())
    x = embed(model, prompt, vision_tokens[mask])[None]
    ours = model.logits(model.forward_hidden(x, model.new_state()))

    features = oracle_vision_tokens(oracle, pixels).flatten(0, 1)
    thw = torch.tensor(vision_tokens.shape[:3])
    kept = compute_retention_mask(video_embeds=features, thw=thw, spatial_merge_size=1, q=0.5)
    ids = torch.tensor([prompt.ids])
    embeddings = oracle.get_input_embeddings()(ids)
    embeddings[ids == model.config.image_token_id] = features[kept]
    theirs = oracle.language_model(inputs_embeds=embeddings).logits
    torch.testing.assert_close(ours, theirs, **TOLERANCE)
