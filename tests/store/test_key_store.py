"""Conformance tests of `KeyStore`: secrets, spending, caps, requests per minute, temporary tokens."""

import asyncio

import pytest
from stores import BROKEN, CANCELLED, POLICY, done, finish, submit, take, task

from omnireel.errors import CapacityError, DeniedError
from omnireel.store.jobs import Submission
from omnireel.store.keys import Caller, Grant, Key, new_key, secret_digest
from omnireel.store.uploads import token_hash
from omnireel.task import Failure

DAY_S = 24 * 3600.0
PEPPER = b"pepper"


def create(store, *, now=0.0, **granted):
    key_id, secret = new_key()
    return store.keys.create(key_id, secret_digest(PEPPER, secret), Grant(**granted), now=now)


def send(store, key, job_id, micro, *, now=0.0, **more):
    return submit(store, job_id, owner=key.account, now=now, key_id=key.id, reserved_micro=micro, **more)


def test_a_key_needs_its_id_and_its_secret(store):
    grant = Grant("ann", "laptop", True, 10, 5, 1000, 500)
    key_id, secret = new_key()
    created = store.keys.create(key_id, secret_digest(PEPPER, secret), grant, now=7.0)
    assert created == Key(key_id, "ann", grant, 7.0, None)
    assert store.keys.find(key_id) == store.keys.check(key_id, secret_digest(PEPPER, secret)) == created
    assert store.keys.check(key_id, secret_digest(PEPPER, "wrong")) is None
    assert store.keys.check(key_id, secret_digest(b"another pepper", secret)) is None
    assert store.keys.check("omr_unknown", secret_digest(PEPPER, secret)) is None


def test_a_key_without_an_account_gets_a_new_one(store):
    key = create(store)
    assert key.account == key.grant.account == key.id


def test_a_revoked_key_is_listed_but_cannot_be_used(store):
    key = create(store, account="ann")
    revoked = store.keys.revoke(key.id, now=5.0)
    assert (revoked.key.revoked_at, revoked.spent_micro) == (5.0, 0)
    assert store.keys.revoke(key.id, now=9.0).key.revoked_at == 5.0
    assert store.keys.revoke("omr_unknown", now=9.0) is None
    assert store.keys.find(key.id) is None
    assert [one.key.id for one in store.keys.all(now=9.0)] == [key.id]
    with pytest.raises(DeniedError) as raised:
        send(store, key, "a", 0)
    assert raised.value.kind == "unauthorized"


def test_all_keys_are_listed_with_what_they_spent(store):
    first, second = create(store, now=1.0), create(store, now=2.0)
    for n, now in enumerate((1.0, 40 * DAY_S)):
        send(store, first, f"j{n}", 66, now=now)
        finish(store, take(store, now=now), now=now)
    listed = [
        (one.key.id, one.spent_micro, one.spent_this_month_micro) for one in store.keys.all(now=40 * DAY_S)
    ]
    assert listed == [(first.id, 132, 66), (second.id, 0, 0)]


def test_a_monthly_cap_starts_again_each_month_and_a_total_cap_does_not(store):
    key = create(store, cap_micro=150, monthly_cap_micro=70)
    for n, now in enumerate((1.0, 40 * DAY_S)):
        send(store, key, f"j{n}", 66, now=now)
        finish(store, take(store, now=now), now=now)
        with pytest.raises(DeniedError) as raised:
            send(store, key, "more", 5, now=now)
        assert raised.value.kind == "spending_cap_reached"
    with pytest.raises(DeniedError):
        send(store, key, "more", 66, now=80 * DAY_S)


def test_a_repeated_request_is_never_refused_for_its_cost(store):
    key = create(store, cap_micro=66, max_unfinished=1)
    assert send(store, key, "a", 66, idempotency_key="k").id == "a"
    assert send(store, key, "b", 66, idempotency_key="k").id == "a"


def test_the_reservation_of_an_unfinished_job_is_released_when_it_ends(store):
    key = create(store, cap_micro=100)
    send(store, key, "a", 70)
    with pytest.raises(DeniedError, match=r"\$0\.000030 is neither spent nor reserved"):
        send(store, key, "b", 31)
    send(store, key, "b", 30)
    store.jobs.cancel("a", POLICY, now=1)
    send(store, key, "c", 70)


@pytest.mark.parametrize(
    ("cap", "spent", "reserved", "advice"),
    [
        ({"cap_micro": 66}, 1, 0, "the key's cap of $6.6e-05 is spent. Ask for a higher cap."),
        (
            {"monthly_cap_micro": 66},
            1,
            0,
            "a month is spent. Ask for a higher cap, or wait for the next month.",
        ),
        ({"cap_micro": 132}, 1, 66, "$0.000066. Wait until some of them have ended."),
        ({"cap_micro": 100}, 1, 0, "reserved. Send a smaller max_frames or max_tokens."),
        ({"cap_micro": 100}, 0, 50, "or wait until unfinished requests of the key have ended."),
    ],
)
def test_the_refusal_over_a_cap_advises_what_can_help(store, cap, spent, reserved, advice):
    key = create(store, **cap)
    if spent:
        send(store, key, "spent", 66)
        finish(store, take(store))
    if reserved:
        send(store, key, "reserved", reserved)
    with pytest.raises(DeniedError) as raised:
        send(store, key, "more", 66)
    assert raised.value.message.startswith("Exhausted balance: ")
    assert raised.value.message.endswith(advice)


def test_too_many_unfinished_jobs_are_refused_until_one_ends(store):
    key = create(store, max_unfinished=2)
    for job_id in "ab":
        send(store, key, job_id, 0)
    with pytest.raises(CapacityError) as raised:
        send(store, key, "c", 0)
    assert raised.value.kind == "concurrent_requests_limit"
    finish(store, take(store))
    send(store, key, "c", 0)


def test_a_cap_holds_for_many_jobs_at_once_in_two_open_stores(deployed):
    stores = [deployed.open(), deployed.open()]

    async def scene():
        key_id, _ = new_key()
        key = await stores[0].keys.create(key_id, b"x", Grant(cap_micro=100), now=0.0)
        sent = (
            stores[n % 2].jobs.submit(
                Submission(f"j{n}", key.account, task(), key_id=key.id, reserved_micro=30),
                fingerprint="f",
                now=1.0,
            )
            for n in range(24)
        )
        return await asyncio.gather(*sent, return_exceptions=True)

    results = asyncio.run(scene())
    assert sum(isinstance(result, tuple) for result in results) == 3
    assert {type(result) for result in results} == {tuple, DeniedError}


def test_no_minute_has_more_requests_than_the_limit(store):
    key = create(store, max_per_minute=3)
    now, admitted, kinds = 0.0, [], set()
    for _ in range(100):
        now += 7.3
        try:
            store.keys.count_request(key, now=now)
        except CapacityError as error:
            kinds.add(error.kind)
            now += error.after_s + 1e-6
            store.keys.count_request(key, now=now)
        admitted.append(now)
    assert all(later - first >= 60 - 1e-6 for first, later in zip(admitted, admitted[3:], strict=False))
    assert kinds == {"rate_limited"}


def test_requests_to_two_open_stores_are_counted_together_and_each_key_alone(deployed):
    stores = [deployed.open(), deployed.open()]

    async def scene():
        keys = [
            await stores[0].keys.create(new_key()[0], b"x", Grant(max_per_minute=5), now=0.0)
            for _ in range(2)
        ]
        counted = (stores[n % 2].keys.count_request(keys[n // 20], now=1.0) for n in range(40))
        return await asyncio.gather(*counted, return_exceptions=True)

    results = asyncio.run(scene())
    assert [results[:20].count(None), results[20:].count(None)] == [5, 5]
    assert {type(result) for result in results} == {type(None), CapacityError}


def test_a_key_without_a_limit_per_minute_is_not_counted(store):
    key = create(store)
    for _ in range(100):
        store.keys.count_request(key, now=1.0)


def test_a_key_can_be_used_after_the_clock_was_set_back(store):
    key = create(store, max_per_minute=1)
    store.keys.count_request(key, now=10_000.0)
    store.keys.count_request(key, now=100.0)


def test_a_temporary_token_is_valid_for_its_account_until_it_expires(store):
    ann = Caller("ann", create(store, account="ann").id)
    store.keys.add_token(token_hash("secret"), ann, expires_at=10)
    assert store.keys.token_holder(token_hash("secret"), now=9) == ann
    assert store.keys.token_holder(token_hash("secret"), now=10) is None
    assert store.keys.token_holder(token_hash("other"), now=9) is None
    store.uploads.sweep(now=10)
    assert store.keys.token_holder(token_hash("secret"), now=9) is None


def test_a_temporary_token_ends_with_its_key(store):
    key, other = create(store, account="ann"), create(store, account="ann")
    for one in (key, other):
        store.keys.add_token(token_hash(one.id), Caller("ann", one.id), expires_at=10)
    store.keys.add_token(token_hash("no keys here"), Caller(), expires_at=10)
    store.keys.revoke(key.id, now=1)
    assert store.keys.token_holder(token_hash(key.id), now=2) is None
    assert store.keys.token_holder(token_hash(other.id), now=2) == Caller("ann", other.id)
    assert store.keys.token_holder(token_hash("no keys here"), now=2) == Caller()


def test_the_charge_of_a_job_counts_for_the_key_with_which_it_was_sent(store):
    key = create(store, account="ann")
    send(store, key, "with", 660)
    submit(store, "without", owner="ann")
    for _ in range(2):
        finish(store, take(store), done(10))
    (listed,) = store.keys.all(now=1.0)
    assert listed.spent_micro == 66


def test_clips_that_failed_within_a_minute_are_counted_for_each_key(store):
    key, other = (store.keys.create(new_key()[0], b"x", Grant(), now=n) for n in range(2))
    bad = Failure("video_corrupt", "It is damaged.", about="media", is_callers=True)
    not_fetched = Failure("file_download_error", "It is not there.", about="media", is_callers=True)
    for number, outcome in enumerate([bad, not_fetched, BROKEN, done(), CANCELLED]):
        submit(store, str(number), owner=key.account, key_id=key.id)
        finish(store, take(store), outcome, now=10.0)
    store.keys.check_failed_clips(key, 2, now=20.0)
    store.keys.count_failed_clip(key, now=20.0)
    with pytest.raises(CapacityError) as raised:
        store.keys.check_failed_clips(key, 2, now=30.0)
    assert (raised.value.kind, raised.value.after_s) == ("rate_limited", 40.0)
    store.keys.check_failed_clips(other, 1, now=30.0)
    store.keys.check_failed_clips(key, 2, now=71.0)
