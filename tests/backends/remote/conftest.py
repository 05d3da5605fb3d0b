import asyncio

import pytest
from model_server import ModelServer
from tiny import tiny_model

from omnireel.backends.remote.backend import RemoteBackend, RemoteOptions
from omnireel.backends.remote.servers import SERVERS
from omnireel.backends.remote.stream import Patience
from omnireel.backends.remote.upstreams import UpstreamPool, upstream_at
from omnireel.prompting.clip import MediaDefaults
from omnireel.prompting.counts import TokenCounter
from omnireel.text.chat import ChatTemplate
from omnireel.text.tokenizer import Tokenizer


@pytest.fixture
def server():
    """A model server that streams."""
    with ModelServer() as server:
        yield server


@pytest.fixture
def make_counter(text_directory):
    """Makes the counter of a small model without its weights."""

    def make(**changes):
        return TokenCounter(
            tiny_model(**changes).config,
            Tokenizer.from_directory(text_directory),
            ChatTemplate.from_directory(text_directory),
        )

    return make


@pytest.fixture
def connect(make_counter):
    """Makes a backend that asks model servers; each call of `asyncio.run` needs a backend of its own."""

    def make(
        *servers, kind="vllm", patience=None, max_running=4, is_exact=False, probe_s=3600.0, key="", **changes
    ):
        pool = UpstreamPool(
            [upstream_at(server.url, key) for server in servers],
            max_running=max_running,
            accepts=lambda name: "Nemotron" in name,
            probe_s=probe_s,
        )
        options = RemoteOptions(patience or Patience(30, 30), MediaDefaults(), is_exact=is_exact)
        return RemoteBackend(SERVERS[kind], pool, make_counter(**changes), options)

    return make


@pytest.fixture
def ask(connect, clip):
    """Asks model servers once: the events, the last of which is the answer. Raises what the backend raises."""
    from tiny import events_of, make_task

    def run(*servers, prompt="What moves?", options=None, **fields):
        async def answer():
            backend = connect(*servers, **(options or {}))
            try:
                return await events_of(backend, make_task(clip, prompt, **fields))
            finally:
                await backend.close()

        return asyncio.run(answer())

    return run
