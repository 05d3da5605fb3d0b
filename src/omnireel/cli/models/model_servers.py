"""Opens the backend of the model servers that the settings name."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from omnireel.backends.remote.backend import RemoteBackend, RemoteOptions
from omnireel.backends.remote.servers import SERVERS
from omnireel.backends.remote.stream import Patience
from omnireel.backends.remote.upstreams import Upstream, UpstreamPool, upstream_at
from omnireel.errors import SettingsError
from omnireel.net.errors import FetchError
from omnireel.prompting.clip import MediaDefaults
from omnireel.prompting.counts import TokenCounter
from omnireel.settings import Settings
from omnireel.video.limits import VideoLimits

_FAMILY = "nemotron-3-nano-omni"


def open_remote(settings: Settings, directory: Path, limits: VideoLimits) -> RemoteBackend:
    """The backend of the settings' model servers, which are asked once for their model.

    directory: config.json, tokenizer and template of that model
    Raises SettingsError where one serves another model. One that does not answer is asked again later.
    """
    server = SERVERS[settings.backend]
    media = remote_media(settings)
    counter = TokenCounter.from_directory(directory, media=media, limits=limits, max_context=settings.context)
    pool = open_pool(settings)
    options = RemoteOptions(
        patience=Patience(settings.upstream_first_token_s, settings.upstream_token_s),
        media=media,
        connect_s=settings.upstream_connect_s,
        is_exact=settings.upstream_exact,
    )
    return RemoteBackend(server, pool, counter, options)


def remote_media(settings: Settings) -> MediaDefaults:
    """The media options of a task that does not set them."""
    defaults = MediaDefaults()
    most = SERVERS[settings.backend].max_frames
    max_frames = defaults.max_frames if most is None else min(most, defaults.max_frames)
    return MediaDefaults(defaults.fps, max_frames, settings.upstream_pruning_rate)


def open_pool(settings: Settings) -> UpstreamPool:
    """The settings' model servers, asked once. Raises SettingsError as `open_remote`."""
    pool = UpstreamPool(
        make_upstreams(settings),
        max_running=settings.upstream_requests,
        accepts=_acceptor(settings),
        connect_s=settings.upstream_connect_s,
    )
    # A thread of its own, because the caller may be inside an event loop.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, pool.probe()).result()
    others = [u for u in pool.upstreams if u.is_other_model]
    if others:
        shown = "; ".join(f"{u.address}: {u.problem}" for u in others)
        raise SettingsError(
            f"A model server does not serve {settings.model}. {shown}.",
            hint="Name its model with --model, or add --allow-any-model if its prompts are the same.",
        )
    return pool


def make_upstreams(settings: Settings) -> list[Upstream]:
    """The settings' model servers with their keys. Raises SettingsError."""
    if not settings.upstream:
        raise SettingsError(
            f"backend is {settings.backend}, and no model server is named.",
            hint="Add --upstream http://host:8000.",
        )
    keys = _keys(settings)
    try:
        return [upstream_at(url, key) for url, key in zip(settings.upstream, keys, strict=True)]
    except FetchError as error:
        raise SettingsError(f"upstream has an address that cannot be used: {error.why}.") from None


def _keys(settings: Settings) -> list[str]:
    """A key for each model server; blank ones for none."""
    count = len(settings.upstream)
    if settings.upstream_key_file is None:
        return [settings.upstream_key.value if settings.upstream_key else ""] * count
    file = settings.upstream_key_file
    try:
        lines = [line.strip() for line in file.read_text("utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError):
        raise SettingsError(f"upstream_key_file {file} cannot be read.", hint="Check the path.") from None
    if len(lines) not in (1, count):
        raise SettingsError(
            f"upstream_key_file has {len(lines)} keys for {count} model servers.",
            hint="Write one key for all of them, or one line for each.",
        )
    return lines * count if len(lines) == 1 else lines


def _acceptor(settings: Settings) -> Callable[[str], bool]:
    """Whether a served name can be that of the settings' model: the same last part, or both of this family."""
    wanted = _plain(settings.model)

    def accepts(name: str) -> bool:
        served = _plain(name)
        is_same = served == wanted or (_FAMILY in served and _FAMILY in wanted)
        return settings.allow_any_model or is_same

    return accepts


def _plain(name: str) -> str:
    return name.rstrip("/").rpartition("/")[2].lower().replace("_", "-")
