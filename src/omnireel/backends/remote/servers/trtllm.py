"""TensorRT-LLM. Read in its sources."""

from __future__ import annotations

from omnireel.backends.remote.servers.base import Server


class TensorRTLLM(Server):
    """It takes a clip, and has no budget for the chain of thought."""

    name = "trtllm"
    title = "TensorRT-LLM"
