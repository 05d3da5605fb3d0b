"""Webhooks that are owed, on a clock that the test owns."""

import pytest

from omnireel.store.jobs import Outcome, Submission
from omnireel.store.sqlite import jobs as store
from omnireel.store.sqlite import usage
from omnireel.store.sqlite import webhooks as outbox
from omnireel.store.sqlite.database import connect, create_schema
from omnireel.store.sqlite.webhooks import Delivery

LEASE_S = 45.0
OK = Delivery(1.0, 200, None, 0.1)
BAD = Delivery(1.0, 500, None, 0.1)


@pytest.fixture
def db():
    connection = connect(":memory:")
    create_schema(connection)
    return connection


def owe(db, job_id="a", url="https://Hook.example:444/x", now=0.0):
    outbox.put(db, job_id=job_id, owner="ann", url=url, body=b"{}", now=now)


def take(db, now=0.0, skip=()):
    return outbox.claim(db, skip=skip, lease_s=LEASE_S, now=now)


def test_one_webhook_is_claimed_once_and_again_when_its_sender_died(db):
    owe(db)
    assert outbox.is_due(db, now=0.0)
    first = take(db)
    assert (first.id, first.receiver, first.num_tries) == ("msg_a", "hook.example:444", 0)
    assert not outbox.is_due(db, now=LEASE_S - 1)
    assert take(db, now=LEASE_S - 1) is None
    second = take(db, now=LEASE_S)
    assert (second.id, second.num_tries) == (first.id, 0)
    assert not outbox.record(db, first, BAD, state="given_up")
    assert outbox.record(db, second, OK, state="delivered")
    assert outbox.read_log(db)[0].deliveries == (OK,)


def test_a_webhook_is_due_again_when_its_time_has_come(db):
    owe(db)
    outbox.record(db, take(db), BAD, state="waiting", next_at=10.0)
    assert not outbox.is_due(db, now=9.9)
    assert take(db, now=10.0).num_tries == 1


def test_receivers_that_have_enough_to_do_are_passed_over(db):
    owe(db, "a", "https://slow.example/", now=0.0)
    owe(db, "b", "https://quick.example/", now=1.0)
    assert take(db, now=2.0, skip=["slow.example"]).job_id == "b"
    assert take(db, now=2.0, skip=["slow.example"]) is None
    assert take(db, now=2.0).job_id == "a"


def test_what_is_given_back_is_due_at_once(db):
    owe(db)
    outbox.release(db, take(db))
    assert take(db).num_tries == 0


def test_a_replay_begins_the_schedule_anew_and_keeps_the_log(db):
    owe(db)
    outbox.record(db, take(db), BAD, state="given_up")
    assert outbox.given_up(db) == ["a"]
    assert outbox.replay(db, "a", now=50.0) == "due"
    again = take(db, now=50.0)
    assert (again.id, again.num_tries) == ("msg_a", 0)
    outbox.record(db, again, OK, state="delivered")
    (entry,) = outbox.read_log(db, job_id="a")
    assert (entry.state, entry.next_at, entry.deliveries) == ("delivered", None, (BAD, OK))
    assert outbox.replay(db, "a", now=60.0) == "due"
    assert outbox.replay(db, "nobody", now=60.0) == "unknown"


def test_the_log_is_the_youngest_first_and_can_be_narrowed(db):
    for number, job_id in enumerate("abc"):
        owe(db, job_id, now=float(number))
    outbox.record(db, take(db, now=9.0), OK, state="delivered")
    assert [entry.job_id for entry in outbox.read_log(db, limit=2)] == ["c", "b"]
    assert [entry.job_id for entry in outbox.read_log(db, state="delivered")] == ["a"]
    assert outbox.read_log(db, job_id="x") == []


def end_with_a_secret(db, *, keeps_io=True):
    ended = Outcome(200, {"output": "secret"})
    terms = store.EndPolicy(ended, ended, ended, lambda job_id, outcome: b"secret", 6)
    submission = Submission("a", "ann", {}, webhook_url="https://x.example/", keeps_io=keeps_io)
    store.submit(db, submission, fingerprint="f", now=0.0)
    job = store.claim(db, "w", lease_s=15, now=0.0)
    store.finish(db, terms, job, ended, worker="w", now=1.0)


@pytest.mark.parametrize("last", [(OK, "delivered"), (BAD, "given_up")], ids=["delivered", "given up"])
def test_content_that_was_dropped_while_it_was_owed_is_owed_once_more_and_never_again(db, last):
    end_with_a_secret(db)
    usage.drop_payloads(db, "ann", "a")
    webhook = take(db, now=1.0)
    assert webhook.body == b"secret"
    delivery, state = last
    outbox.record(db, webhook, delivery, state=state)
    assert outbox.replay(db, "a", now=3.0) == "not_kept"
    assert db.execute("SELECT count(*) FROM outbox WHERE body <> x''").fetchall() == [(0,)]


@pytest.mark.parametrize("keeps_io", [True, False])
def test_the_content_is_dropped_after_delivery_where_its_caller_asked_for_that(db, keeps_io):
    end_with_a_secret(db, keeps_io=keeps_io)
    first = take(db, now=1.0)
    assert first.body == b"secret"
    outbox.record(db, first, BAD, state="waiting", next_at=2.0)
    outbox.record(db, take(db, now=2.0), OK, state="delivered")
    assert outbox.replay(db, "a", now=3.0) == ("due" if keeps_io else "not_kept")
