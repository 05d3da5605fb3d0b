"""Origins to download from, and a downloader that reaches them by a name that only the tests know."""

import asyncio
import dataclasses
from ipaddress import ip_network

import pytest
from origin import LOOPBACK, NAME, Authority, Names, Origin

from omnireel.errors import InputError
from omnireel.net.connector import EgressLimits, EgressPolicy
from omnireel.net.download import download

# Short, so that tests of what takes too long are not slow; long enough for a busy machine to be in time.
LIMITS = EgressLimits(resolve_s=2, connect_s=10, idle_s=10, total_s=20)
MAX_BYTES = 1_000_000


@pytest.fixture(scope="session")
def authority():
    return Authority()


@pytest.fixture
def serve(authority):
    """Starts an origin with a certificate for the tests' name, on a loopback address."""
    started = []

    def start(behave, *, names=(NAME,), plain=False, address=LOOPBACK):
        tls = None if plain else authority.server_context(*names)
        started.append(Origin(behave, tls, address))
        return started[-1]

    yield start
    for origin in started:
        origin.close()


@pytest.fixture
def rule(authority):
    """Makes a rule that admits the loopback address and the ports of the given origins."""

    def make(*origins, names=None, limits=None, **changes):
        made = EgressPolicy(
            MAX_BYTES,
            allow=(ip_network(f"{LOOPBACK}/32"),),
            ports=tuple(origin.port for origin in origins),
            limits=dataclasses.replace(LIMITS, **(limits or {})),
            resolve=(names or Names()).resolve,
            trust=authority.trust,
        )
        return dataclasses.replace(made, **changes)

    return make


@pytest.fixture
def fetched(tmp_path):
    """Downloads and returns the bytes."""

    def fetch(url, rule):
        path = tmp_path / "video"
        path.unlink(missing_ok=True)
        asyncio.run(download(url, path, rule))
        return path.read_bytes()

    return fetch


@pytest.fixture
def refusal(fetched):
    """The error that a download ends with."""

    def fetch(url, rule):
        with pytest.raises(InputError) as raised:
            fetched(url, rule)
        assert raised.value.loc == ("body", "video_url")
        assert raised.value.status == 422
        assert raised.value.hint
        return raised.value

    return fetch
