"""The model servers that can be asked, each with its differences from OpenAI's protocol."""

from omnireel.backends.remote.servers.base import Server
from omnireel.backends.remote.servers.llama_server import LlamaServer
from omnireel.backends.remote.servers.nim import Nim
from omnireel.backends.remote.servers.sglang import SGLang
from omnireel.backends.remote.servers.trtllm import TensorRTLLM
from omnireel.backends.remote.servers.vllm import VLLM

SERVERS: dict[str, Server] = {
    server.name: server for server in (VLLM(), SGLang(), Nim(), TensorRTLLM(), LlamaServer())
}

__all__ = ["SERVERS", "Server"]
