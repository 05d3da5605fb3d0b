"""One server and one clip for the whole session."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from served import Server, data_uri, make_clip


@pytest.fixture(scope="session")
def clip_uri() -> str:
    """Two seconds of video."""
    return data_uri(make_clip())


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """A server that the whole session shares."""
    with tempfile.TemporaryDirectory() as folder, Server(Path(folder)) as server:
        yield server


@pytest.fixture(scope="session")
def client(server: Server) -> Iterator[httpx.Client]:
    """A client of the shared server."""
    with httpx.Client(base_url=server.url, timeout=30, trust_env=False) as client:
        yield client
