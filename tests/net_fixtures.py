"""Fixtures: servers to download from, policies that allow them, and downloads. Only the tests resolve their name."""

import asyncio
import dataclasses
from ipaddress import ip_network

import pytest
from origin import LOOPBACK, NAME, Authority, Names, Origin

from omnireel.net.download import download
from omnireel.net.errors import FetchError, TooLargeError
from omnireel.net.policy import EgressLimits, EgressPolicy

# Short enough that tests which reach a limit are quick, long enough for a busy machine.
LIMITS = EgressLimits(resolve_s=2, connect_s=10, idle_s=10, total_s=20, retry_s=0.01)
MAX_BYTES = 1_000_000


@pytest.fixture(scope="session")
def authority():
    return Authority()


@pytest.fixture
def serve(authority):
    """Starts an origin on a loopback address, with a certificate for the name that the tests use."""
    started = []

    def start(behave, *, names=(NAME,), plain=False, address=LOOPBACK):
        tls = None if plain else authority.server_context(*names)
        started.append(Origin(behave, tls, address))
        return started[-1]

    yield start
    for origin in started:
        origin.close()


@pytest.fixture
def policy_for(authority):
    """Makes a policy that allows the loopback address and the ports of the given origins."""

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

    def fetch(url, policy):
        path = tmp_path / "video"
        path.unlink(missing_ok=True)
        asyncio.run(download(url, path, policy))
        return path.read_bytes()

    return fetch


@pytest.fixture
def refusal(fetched):
    """The error that a download ends with."""

    def fetch(url, policy):
        with pytest.raises((FetchError, TooLargeError)) as raised:
            fetched(url, policy)
        return raised.value

    return fetch
