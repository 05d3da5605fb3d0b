import gc
import weakref

import pytest
import torch
from doubles import STOP, FadingModel, allocate_too_much, request
from hypothesis import given
from hypothesis import strategies as st

from omnireel.engine.engine import Engine, EngineConfig
from omnireel.engine.params import FinishReason
from omnireel.engine.runners.torch import TorchRunner
from omnireel.errors import GenerationError, InputError


def engine(model=None, *, max_context=64, **config):
    num_slots = config.get("max_running", 1)
    runner = TorchRunner(model or FadingModel(), max_context=max_context, num_slots=num_slots)
    return Engine(runner, EngineConfig(**config))


def run(engine, *requests):
    for one in requests:
        engine.add(one)
    events = []
    while not engine.is_idle:
        events += engine.step()
    return events


def tokens(events, name="a"):
    return [event.token_id for event in events if event.sequence_id == name and event.num_read is None]


def reasons(events):
    return {event.sequence_id: event.finish_reason for event in events if event.finish_reason}


def greedy(model, prompt_ids, count):
    """The same model, computed without engine, state or steps."""
    ids = list(prompt_ids)
    for _ in range(count):
        weights = 0.8 ** torch.arange(len(ids) - 1, -1, -1.0)
        ids.append(int(model.logits(weights @ model.embed(torch.tensor(ids))).argmax()))
    return ids[len(prompt_ids) :]


def test_greedy_tokens_are_those_of_the_model():
    events = run(engine(), request("a", max_tokens=8))
    assert tokens(events) == greedy(FadingModel(), [5, 6, 7], 8)


@pytest.mark.parametrize("chunk", [1, 2, 5, 9, 512])
def test_the_size_of_prefill_chunks_changes_no_token(chunk):
    model = FadingModel()
    events = run(engine(model, prefill_chunk=chunk), request("a", range(9), max_tokens=3))
    assert tokens(events) == greedy(model, range(9), 3)
    assert model.chunks == [chunk] * (9 // chunk) + [9 % chunk] * (9 % chunk > 0) + [1, 1]


def test_a_sequence_alone_and_beside_others_gives_the_same_tokens():
    seeded = {"temperature": 1, "top_p": 0.9, "max_tokens": 6}
    alone = [run(engine(), request("a", (n,), seed=n, **seeded)) for n in range(3)]
    for max_running in (1, 3):
        beside = run(engine(max_running=max_running), *(request(n, (n,), seed=n, **seeded) for n in range(3)))
        assert [tokens(beside, n) for n in range(3)] == [tokens(events) for events in alone]


def test_max_tokens_ends_with_length():
    for limit in (1, 3):
        events = run(engine(), request("a", max_tokens=limit))
        assert len(tokens(events)) == limit
        assert [event.finish_reason for event in events] == [None] * (limit - 1) + [FinishReason.length]


def test_a_stop_token_ends_with_stop_and_is_in_the_last_event():
    first, second = greedy(FadingModel(), [5, 6, 7], 2)
    events = run(engine(), request("a", stop_ids=(STOP, second), max_tokens=8))
    assert tokens(events) == [first, second]
    assert reasons(events) == {"a": FinishReason.stop}


def test_a_stop_token_at_the_limit_is_a_stop():
    (first,) = greedy(FadingModel(), [5, 6, 7], 1)
    assert reasons(run(engine(), request("a", stop_ids=(first,), max_tokens=1))) == {"a": FinishReason.stop}


@pytest.mark.parametrize("change", [{"temperature": 3}, {"top_p": 0.2}, {"seed": 2}, {"max_tokens": 19}])
def test_every_sampling_parameter_changes_the_answer(change):
    usual = {"temperature": 1, "top_p": 1, "seed": 1, "max_tokens": 20, "stop_ids": ()}
    assert tokens(run(engine(), request("a", **usual))) != tokens(
        run(engine(), request("a", **usual | change))
    )


def test_a_prompt_that_leaves_no_room_is_refused():
    with pytest.raises(InputError, match="The prompt has 8 tokens; the limit is 7") as caught:
        engine(max_context=8).add(request("a", range(8)))
    assert caught.value.kind == "sequence_too_long"
    assert caught.value.about == "prompt"
    assert caught.value.ctx == {"max_length": 7, "provided": 8}


def test_the_end_of_the_context_ends_with_length():
    events = run(engine(max_context=8), request("a", range(6), max_tokens=99))
    assert len(tokens(events)) == 2
    assert reasons(events) == {"a": FinishReason.length}


def test_an_abort_ends_at_once_and_the_next_step_returns_its_event():
    model = FadingModel()
    running = engine(model)
    running.add(request("a", max_tokens=99))
    running.step()
    running.abort("a")
    num_forwards = len(model.chunks)
    assert reasons(running.step()) == {"a": FinishReason.cancelled}
    assert len(model.chunks) == num_forwards
    assert running.is_idle


def test_an_abort_while_waiting_never_touches_the_model():
    model = FadingModel()
    running = engine(model)
    num_states = len(model.states)
    running.add(request("a"))
    running.abort("a")
    assert reasons(running.step()) == {"a": FinishReason.cancelled}
    assert (len(model.states), model.chunks) == (num_states, [])


def test_an_abort_after_the_end_gives_no_event():
    running = engine()
    run(running, request("a"))
    running.abort("a")
    running.abort("unknown")
    assert running.is_idle


def test_a_failure_ends_that_sequence_and_the_engine_goes_on():
    running = engine(FadingModel(breaks_at=7), max_running=2)
    events = run(running, request("a", (1, 2, 3, 4, 5), max_tokens=9), request("b", (1,), max_tokens=2))
    assert reasons(events) == {"a": FinishReason.error, "b": FinishReason.length}
    (error,) = (event.error for event in events if event.error)
    assert isinstance(error, FloatingPointError)
    assert reasons(run(running, request("c", max_tokens=2))) == {"c": FinishReason.length}


def test_a_sequence_for_which_memory_runs_out_fails_with_a_type_and_the_others_go_on():
    running = engine(FadingModel(breaks_at=7, fault=allocate_too_much), max_running=2)
    events = run(running, request("a", (1, 2, 3, 4, 5), max_tokens=9), request("b", (1,), max_tokens=4))
    assert reasons(events) == {"a": FinishReason.error, "b": FinishReason.length}
    assert len(tokens(events, "b")) == 4
    (error,) = (event.error for event in events if event.error)
    assert isinstance(error, GenerationError)
    assert error.kind == "out_of_memory"


def test_a_prefill_that_is_cancelled_from_another_thread_ends_within_its_step():
    """The thread waits for a step, so the sequence is marked first and aborted after it."""
    running = engine(prefill_chunk=2, max_running=2)
    running.add(request("a", range(8)))
    running.add(request("b", max_tokens=2))
    running.step()
    running.cancel("a")
    assert reasons(running.step()) == {"a": FinishReason.cancelled}
    running.abort("a")
    events = run(running)
    assert reasons(events) == {"b": FinishReason.length}
    assert {event.sequence_id for event in events} == {"b"}


def test_a_decode_that_is_cancelled_goes_on_until_it_is_aborted():
    running = engine(max_running=2)
    for name in "ab":
        running.add(request(name, max_tokens=9))
    for _ in range(3):  # a's prompt, a's second token, b's prompt
        running.step()
    running.cancel("a")
    assert [event.token_id is None for event in running.step()] == [False, False]
    running.abort("a")
    assert reasons(run(running)) == {"a": FinishReason.cancelled, "b": FinishReason.length}


@pytest.mark.parametrize("ending", ["length", "abort", "error"])
def test_states_are_freed_when_a_sequence_ends(ending):
    model = FadingModel(breaks_at=3 if ending == "error" else None)
    running = engine(model, prefill_chunk=2)
    running.add(request("a", range(3)))
    running.step()
    memory = weakref.ref(model.states.pop())
    if ending == "abort":
        running.abort("a")
    while not running.is_idle:
        running.step()
    gc.collect()
    assert memory() is None


operations = st.lists(
    st.tuples(st.just("add"), st.integers(1, 6), st.integers(1, 4))
    | st.tuples(st.just("abort"), st.integers(0, 12), st.just(0))
    | st.tuples(st.just("step"), st.just(0), st.just(0)),
    max_size=30,
)


@given(operations, st.integers(1, 3), st.integers(1, 3), st.sampled_from([None, 5]))
def test_every_sequence_ends_exactly_once(operations, chunk, max_running, breaks_at):
    running = engine(FadingModel(breaks_at=breaks_at), prefill_chunk=chunk, max_running=max_running)
    num_added, events = 0, []
    for what, n, max_tokens in operations:
        if what == "add":
            running.add(request(num_added, range(n), max_tokens=max_tokens))
            num_added += 1
        elif what == "abort":
            running.abort(n)
        else:
            events += running.step()
    events += run(running)
    ends = [event.sequence_id for event in events if event.finish_reason]
    assert sorted(ends) == list(range(num_added))
    for name in range(num_added):
        own = [event.finish_reason for event in events if event.sequence_id == name]
        assert own[-1] is not None, "no event may follow the end"
