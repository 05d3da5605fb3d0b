"""Fixtures: an empty store of each implementation."""

import pytest
from stores import IMPLEMENTATIONS, blocking_store, deployment


@pytest.fixture(params=IMPLEMENTATIONS)
def store(request):
    """A store that is called without `await`."""
    with blocking_store(request.param) as opened:
        yield opened


@pytest.fixture(params=IMPLEMENTATIONS)
def deployed(request):
    """A store that can be opened several times."""
    with deployment(request.param) as opened:
        yield opened
