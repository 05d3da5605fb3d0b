"""Conformance tests of `JobStore`. The tests set the clock."""

import asyncio
from collections import Counter
from dataclasses import replace

import pytest
from stores import (
    BROKEN,
    CANCELLED,
    EVER,
    LEASE_S,
    LOST,
    NOT_STARTED,
    POLICY,
    charged_micro,
    done,
    finish,
    overdue,
    renew,
    run_all,
    submit,
    sweep,
    take,
    task,
)

from omnireel.engine.params import FinishReason, SamplingParams
from omnireel.errors import CapacityError, InputError
from omnireel.store.jobs import (
    IDEMPOTENCY_S,
    MAX_BACKOFF_S,
    MAX_COUNTED,
    MAX_PASSED_OVER_S,
    MAX_PINNED_S,
    UNKEPT_ATTACHED_S,
    UNKEPT_S,
    Claim,
    LapsedLease,
    State,
    Submission,
)
from omnireel.store.webhooks import Delivery
from omnireel.task import Answer, Failure, MediaOptions, VideoFacts, video_task


def test_a_job_is_found_as_it_was_submitted_and_as_it_ended(store):
    media = MediaOptions(
        fps=2.0, max_frames=8, start_s=0.5, end_s=3.0, video_pruning_rate=0.5, use_audio=False
    )
    sampling = SamplingParams(0.1, 0.2, 30, 7, 12, 3)
    asked = video_task("e/x", prompt="Wäs? 😀", video="https://v.example/", system_prompt="Be brief.",
                       thinking=True, sampling=sampling, media=media)  # fmt: skip
    submission = Submission("a", "ann", asked, media="blob", pinned_to="w", webhook_url="https://h.example/",
                            retries=2, start_deadline_s=5.0)  # fmt: skip
    job, claimed = store.jobs.submit(submission, fingerprint="f", now=100.0)
    assert (claimed, job) == ([], store.jobs.find("a"))
    assert (job.state, job.task, job.media, job.retries) == (State.queued, asked, "blob", 2)
    assert (job.created_at, job.start_deadline_at, job.attempt) == (100.0, 105.0, 0)
    assert store.jobs.needed_media() == {"blob"}
    running = take(store, now=101.0)
    assert (running.state, running.started_at, running.attempt, running.task) == (
        State.running,
        101.0,
        1,
        asked,
    )
    facts = VideoFacts(640, 360, "h264", 29.97, 2.5, True, (0, 3), (0.0, 0.1), 64, 32, ("dark",), "used", 5)
    answer = Answer("<think>hm</think>jä", "hm", FinishReason.length, 10, 2, facts)
    assert finish(store, running, answer, now=102.0)
    ended = store.jobs.find("a")
    assert (ended.state, ended.outcome, ended.failure) == (State.succeeded, answer, None)
    assert (ended.finished_at, ended.num_tokens, ended.media) == (102.0, 12, None)
    assert store.jobs.find("nobody") is None
    assert store.jobs.needed_media() == set()


def test_a_failure_is_found_with_all_its_fields(store):
    failure = Failure("too_long", "Too long.", "Cut it.", "media", {"max": 1.5, "list": [1]}, 2.5, True)
    submit(store)
    finish(store, take(store), failure)
    ended = store.jobs.find("a")
    assert (ended.state, ended.outcome, ended.failure) == (State.failed, failure, failure)
    assert charged_micro(store) == 0


def test_a_submission_can_claim_in_the_same_commit(store):
    submit(store, "earlier")
    submission = Submission("a", "ann", task())
    job, claimed = store.jobs.submit(submission, fingerprint="f", now=1.0, claim=Claim("w", 2, LEASE_S))
    assert (job.id, job.state) == ("a", State.queued)
    assert [one.id for one in claimed] == ["earlier", "a"]
    with pytest.raises(CapacityError):
        store.jobs.submit(
            Submission("b", "ann", task(), max_queued=-1),
            fingerprint="f",
            now=1.0,
            claim=Claim("w", 1, LEASE_S),
        )
    assert store.jobs.find("b") is None


def test_jobs_run_in_order_of_arrival_and_those_of_low_priority_last(store):
    submit(store, "low", is_low=True)
    submit(store, "first")
    submit(store, "second")
    assert [store.jobs.position(job) for job in ("first", "second", "low")] == [0, 1, 2]
    assert store.jobs.num_queued() == 3
    assert [take(store).id for _ in range(3)] == ["first", "second", "low"]
    assert take(store) is None


def test_a_finished_job_is_charged_once_and_has_one_webhook(store):
    submit(store, webhook_url="https://hook.example/x")
    job = take(store)
    assert finish(store, job)
    assert not finish(store, job, now=2)
    assert charged_micro(store, "ann") == 66
    (entry,) = store.webhooks.read_log()
    assert (entry.id, entry.job_id, entry.url) == ("msg_a", "a", "https://hook.example/x")


def test_a_cancelled_job_is_charged_for_its_tokens(store):
    submit(store)
    cancelled = replace(CANCELLED, input_tokens=7, output_tokens=3)
    finish(store, take(store), cancelled)
    ended = store.jobs.find("a")
    assert (ended.state, ended.outcome, ended.num_tokens) == (State.cancelled, cancelled, 10)
    assert store.jobs.status("a").num_tokens == 10
    assert charged_micro(store, "ann") == 60


def test_a_lease_that_ran_out_is_reported_once_with_its_worker_and_what_became_of_the_job(store):
    submit(store, "again")
    submit(store, "gone", retries=0)
    take(store, "w1")
    take(store, "w2")
    assert overdue(store, now=LEASE_S - 1).lapsed == []
    found = overdue(store, now=LEASE_S + 1, worker="w3")
    assert found.lapsed == [LapsedLease("again", "w1", 1, False), LapsedLease("gone", "w2", 1, True)]
    assert found.ended == ["gone"]
    assert overdue(store, now=LEASE_S + 2).lapsed == []


def test_a_worker_whose_lease_was_lost_changes_nothing(store):
    submit(store)
    old = take(store, "old")
    sweep(store, now=LEASE_S + 1)
    new = take(store, "new", now=LEASE_S + 10)
    assert renew(store, old, "old", now=LEASE_S + 11) is None
    assert not finish(store, old, worker="old", now=LEASE_S + 11, log=[(1.0, "INFO", "late")])
    requeue = {"after_s": 0, "counts": True, "log": (), "now": LEASE_S + 11}
    assert not store.jobs.requeue(old, worker="old", **requeue)
    assert renew(store, new, "new", now=LEASE_S + 11) is False
    assert finish(store, new, worker="new", now=LEASE_S + 12)
    assert charged_micro(store, "ann") == 66
    assert [line.message for line in store.jobs.read_log("a")] == ["late"]


def test_a_lease_that_ran_out_is_renewed_if_its_worker_is_still_alive(store):
    submit(store, "mine")
    submit(store, "theirs")
    mine, _ = take(store, "w"), take(store, "dead")
    assert sweep(store, now=LEASE_S + 1, running=[mine]) == []
    assert store.jobs.find("mine").state == State.running
    assert store.jobs.find("theirs").state == State.queued
    assert finish(store, mine, now=LEASE_S + 2)


def test_a_job_whose_workers_crash_three_times_is_lost_and_not_charged(store):
    submit(store)
    now = 0.0
    for _ in range(3):
        assert take(store, now=now) is not None
        now += LEASE_S + 1
        sweep(store, now=now)
        assert take(store, now=now) is None, "It must wait, longer each time."
        now += MAX_BACKOFF_S
    assert store.jobs.find("a").outcome == LOST
    assert charged_micro(store) == 0


def test_the_time_of_a_job_is_that_of_the_attempt_that_answered(store):
    submit(store)
    take(store, now=1.0)
    sweep(store, now=LEASE_S + 2)
    again = take(store, now=LEASE_S + 50)
    assert (again.attempt, again.started_at) == (2, LEASE_S + 50)
    assert store.jobs.requeue(again, worker="w", after_s=0, counts=False, log=(), now=LEASE_S + 60)
    assert finish(store, take(store, now=LEASE_S + 70), now=LEASE_S + 73)
    ended = store.jobs.find("a")
    assert (ended.started_at, ended.finished_at) == (LEASE_S + 70, LEASE_S + 73)


def test_a_pinned_job_runs_only_in_its_server(store):
    submit(store, pinned_to="here", retries=0)
    assert take(store, "there") is None
    assert take(store, "here").id == "a"
    assert sweep(store, now=LEASE_S + 1) == ["a"]


def test_a_pinned_job_whose_server_died_before_it_ran_ends_as_lost(store):
    submit(store, pinned_to="dead", retries=0)
    assert sweep(store, now=MAX_PINNED_S - 1) == []
    assert sweep(store, now=MAX_PINNED_S + 1) == ["a"]


def test_a_job_that_does_not_start_in_time_ends(store):
    submit(store, start_deadline_s=5)
    assert take(store, now=5.1) is None
    assert sweep(store, now=5.1) == ["a"]
    assert store.jobs.find("a").failure == NOT_STARTED


def test_a_job_that_started_in_time_may_run_again_after_its_start_deadline(store):
    submit(store, start_deadline_s=5)
    job = take(store, now=1)
    assert store.jobs.requeue(job, worker="w", after_s=0, counts=False, log=(), now=20)
    assert sweep(store, now=21) == []
    again = take(store, "next", now=21)
    assert (again.id, again.attempt, again.retries) == ("a", 1, 9)


def test_a_job_without_retries_left_is_not_requeued(store):
    submit(store, retries=1)
    for expected in (True, False):
        job = take(store, now=10)
        log = [(10.0, "WARN", "full")]
        assert store.jobs.requeue(job, worker="w", after_s=0, counts=True, log=log, now=10) is expected
    assert (job.attempt, job.retries) == (2, 0)
    assert [line.message for line in store.jobs.read_log("a")] == ["full", "full"]


def test_cancel_returns_what_it_did(store):
    submit(store, "waiting")
    assert store.jobs.cancel("waiting", POLICY, now=1) == "removed"
    assert store.jobs.cancel("waiting", POLICY, now=1) == "ended"
    assert store.jobs.cancel("nobody", POLICY, now=1) == "unknown"
    assert store.jobs.find("waiting").state == State.cancelled
    submit(store, "running")
    job = take(store)
    assert store.jobs.cancel("running", POLICY, now=1) == "requested"
    assert store.jobs.cancel_requests("w") == ["running"]
    assert store.jobs.cancel_requests("other") == []
    assert renew(store, job, now=1) is True
    assert sweep(store, now=LEASE_S + 2) == ["running"]
    assert store.jobs.find("running").outcome == CANCELLED


def test_the_same_idempotency_key_and_request_is_the_same_job_for_a_day(store):
    first = submit(store, "a", idempotency_key="k")
    assert submit(store, "b", idempotency_key="k").id == first.id == "a"
    assert submit(store, "other", owner="bob", idempotency_key="k", fingerprint="g").id == "other"
    with pytest.raises(InputError) as raised:
        submit(store, "c", idempotency_key="k", fingerprint="another", now=1)
    assert (raised.value.kind, raised.value.about) == ("idempotency_mismatch", "idempotency_key")
    assert submit(store, "d", idempotency_key="k", now=IDEMPOTENCY_S + 1).id == "d"


def test_a_pinned_job_with_a_second_caller_goes_on_without_the_first(store):
    submit(store, "a", pinned_to="w", retries=0, idempotency_key="k")
    assert store.jobs.find("a").pinned_to == "w"
    known = submit(store, "b", idempotency_key="k", retries=5, webhook_url="https://hook.example/")
    assert known.id == "a"
    now_queued = store.jobs.find("a")
    assert (now_queued.pinned_to, now_queued.retries) == (None, 5)
    job = take(store, "w")
    assert store.jobs.cancel("a", POLICY, now=1, only_pinned=True) == "kept"
    finish(store, job)
    assert [entry.job_id for entry in store.webhooks.read_log()] == ["a"]


def test_a_pinned_job_is_not_requeued_and_ends_with_its_caller(store):
    submit(store, pinned_to="w", retries=0)
    job = take(store)
    assert not store.jobs.requeue(job, worker="w", after_s=0, counts=False, log=(), now=1)
    assert store.jobs.cancel("a", POLICY, now=1, only_pinned=True) == "requested"


@pytest.mark.parametrize(
    ("outcome", "is_new"),
    [
        (done(), False),
        (Failure("too_long", "Too long.", about="media", is_callers=True), False),
        (CANCELLED, True),
        (LOST, True),
        (BROKEN, True),
        (Failure("concurrent_requests_limit", "Full.", after_s=1, is_callers=True), True),
    ],
)
def test_an_open_request_is_tried_again_if_nothing_about_its_input_ended_it(store, outcome, is_new):
    submit(store, "a", pinned_to="w", retries=0, idempotency_key="k")
    finish(store, take(store), outcome)
    for _ in range(2):
        again = submit(store, "b", pinned_to="w", retries=0, idempotency_key="k")
        assert again.id == ("b" if is_new else "a")


def test_a_queued_job_that_was_lost_stays_the_job_of_its_key(store):
    submit(store, "a", idempotency_key="k")
    finish(store, take(store), LOST)
    assert submit(store, "b", idempotency_key="k").id == "a"


def test_a_job_is_refused_if_the_queue_is_too_long(store):
    submit(store, "a")
    submit(store, "b")
    with pytest.raises(CapacityError):
        submit(store, "c", max_queued=1)
    assert submit(store, "c", max_queued=2).id == "c"


def test_no_account_takes_more_of_the_queue_than_it_leaves_for_the_next(store):
    for n in range(6):
        submit(store, f"many{n}", owner="many", queue_room=10)
    with pytest.raises(CapacityError, match="6 of your jobs are waiting already"):
        submit(store, "many6", owner="many", queue_room=10)
    for n in range(3):
        submit(store, f"some{n}", owner="some", queue_room=10)
    with pytest.raises(CapacityError):
        submit(store, "some3", owner="some", queue_room=10)
    submit(store, "few", owner="few", queue_room=10)
    finish(store, take(store))
    assert submit(store, "some3", owner="some", queue_room=12).id == "some3"


def test_callers_without_accounts_share_the_whole_queue(store):
    for n in range(11):
        submit(store, f"a{n}", owner="", queue_room=10, max_queued=10)
    with pytest.raises(CapacityError, match="11 jobs are waiting already"):
        submit(store, "a11", owner="", queue_room=10, max_queued=10)


def test_the_task_of_a_job_that_must_not_be_kept_loses_its_content_and_keeps_its_options(store):
    submit(store, keeps_io=False)
    finish(store, take(store))
    ended = store.jobs.find("a").task
    assert ended == task().without_content()
    assert ended.messages == ()


@pytest.mark.parametrize(("pinned_to", "kept_s"), [(None, UNKEPT_S), ("w", UNKEPT_ATTACHED_S)])
def test_an_outcome_that_must_not_be_kept_can_be_fetched_for_a_while_but_is_not_listed(
    store, pinned_to, kept_s
):
    submit(store, "kept")
    submit(store, keeps_io=False, pinned_to=pinned_to)
    for _ in range(2):
        finish(store, take(store))
    store.jobs.purge_unkept(now=kept_s)
    assert store.jobs.find("a").outcome == done()
    listed = {one.job.id: one.job.outcome for one in store.usage.ended_jobs("ann", EVER, limit=9)}
    assert listed == {"a": None, "kept": done()}
    store.jobs.purge_unkept(now=kept_s + 2)
    assert store.jobs.find("a").outcome is None
    assert store.jobs.find("a").num_tokens == 11
    assert store.jobs.find("kept").outcome == done()


def test_payloads_are_dropped_for_their_owner_once_the_job_has_ended(store):
    submit(store)
    assert store.jobs.drop_payloads("a", owner="ann") == "running"
    finish(store, take(store), BROKEN)
    assert store.jobs.drop_payloads("a", owner="bob") == "unknown"
    assert store.jobs.drop_payloads("a", owner=None) == "dropped"
    dropped = store.jobs.find("a")
    assert (dropped.outcome, dropped.failure, dropped.task.messages) == (None, BROKEN, ())
    assert dropped.task.endpoint == task().endpoint


def test_log_lines_are_numbered_within_their_job(store):
    submit(store, "a")
    submit(store, "b")
    for job in ("a", "b", "a"):
        store.jobs.append_log(job, [(1.0, "INFO", "one"), (2.0, "WARN", "two")])
    job = take(store)  # after this later write the lines are stored
    assert [line.number for line in store.jobs.read_log("a")] == [0, 1, 2, 3]
    assert [line.message for line in store.jobs.read_log("b", start=1)] == ["two"]
    finish(store, job, log=[(3.0, "ERROR", "last")])
    assert (store.jobs.read_log("a")[-1].number, store.jobs.read_log("a")[-1].level) == (4, "ERROR")


def test_old_jobs_are_purged_with_their_logs_and_webhooks_but_their_charges_stay(store):
    for job_id, now in (("old", 1.0), ("young", 50.0)):
        submit(store, job_id, webhook_url="https://hook.example/", now=now)
        finish(store, take(store, now=now), now=now, log=[(now, "INFO", "line")])
    submit(store, "unfinished", now=1.0)
    (webhook,) = store.webhooks.claim(running=Counter(), max_running=1, max_each=1, lease_s=45.0, now=60.0)
    store.webhooks.record(webhook, Delivery(60.0, 200, None, 0.1), state="delivered")
    store.jobs.purge(before=50.0)
    assert [store.jobs.find(job) is None for job in ("old", "young", "unfinished")] == [True, False, False]
    assert [entry.job_id for entry in store.webhooks.read_log()] == ["young"]
    assert store.jobs.read_log("old") == []
    assert charged_micro(store, "ann") == 132


def test_jobs_of_two_open_stores_are_claimed_once(deployed):
    one, other = deployed.open(), deployed.open()

    async def scene():
        jobs = [Submission(f"j{n}", f"owner {n % 3}", task()) for n in range(40)]
        await asyncio.gather(
            *(
                (one, other)[n % 2].jobs.submit(job, fingerprint="f", now=float(n))
                for n, job in enumerate(jobs)
            )
        )
        claims = await asyncio.gather(
            *((one, other)[n % 2].jobs.claim(Claim(f"w{n}", 3, LEASE_S), now=50.0) for n in range(20))
        )
        return [job.id for jobs in claims for job in jobs]

    claimed = asyncio.run(scene())
    assert len(claimed) == len(set(claimed)) == 40


def test_a_change_in_one_open_store_is_seen_in_another(deployed):
    one, other = deployed.open(), deployed.open()

    async def scene():
        (job,) = (
            await one.jobs.submit(
                Submission("a", "ann", task()), fingerprint="f", now=0.0, claim=Claim("w", 1, LEASE_S)
            )
        )[1]
        assert await other.jobs.cancel("a", POLICY, now=1.0) == "requested"
        assert await one.jobs.cancel_requests("w") == ["a"]
        assert await one.jobs.finish(job, CANCELLED, POLICY, worker="w", log=(), now=2.0)
        return await other.jobs.find("a")

    assert asyncio.run(scene()).state == State.cancelled


def test_no_job_waits_after_all_have_run(store):
    for n in range(5):
        submit(store, f"j{n}", owner=f"o{n}")
    assert len(run_all(store)) == 5
    assert store.jobs.num_queued() == 0


def test_a_status_has_the_same_facts_as_the_whole_job(store):
    submit(store, "a")
    submit(store, "b")
    finish(store, take(store), done(5))
    finish(store, take(store), BROKEN)
    submit(store, "c")
    for job_id in ("a", "b", "c"):
        job, status = store.jobs.find(job_id), store.jobs.status(job_id)
        assert all(getattr(job, name) == value for name, value in vars(status).items())
    assert store.jobs.status("unknown") is None


def test_a_position_far_behind_is_not_counted_to_its_end(store):
    for number in range(MAX_COUNTED + 20):
        submit(store, f"job {number}", owner="ann")
    submit(store, "of bob", owner="bob")
    assert store.jobs.position("job 7") == 8
    assert store.jobs.position(f"job {MAX_COUNTED + 19}") in (MAX_COUNTED, MAX_COUNTED + 1)


def crashed(store, *jobs, now=0.0):
    """Submit jobs that run together in a worker, which dies. Returns when all of them may run again."""
    for job_id, owner in jobs:
        submit(store, job_id, owner=owner, now=now)
    assert len(store.jobs.claim(Claim("dead", 9, LEASE_S), now=now)) == len(jobs)
    sweep(store, now=now + LEASE_S + 1)
    return now + LEASE_S + 1 + MAX_BACKOFF_S


def claim_ids(store, worker, now, *, max_jobs=9):
    return [job.id for job in store.jobs.claim(Claim(worker, max_jobs, 1000.0), now=now)]


def test_jobs_whose_worker_died_run_alone_and_others_wait_until_each_has_ended(store):
    now = crashed(store, ("bad", "ann"), ("good", "bob"))
    submit(store, "new", owner="bob", now=now)
    order = []
    for _ in range(2):
        (job_id,) = claim_ids(store, "w", now)
        assert claim_ids(store, "w", now) == []
        assert store.jobs.find(job_id).num_crashes == 1
        finish(store, store.jobs.find(job_id), now=now)
        order.append(job_id)
    assert sorted(order) == ["bad", "good"]
    assert claim_ids(store, "w", now) == ["new"]


def test_a_job_that_crashes_its_worker_alone_takes_no_other_along(store):
    now = crashed(store, ("bad", "ann"), ("good", "bob"), ("fine", "cid"))
    while (alone := claim_ids(store, "w", now)) and len(alone) == 1:
        if alone != ["bad"]:
            finish(store, store.jobs.find(alone[0]), now=now)
        now += 1001 + MAX_BACKOFF_S
        sweep(store, now=now - MAX_BACKOFF_S)
    assert {job_id: store.jobs.find(job_id).state for job_id in ("bad", "good", "fine")} == {
        "bad": State.failed,
        "good": State.succeeded,
        "fine": State.succeeded,
    }
    assert store.jobs.find("bad").outcome == LOST
    assert store.jobs.find("bad").attempt == 3


def test_a_busy_worker_passes_over_a_job_that_runs_alone_for_a_while_and_then_waits_until_it_is_idle(store):
    submit(store, "long", owner="ann")
    assert claim_ids(store, "busy", 0.0) == ["long"]
    submit(store, "alone", owner="bob", now=1.0)
    assert claim_ids(store, "dead", 1.0) == ["alone"]
    assert sweep(store, now=1002.0, running=[store.jobs.find("long")], worker="busy") == []
    due = 1002.0 + 2.0
    submit(store, "next", owner="cid", now=due)
    submit(store, "last", owner="cid", now=due)
    assert claim_ids(store, "busy", due, max_jobs=1) == ["next"]
    assert claim_ids(store, "busy", due + MAX_PASSED_OVER_S + 1) == []
    for job_id in ("long", "next"):
        job = store.jobs.find(job_id)
        finish(store, job, worker="busy", now=due + MAX_PASSED_OVER_S + 1)
    assert claim_ids(store, "busy", due + MAX_PASSED_OVER_S + 2) == ["alone"]
    assert claim_ids(store, "another", due + MAX_PASSED_OVER_S + 2) == ["last"]
