import pytest
from hypothesis import given
from hypothesis import strategies as st

from omnireel.engine.scheduler import Decode, Prefill, Scheduler


def test_a_prompt_is_read_in_chunks_then_decoded():
    scheduler = Scheduler(prefill_chunk=4)
    scheduler.add("a", 10)
    assert [scheduler.next_step() for _ in range(5)] == [
        Prefill("a", 0, 4, is_last=False),
        Prefill("a", 4, 8, is_last=False),
        Prefill("a", 8, 10, is_last=True),
        Decode(("a",)),
        Decode(("a",)),
    ]


def test_one_sequence_runs_at_a_time_first_come_first_served():
    scheduler = Scheduler(prefill_chunk=4)
    for name in "abc":
        scheduler.add(name, 1)
    order = []
    for _ in range(3):
        plan = scheduler.next_step()
        order.append(plan.sequence_id)
        assert scheduler.next_step() == Decode((plan.sequence_id,))
        scheduler.end(plan.sequence_id)
    assert order == ["a", "b", "c"]
    assert scheduler.is_idle


def test_several_running_sequences_decode_together():
    scheduler = Scheduler(prefill_chunk=4, max_running=2)
    for name in "abc":
        scheduler.add(name, 1)
    assert [scheduler.next_step() for _ in range(4)] == [
        Prefill("a", 0, 1, is_last=True),
        Decode(("a",)),
        Prefill("b", 0, 1, is_last=True),
        Decode(("a", "b")),
    ]


def test_answers_go_on_between_the_chunks_of_a_prompt():
    scheduler = Scheduler(prefill_chunk=4, max_running=3)
    scheduler.add("a", 1)
    scheduler.next_step()
    scheduler.add("b", 8)
    assert [scheduler.next_step() for _ in range(5)] == [
        Decode(("a",)),
        Prefill("b", 0, 4, is_last=False),
        Decode(("a",)),
        Prefill("b", 4, 8, is_last=True),
        Decode(("a", "b")),
    ]


def test_a_waiting_sequence_can_be_ended():
    scheduler = Scheduler(prefill_chunk=4)
    scheduler.add("a", 1)
    scheduler.add("b", 1)
    scheduler.end("b")
    assert scheduler.next_step().sequence_id == "a"
    scheduler.end("a")
    assert scheduler.next_step() is None
    assert scheduler.is_idle


def test_an_empty_prompt_is_a_bug():
    with pytest.raises(AssertionError, match="at least one token"):
        Scheduler(prefill_chunk=4).add("a", 0)


operations = st.lists(
    st.tuples(st.just("add"), st.integers(1, 9))
    | st.tuples(st.just("end"), st.integers(0, 20))
    | st.tuples(st.just("step"), st.just(0))
)


@given(operations, st.integers(1, 4), st.integers(1, 3))
def test_every_prompt_is_read_once_and_in_the_order_of_arrival(operations, chunk, max_running):
    scheduler = Scheduler(prefill_chunk=chunk, max_running=max_running)
    lengths, read, active = [], {}, []
    for what, n in operations:
        if what == "add":
            active.append(len(lengths))
            read[len(lengths)] = 0
            scheduler.add(len(lengths), n)
            lengths.append(n)
        elif what == "end":
            scheduler.end(n)
            active = [name for name in active if name != n]
        else:
            plan = scheduler.next_step()
            assert (plan is None) == (not active)
            if isinstance(plan, Prefill):
                assert plan.sequence_id == next(n for n in active[:max_running] if read[n] < lengths[n])
                assert read[plan.sequence_id] == plan.start < plan.end <= plan.start + chunk
                assert plan.is_last == (plan.end == lengths[plan.sequence_id])
                read[plan.sequence_id] = plan.end
            elif isinstance(plan, Decode):
                assert list(plan.sequence_ids) == [n for n in active[:max_running] if read[n] == lengths[n]]
    assert scheduler.is_idle == (not active)
