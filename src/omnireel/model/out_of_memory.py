"""Recognises that memory ran out. torch reports it on a CPU as a RuntimeError like any other."""

import torch

from omnireel.errors import GenerationError

_TEXTS = ("can't allocate memory", "out of memory")


def as_out_of_memory(error: Exception) -> GenerationError | None:
    """The named failure for an allocation that failed; None where the error is another one."""
    if isinstance(error, GenerationError):
        return None
    is_named = isinstance(error, MemoryError | torch.OutOfMemoryError)
    if not is_named and not (isinstance(error, RuntimeError) and any(text in str(error) for text in _TEXTS)):
        return None
    return GenerationError(
        "There is not enough memory to answer this request.",
        kind="out_of_memory",
        hint="Send a shorter prompt, fewer frames, or a higher video_pruning_rate.",
    )
