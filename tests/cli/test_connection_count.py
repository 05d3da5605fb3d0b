"""Which connection ends when the server has as many as it may have."""

import asyncio
import resource

import pytest

from omnireel.cli.serving.connections import ConnectionLimits, Connections, max_connections


class Connection:
    """late_s: None while work is done for it"""

    def __init__(self, late_s):
        self._late_s = late_s
        self.ended = ""

    def late_s(self, min_bytes_per_s):
        return self._late_s

    def num_unread(self):
        return 0

    def num_written(self):
        return 0

    def end(self, why):
        self.ended = why


@pytest.fixture
def few_files():
    """So few files that the server may have four connections."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)

    def lower():
        resource.setrlimit(resource.RLIMIT_NOFILE, (16, hard))
        assert max_connections() == 4

    yield lower
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def added(few_files, *late):
    """The connections, added in this order, each with its address."""

    async def add():
        few_files()
        connections = Connections(ConnectionLimits(max_per_address=100, min_bytes_per_s=1, max_slow_s=60))
        made = []
        for address, late_s in late:
            made.append(Connection(late_s))
            connections.add(made[-1], address)
        for (address, _), connection in zip(late, made, strict=True):
            connections.remove(connection, address)
        connections.add(again := Connection(0.0), "192.0.2.3")
        return [connection.ended for connection in [*made, again]]

    return asyncio.run(add())


FULL = "the server has too many connections"


def test_the_new_one_ends_if_work_is_done_for_all_of_the_largest_address(few_files):
    busy = [("192.0.2.1", None)] * 4
    new = [("192.0.2.2", 0.0)] * 2
    assert added(few_files, *busy, *new) == [""] * 4 + [FULL] * 2 + [""]


def test_one_that_waits_at_the_largest_address_ends_before_the_new_one(few_files):
    held = [("192.0.2.1", None), ("192.0.2.1", 1.0), ("192.0.2.1", 2.0), ("192.0.2.1", None)]
    assert added(few_files, *held, ("192.0.2.2", 0.0)) == ["", "", FULL, "", "", ""]
