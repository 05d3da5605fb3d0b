"""Store time passes whatever the wall clock says, is the same in all processes, and goes on after a new boot."""

import asyncio
import time
from collections import Counter
from contextlib import closing

import pytest
from stores import LEASE_S, POLICY, Blocking, done, finish, overdue, submit, sweep, take

from omnireel.store.sqlite import database
from omnireel.store.sqlite.store import SqliteStore

DAY_S = 24 * 3600.0


class Machine:
    """A machine whose boots, uptime and wall clock the test sets."""

    def __init__(self, monkeypatch, folder):
        self.boot_id, self.uptime_s, self.wall_s = "boot 1", 500.0, 1_800_000_000.0
        self._path = folder / "store"
        monkeypatch.setattr(database, "id_of_boot", lambda: self.boot_id)
        monkeypatch.setattr(database, "seconds_since_boot", lambda: self.uptime_s)
        monkeypatch.setattr("omnireel.store.sqlite.clock.seconds_since_boot", lambda: self.uptime_s)
        monkeypatch.setattr(time, "time", lambda: self.wall_s)

    def store(self):
        return closing(SqliteStore(self._path))

    def pass_time(self, seconds):
        self.uptime_s += seconds
        self.wall_s += seconds


@pytest.fixture
def machine(monkeypatch, tmp_path):
    return Machine(monkeypatch, tmp_path)


@pytest.fixture
def runner():
    with asyncio.Runner() as runner:
        yield runner


def test_store_time_begins_as_the_wall_clock_and_is_never_set(machine):
    with machine.store() as store:
        began = store.now()
        assert began == machine.wall_s
        machine.pass_time(10.0)
        for jump_s in (8 * DAY_S, -9 * DAY_S):
            machine.wall_s += jump_s
            assert store.now() == began + 10.0


def test_processes_of_one_boot_have_the_same_time(machine):
    with machine.store() as first:
        machine.pass_time(100.0)
        machine.wall_s += DAY_S
        with machine.store() as second:
            assert second.now() == first.now()


def test_what_people_read_is_the_time_of_the_wall_clock(machine, runner):
    with machine.store() as opened:
        store = Blocking(opened, runner)
        machine.wall_s += DAY_S
        submit(store, "a", now=store.now(), webhook_url="https://receiver.example/hook")
        finish(store, take(store, now=store.now()), now=store.now())
        ended, (entry,) = store.jobs.find("a"), store.webhooks.read_log()
    shown = {ended.created_at, ended.started_at, ended.finished_at, entry.created_at, entry.next_at}
    assert shown == {machine.wall_s}


def test_a_wall_clock_that_jumps_deletes_nothing_and_stalls_nothing(machine, runner):
    with machine.store() as opened:
        store = Blocking(opened, runner)
        for job_id in ("ended", "running", "waiting"):
            submit(store, job_id, now=store.now(), keeps_io=job_id != "ended")
        finish(store, take(store, now=store.now()), now=store.now())
        take(store, now=store.now())
        for jump_s in (8 * DAY_S, -8 * DAY_S - 3600):
            machine.wall_s += jump_s
            store.jobs.purge(before=store.now() - DAY_S)
            store.jobs.purge_unkept(now=store.now())
            assert overdue(store, now=store.now()).lapsed == []
            assert store.jobs.find("ended").outcome is not None
        assert take(store, now=store.now()).id == "waiting"
        machine.pass_time(DAY_S + 1)
        store.jobs.purge(before=store.now() - DAY_S)
        assert store.jobs.find("ended") is None


def test_after_a_new_boot_time_goes_on_from_where_it_was(machine, runner):
    """However long the machine was off, and whatever its clock says then."""
    with machine.store() as opened:
        machine.pass_time(3600.0)
        Blocking(opened, runner).jobs.purge(before=0.0)  # notes the time
        before = opened.now()
    machine.boot_id, machine.uptime_s = "boot 2", 20.0
    machine.wall_s += 30 * DAY_S
    with machine.store() as store, machine.store() as other:
        assert store.now() == other.now() == pytest.approx(before)
        machine.pass_time(5.0)
        assert store.now() == pytest.approx(before + 5.0)


def test_a_new_boot_ends_the_leases_and_claims_of_the_old_one(machine, runner):
    with machine.store() as opened:
        store, claims = Blocking(opened, runner), {"running": Counter(), "max_running": 9, "max_each": 9}
        submit(store, "hooked", now=store.now(), webhook_url="https://receiver.example/hook")
        finish(store, take(store, now=store.now()), done(), now=store.now())
        assert len(store.webhooks.claim(**claims, lease_s=1e6, now=store.now())) == 1
        submit(store, "a", now=store.now())
        job = take(store, now=store.now() + 1e6)  # a lease of a long time
        submit(store, "b", now=store.now())
        store.jobs.requeue(
            take(store, now=store.now()), worker="w", after_s=1e6, counts=True, log=(), now=0.0
        )
    machine.boot_id, machine.uptime_s = "boot 2", 0.0
    with machine.store() as opened:
        store = Blocking(opened, runner)
        assert len(store.webhooks.claim(**claims, lease_s=LEASE_S, now=store.now())) == 1
        assert take(store, now=store.now()).id == "b"
        assert sweep(store, now=store.now()) == []
        assert store.jobs.find(job.id).state == "queued"
        assert POLICY.max_crashes > 1
