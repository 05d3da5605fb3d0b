"""Conformance tests of `WebhookStore`. The tests set the clock."""

from collections import Counter

import pytest
from stores import EVER, finish, submit, take

from omnireel.store.webhooks import Delivery

LEASE_S = 45.0
OK = Delivery(1.0, 200, None, 0.1)
BAD = Delivery(1.0, 500, None, 0.1)


def end_with_webhook(store, job_id="a", url="https://Hook.example:444/x", *, now=0.0, **more):
    submit(store, job_id, webhook_url=url, now=now, **more)
    finish(store, take(store, now=now), now=now)


def claim(store, *, now=0.0, running=None, max_running=32, max_each=4):
    running = Counter(
        {key if isinstance(key, tuple) else ("ann", key): n for key, n in (running or {}).items()}
    )
    return store.webhooks.claim(
        running=running, max_running=max_running, max_each=max_each, lease_s=LEASE_S, now=now
    )


def claim_one(store, **options):
    claimed = claim(store, max_running=1, **options)
    return claimed[0] if claimed else None


def test_a_webhook_is_claimed_once_and_again_after_its_sender_has_died(store):
    end_with_webhook(store)
    assert store.webhooks.is_due(now=0.0)
    first = claim_one(store)
    assert (first.id, first.job_id, first.owner, first.num_tries) == ("msg_a", "a", "ann", 0)
    assert (first.receiver, first.body) == ("hook.example:444", b"a What happens? Answer")
    assert not store.webhooks.is_due(now=LEASE_S - 1)
    assert claim_one(store, now=LEASE_S - 1) is None
    second = claim_one(store, now=LEASE_S)
    assert (second.id, second.num_tries) == (first.id, 0)
    assert not store.webhooks.record(first, BAD, state="given_up")
    assert store.webhooks.record(second, OK, state="delivered")
    assert store.webhooks.read_log()[0].deliveries == (OK,)


def test_a_webhook_is_due_again_at_its_next_time(store):
    end_with_webhook(store)
    store.webhooks.record(claim_one(store), BAD, state="waiting", next_at=10.0)
    assert not store.webhooks.is_due(now=9.9)
    assert store.webhooks.read_log()[0].next_at == 10.0
    assert claim_one(store, now=10.0).num_tries == 1


def test_a_receiver_gets_a_limited_number_at_a_time_and_does_not_delay_others(store):
    for n in range(6):
        end_with_webhook(store, f"slow{n}", "https://slow.example/", now=float(n))
    for n in range(3):
        end_with_webhook(store, f"quick{n}", "https://quick.example/", now=10.0 + n)
    claimed = claim(store, now=20.0, running={"slow.example": 2}, max_running=6)
    assert [one.job_id for one in claimed] == ["slow0", "slow1", "quick0", "quick1"]
    assert claim(store, now=20.0, running={"slow.example": 4, "quick.example": 2}, max_running=6) == []
    rest = [one.job_id for one in claim(store, now=20.0)]
    assert rest == ["slow2", "slow3", "slow4", "slow5", "quick2"]


def test_the_account_with_the_fewest_attempts_comes_first_however_long_others_have_waited(store):
    for n in range(5):
        end_with_webhook(store, f"many{n}", f"https://many{n}.example/", now=float(n), owner="many")
    for n in range(2):
        end_with_webhook(store, f"few{n}", f"https://few{n}.example/", now=10.0 + n, owner="few")
    running = {("many", "other.example"): 3, ("third", "third.example"): 7}
    claimed = claim(store, now=20.0, running=running, max_running=15)
    assert [one.job_id for one in claimed] == ["few0", "few1", "many0", "many1", "many2"]


def test_a_receiver_that_takes_no_more_of_one_account_does_not_hold_back_its_other_webhooks(store):
    for n in range(3):
        end_with_webhook(store, f"slow{n}", "https://slow.example/", now=float(n))
    end_with_webhook(store, "quick", "https://quick.example/", now=10.0)
    claimed = claim(store, now=20.0, running={("bob", "slow.example"): 4})
    assert [one.job_id for one in claimed] == ["quick"]


def test_a_claim_that_was_released_is_due_at_once(store):
    end_with_webhook(store)
    store.webhooks.release(claim_one(store))
    assert claim_one(store).num_tries == 0


def test_a_replay_starts_the_schedule_again_and_keeps_the_log(store):
    end_with_webhook(store)
    store.webhooks.record(claim_one(store), BAD, state="given_up")
    assert store.webhooks.given_up() == ["a"]
    assert store.webhooks.replay(["a"], now=50.0) == {"a": "due"}
    again = claim_one(store, now=50.0)
    assert (again.id, again.num_tries) == ("msg_a", 0)
    store.webhooks.record(again, OK, state="delivered")
    (entry,) = store.webhooks.read_log(job_id="a")
    assert (entry.state, entry.next_at, entry.deliveries) == ("delivered", None, (BAD, OK))
    assert store.webhooks.replay(["a", "a"], now=60.0) == {"a": "due"}


def test_a_replay_of_several_changes_nothing_if_one_cannot_be_sent(store):
    end_with_webhook(store)
    store.webhooks.record(claim_one(store), OK, state="delivered")
    assert store.webhooks.replay(["a", "nobody"], now=60.0) == {"a": "due", "nobody": "unknown"}
    assert not store.webhooks.is_due(now=60.0)


def test_the_log_is_newest_first_and_can_be_filtered(store):
    for number, job_id in enumerate("abc"):
        end_with_webhook(store, job_id, now=float(number))
    store.webhooks.record(claim_one(store, now=9.0), OK, state="delivered")
    assert [entry.job_id for entry in store.webhooks.read_log(limit=2)] == ["c", "b"]
    assert [entry.job_id for entry in store.webhooks.read_log(state="delivered")] == ["a"]
    assert store.webhooks.read_log(job_id="x") == []


@pytest.mark.parametrize("last", [(OK, "delivered"), (BAD, "given_up")], ids=["delivered", "given up"])
def test_content_that_was_dropped_before_it_was_sent_is_sent_once_and_never_again(store, last):
    end_with_webhook(store)
    store.jobs.drop_payloads("a", owner="ann")
    webhook = claim_one(store, now=1.0)
    assert webhook.body == b"a What happens? Answer"
    delivery, state = last
    store.webhooks.record(webhook, delivery, state=state)
    assert store.webhooks.replay(["a"], now=3.0) == {"a": "not_kept"}


def test_content_that_is_dropped_after_it_was_sent_is_deleted_at_once(store):
    end_with_webhook(store)
    store.webhooks.record(claim_one(store), OK, state="delivered")
    store.jobs.drop_payloads("a", owner="ann")
    assert store.webhooks.replay(["a"], now=3.0) == {"a": "not_kept"}


@pytest.mark.parametrize("keeps_io", [True, False])
def test_content_that_must_not_be_kept_is_dropped_after_delivery(store, keeps_io):
    end_with_webhook(store, keeps_io=keeps_io)
    store.webhooks.record(claim_one(store, now=1.0), BAD, state="waiting", next_at=2.0)
    second = claim_one(store, now=2.0)
    assert second.body == b"a What happens? Answer"
    store.webhooks.record(second, OK, state="delivered")
    assert store.webhooks.replay(["a"], now=3.0) == {"a": "due" if keeps_io else "not_kept"}


def test_a_job_without_a_webhook_address_has_no_webhook(store):
    submit(store)
    finish(store, take(store))
    assert store.webhooks.read_log() == []
    assert len(store.usage.ended_jobs(None, EVER, limit=9)) == 1
