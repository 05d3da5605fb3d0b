"""Prints the bodies that a task about a clip becomes for vLLM, as JSON: compact and exact. Run by `make test-vllm`."""

import asyncio
import json
import sys
import tempfile
from fractions import Fraction
from pathlib import Path

import structlog
from clips import ClipSpec, write_clip
from model_server import ModelServer
from tiny import WITH_SOUND, events_of, make_task, tiny_model
from toy_text import write_text_files

from omnireel.backends.remote.backend import RemoteBackend, RemoteOptions
from omnireel.backends.remote.servers import SERVERS
from omnireel.backends.remote.stream import Patience
from omnireel.backends.remote.upstreams import UpstreamPool, upstream_at
from omnireel.prompting.clip import MediaDefaults
from omnireel.prompting.counts import TokenCounter
from omnireel.text.chat import ChatTemplate
from omnireel.text.tokenizer import Tokenizer


async def bodies(clip: Path, text: Path) -> list[dict]:
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


def main() -> None:
    structlog.configure(logger_factory=structlog.WriteLoggerFactory(sys.stderr))
    with tempfile.TemporaryDirectory() as folder:
        spec = ClipSpec(codec="mpeg4", num_frames=90, rate=Fraction(30), with_audio=True)
        clip = write_clip(Path(folder) / "clip.mp4", spec)
        write_text_files(Path(folder))
        json.dump(asyncio.run(bodies(clip, Path(folder))), sys.stdout)


if __name__ == "__main__":
    main()
