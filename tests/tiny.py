"""The smallest model of this architecture, and functions that give tasks to a backend."""

import asyncio
from contextlib import aclosing
from pathlib import Path

import torch

from omnireel.backends.local import LocalBackend
from omnireel.engine.params import SamplingParams
from omnireel.engine.runners.torch import TorchRunner
from omnireel.model.config import parse_config
from omnireel.model.omni import Omni
from omnireel.prompting.counts import TokenCounter
from omnireel.prompting.encoding import PromptEncoder
from omnireel.task import Answer, Delta, Task, video_task
from omnireel.text.chat import ChatTemplate
from omnireel.text.tokenizer import Tokenizer

CONFIG = {
    "llm_config": {
        "hybrid_override_pattern": "ME*E",
        "hidden_size": 32,
        "vocab_size": 320,
        "max_position_embeddings": 768,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "head_dim": 16,
        "mamba_num_heads": 4,
        "mamba_head_dim": 16,
        "ssm_state_size": 8,
        "n_groups": 2,
        "n_routed_experts": 4,
        "num_experts_per_tok": 2,
        "moe_intermediate_size": 16,
        "moe_shared_expert_intermediate_size": 16,
    },
    "vision_config": {
        "hidden_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "args": {"register_multiple": 2},
        "video_target_num_patches": 32,
        "max_img_size": 256,
    },
    "projector_hidden_size": 32,
    "img_context_token_id": 18,
    "downsample_ratio": 0.5,
    "ps_version": "v2",
}


SOUND = {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "subsampling_conv_channels": 4,
    "num_mel_bins": 16,
    "projection_hidden_size": 16,
}
WITH_SOUND = {"sound_config": SOUND, "sound_context_token_id": 27}


def tiny_model(**changes):
    """A model with the same random weights each time. Control tokens are never the likeliest tokens."""
    model = Omni(parse_config(CONFIG | changes)).eval().requires_grad_(False)
    noise = torch.Generator().manual_seed(5)
    for parameter in model.parameters():
        parameter.copy_(torch.randn(parameter.shape, generator=noise) / 4)
    for name, buffer in model.named_buffers():
        if name.endswith("running_var"):
            buffer.fill_(1.0)
    model.language_model.lm_head.weight /= 2
    model.language_model.lm_head.weight[:32] = 0
    return model


def tiny_encoder(model, text_directory, **options):
    """The prompt encoder of a model with a toy tokenizer and template."""
    tokenizer = Tokenizer.from_directory(text_directory)
    template = ChatTemplate.from_directory(text_directory)
    return PromptEncoder(model, TokenCounter(model.config, tokenizer, template), **options)


def local_backend(encoder, *, name="tiny", **options):
    """The local backend with the torch runner."""
    runner = TorchRunner(encoder.model, max_context=encoder.counter.max_context)
    return LocalBackend(encoder, runner, model_name=name, **options)


def make_task(clip, prompt="What moves?", **fields):
    """A greedy task with a short answer. The reference of its clip is the path of the file."""
    sampling = fields.pop("sampling", {})
    params = SamplingParams(**{"temperature": 0, "max_tokens": 12} | sampling)
    return video_task("test", prompt=prompt, video=str(clip), sampling=params, **fields)


def files_of(task: Task) -> list[Path]:
    return [Path(reference) for reference in task.references]


async def events_of(backend, task):
    async with aclosing(backend.generate(task, files_of(task))) as events:
        return [event async for event in events]


def inspection_of(backend, task):
    return asyncio.run(backend.inspect(task, files_of(task)))


def answer_of(backend, task) -> Answer:
    """The answer, after checking what holds for every stream of events."""
    events = asyncio.run(events_of(backend, task))
    deltas = [event.text for event in events if isinstance(event, Delta)]
    answer = events[-1]
    assert isinstance(answer, Answer)
    assert "".join(deltas) == answer.output
    assert all(deltas), "there are no empty deltas"
    return answer
