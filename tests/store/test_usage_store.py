"""Conformance tests of `UsageStore`."""

from stores import BROKEN, CANCELLED, EVER, POLICY, done, finish, submit, take

from omnireel.store.usage import Charge, Period, Total

HOUR_S = 3600.0
DAY_S = 24 * HOUR_S


def charge(store, job_id, owner, tokens, *, now):
    submit(store, job_id, owner=owner, now=now)
    finish(store, take(store, now=now), done(tokens - 1), now=now)


def listed(store, owner=None, period=EVER, **options):
    return [one.job.id for one in store.usage.ended_jobs(owner, period, **{"limit": 100} | options)]


def test_charges_are_summed_by_period_and_by_owner(store):
    charge(store, "a", "ann", 10, now=10.0)
    charge(store, "b", "ann", 20, now=HOUR_S + 1)
    charge(store, "c", "bob", 5, now=HOUR_S + 2)
    charge(store, "d", "ann", 1, now=3 * DAY_S)  # a Sunday: 1 January 1970 was a Thursday
    charge(store, "e", "ann", 2, now=4 * DAY_S)
    assert store.usage.totals(None, EVER) == [Total("", 38, 228)]
    assert store.usage.totals("ann", Period(10.0, HOUR_S + 1)) == [Total("", 10, 60)]
    assert store.usage.totals("ann", EVER, timeframe="hour")[:2] == [
        Total("1970-01-01T00:00:00Z", 10, 60),
        Total("1970-01-01T01:00:00Z", 20, 120),
    ]
    buckets = {
        timeframe: [
            (one.bucket, one.num_tokens) for one in store.usage.totals("ann", EVER, timeframe=timeframe)
        ]
        for timeframe in ("minute", "day", "week", "month")
    }
    assert buckets["minute"][1] == ("1970-01-01T01:00:00Z", 20)
    assert buckets["day"] == [
        ("1970-01-01T00:00:00Z", 30), ("1970-01-04T00:00:00Z", 1), ("1970-01-05T00:00:00Z", 2),
    ]  # fmt: skip
    assert buckets["week"] == [("1969-12-29T00:00:00Z", 31), ("1970-01-05T00:00:00Z", 2)]
    assert buckets["month"] == [("1970-01-01T00:00:00Z", 33)]


def test_charges_are_listed_newest_first_page_by_page(store):
    for n, job_id in enumerate("abcd"):
        charge(store, job_id, "ann", 10, now=100.0 + n // 2)
    first = store.usage.charges("ann", EVER, limit=3)
    assert [one.job_id for one in first] == ["d", "c", "b"]
    rest = store.usage.charges("ann", EVER, limit=3, after=(first[-1].at, first[-1].job_id))
    assert rest == [Charge("a", 100.0, 10, 60)]
    assert store.usage.charges("bob", EVER, limit=3) == []
    assert store.usage.charges(None, Period(0, 101.0), limit=9)[0].job_id == "b"


def test_the_mean_is_over_answers_that_were_charged(store):
    assert store.usage.mean_micro(None) is None
    charge(store, "a", "ann", 10, now=1.0)
    charge(store, "b", "ann", 20, now=2.0)
    charge(store, "c", "bob", 40, now=3.0)
    assert store.usage.mean_micro("ann") == 90.0
    assert store.usage.mean_micro(None) == 140.0


def test_ended_jobs_are_listed_by_time_or_duration_page_by_page(store):
    for job_id, began, ended in (("short", 10.0, 11.0), ("long", 5.0, 12.0), ("middle", 8.0, 13.0)):
        submit(store, job_id, now=began)
        finish(store, take(store, now=began), now=ended)
    submit(store, "waiting")
    assert listed(store) == ["middle", "long", "short"]
    assert listed(store, order="duration") == ["long", "middle", "short"]
    for order in ("ended_at", "duration"):
        first, last = store.usage.ended_jobs(None, EVER, limit=2, order=order)
        following = listed(store, order=order, after=(last.order, last.seq))
        assert [first.job.id, last.job.id, *following] == listed(store, order=order)
    assert listed(store, period=Period(11.5, 13.0)) == ["long"]
    assert listed(store, job_id="short") == ["short"]
    assert listed(store, "bob") == []


def test_a_status_distinguishes_failures_by_caller_and_by_server(store):
    outcomes = {"answered": done(), "callers": CANCELLED, "servers": BROKEN}
    for job_id, outcome in outcomes.items():
        submit(store, job_id)
        finish(store, take(store), outcome)
    submit(store, "removed")
    store.jobs.cancel("removed", POLICY, now=2.0)
    assert listed(store, status="success") == ["answered"]
    assert listed(store, status="user_error") == ["removed", "callers"]
    assert listed(store, status="error") == ["servers"]


def test_a_job_whose_payloads_were_dropped_is_still_listed_and_counted(store):
    charge(store, "a", "ann", 10, now=1.0)
    submit(store, "b")
    finish(store, take(store), BROKEN)
    for job_id in "ab":
        store.jobs.drop_payloads(job_id, owner=None)
    jobs = [one.job for one in store.usage.ended_jobs(None, EVER, limit=9)]
    assert [(job.id, job.outcome, job.failure, job.num_tokens) for job in jobs] == [
        ("b", None, BROKEN, 0),
        ("a", None, None, 10),
    ]
    assert listed(store, status="error") == ["b"]
    assert store.usage.totals("ann", EVER)[0].num_tokens == 10
