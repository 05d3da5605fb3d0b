"""Opens the runner of the language model as the settings say."""

# ruff: noqa: PLC0415  # torch takes seconds to load, and commands without a model import this module

from pathlib import Path
from typing import TYPE_CHECKING

from omnireel.cli.models.memory import available_memory
from omnireel.model.checkpoint.model_files import ModelFiles
from omnireel.settings import Settings

if TYPE_CHECKING:
    from omnireel.engine.runner import Runner
    from omnireel.engine.runners.llama import Embeddings
    from omnireel.prompting.encoding import PromptEncoder

GGUF_CONTEXT = 32_768  # where none is set: memory for the context of a GGUF is taken at the start


def context_of(settings: Settings, files: ModelFiles) -> int | None:
    """Most tokens of prompt and answer together, where it is less than the model's own limit."""
    is_gguf = settings.backend == "local" and files.language is not None
    return settings.context or (GGUF_CONTEXT if is_gguf else None)


def open_runner(encoder: "PromptEncoder", files: ModelFiles, settings: Settings) -> "Runner":
    """The runner of the language model in `files`, whose prompts `encoder` makes. Raises CheckpointError."""
    import torch

    if settings.threads is not None:
        torch.set_num_threads(settings.threads)  # the encoders' too, beside a GGUF
    if files.language is None:
        return open_torch_runner(encoder, settings)
    from omnireel.model.checkpoint.gguf.embeddings import GgufEmbeddings

    embeddings = GgufEmbeddings(files.language)
    return open_llama_runner(files.language, embeddings, settings, max_context=encoder.counter.max_context)


def open_torch_runner(encoder: "PromptEncoder", settings: Settings) -> "Runner":
    """The runner of a language model that torch computes."""
    from omnireel.engine.runners.torch import TorchRunner
    from omnireel.model.omni import Omni

    assert isinstance(encoder.model, Omni)
    return TorchRunner(encoder.model, max_context=encoder.counter.max_context, num_slots=settings.slots)


def open_llama_runner(
    path: Path, embeddings: "Embeddings", settings: Settings, *, max_context: int
) -> "Runner":
    """The runner of a GGUF. Raises CheckpointError, and SettingsError where memory cannot hold context and slots.

    max_context: that of the token counter
    """
    from omnireel.engine.runners.llama import LlamaOptions, LlamaRunner

    options = LlamaOptions(
        max_context=max_context,
        num_slots=settings.slots,
        max_bytes=available_memory(),
        gpu_layers=settings.gpu_layers,
        threads=settings.threads,
        flash_attention=settings.flash_attention,
        repack=settings.repack,
    )
    return LlamaRunner(path, embeddings, options)
