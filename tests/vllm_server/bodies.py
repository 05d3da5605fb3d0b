"""The bodies that a task about a clip becomes for vLLM, as a server that records them gets them."""

from pathlib import Path

from model_server import ModelServer
from tiny import WITH_SOUND, events_of, make_task, tiny_model

from omnireel.backends.remote.backend import RemoteBackend, RemoteOptions
from omnireel.backends.remote.servers import SERVERS
from omnireel.backends.remote.stream import Patience
from omnireel.backends.remote.upstreams import UpstreamPool, upstream_at
from omnireel.prompting.clip import MediaDefaults
from omnireel.prompting.counts import TokenCounter
from omnireel.text.chat import ChatTemplate
from omnireel.text.tokenizer import Tokenizer


async def sent_bodies(clip: Path, text: Path) -> list[dict]:
    """text: directory of a tokenizer and a template. Returns the compact body and the exact one."""
    with ModelServer() as server:
        for is_exact in (False, True):
            pool = UpstreamPool([upstream_at(server.url)], max_running=1, accepts=lambda _: True)
            counter = TokenCounter(
                tiny_model(**WITH_SOUND).config,
                Tokenizer.from_directory(text),
                ChatTemplate.from_directory(text),
            )
            options = RemoteOptions(Patience(30, 30), MediaDefaults(), is_exact=is_exact)
            backend = RemoteBackend(SERVERS["vllm"], pool, counter, options)
            sampling = {"reasoning_budget": 20, "seed": 3}
            await events_of(backend, make_task(clip, thinking=True, sampling=sampling))
            await backend.close()
        return server.requests
