"""The chain of thought ends where its budget does, whatever the model says."""

import pytest
import torch
from doubles import STOP, VOCABULARY, FadingModel
from hypothesis import given
from hypothesis import strategies as st

from omnireel.engine.engine import Engine, EngineConfig
from omnireel.engine.reasoning import ReasoningGuard, ReasoningLimit
from omnireel.engine.request import FinishReason, Request, SamplingParams

CLOSE, SECOND, TOOL, NEWLINE = 20, 21, 22, 23
tokens = st.lists(st.sampled_from([1, 2, 3, CLOSE, SECOND, TOOL, NEWLINE]), max_size=30)


def limit(budget, grace=0, close=(CLOSE,)):
    return ReasoningLimit(close, budget, grace, frozenset([TOOL]), frozenset([NEWLINE]))


def end_by_definition(said, budget, grace, close):
    """How many tokens of chain there are, and whether the model itself ended it; None: it goes on."""
    for n in range(len(said) + 1):
        if n and (said[n - 1] == TOOL or (n >= len(close) and tuple(said[n - len(close) : n]) == close)):
            return n, True
        if n >= budget + grace or (n >= budget and n and said[n - 1] == NEWLINE):
            return n, False
    return None


@given(tokens, st.integers(0, 12), st.integers(0, 6), st.sampled_from([(CLOSE,), (CLOSE, SECOND)]))
def test_the_end_is_forced_exactly_where_the_definition_says(said, budget, grace, close):
    guard = ReasoningGuard(limit(budget, grace, close))
    out, model = [], iter(said)
    for _ in range(len(said) + len(close)):
        token = guard.forced
        if token is None and (token := next(model, None)) is None:
            break
        guard.append(token)
        out.append(token)
    end = end_by_definition(said, budget, grace, close)
    if end is None or end[1]:
        assert out == said
    else:
        chain = end[0]
        assert out == [*said[:chain], *close, *said[chain:]][: len(out)]
        assert len(out) >= chain + len(close)
        assert guard.forced is None


def run(reasoning_limit, *, seed=None, max_tokens=10, stop_ids=(STOP,)):
    model = FadingModel()
    sampling = SamplingParams(temperature=0 if seed is None else 1.5, seed=seed, max_tokens=max_tokens)
    prompt = model.embed(torch.tensor([5, 6, 7]))
    engine = Engine(model, EngineConfig(max_context=64))
    engine.add(Request("a", prompt, sampling, frozenset(stop_ids), reasoning_limit=reasoning_limit))
    events = []
    while not engine.is_idle:
        events += engine.step()
    return [event.token_id for event in events], events[-1].finish_reason


def test_the_model_goes_on_behind_a_forced_token_as_if_it_had_said_it():
    free, _ = run(None)
    forced, reason = run(limit(3))
    assert forced[:3] == free[:3]
    assert forced[3] == CLOSE
    model = FadingModel()
    x = model.embed(torch.tensor([[5, 6, 7, *forced[:-1]]]))
    hidden = model.forward_hidden(x, model.new_state(capacity=64))
    assert forced[4:] == model.logits(hidden[0]).argmax(-1).tolist()[6:]
    assert (len(forced), reason) == (10, FinishReason.length)


def test_a_budget_of_nothing_forces_the_first_token():
    assert run(limit(0, close=(CLOSE, SECOND)))[0][:2] == [CLOSE, SECOND]


@given(st.integers(0, 12), st.integers(0, 2**20))
def test_the_same_seed_gives_the_same_answer_within_the_limits(budget, seed):
    said, _ = run(limit(budget), seed=seed)
    assert said == run(limit(budget), seed=seed)[0]
    assert len(said) <= 10
    if STOP not in said[:budget]:
        assert {CLOSE, TOOL} & set(said[: budget + 1]) or len(said) == 10


@pytest.mark.parametrize(("max_tokens", "said"), [(3, 3), (4, 4)])
def test_max_tokens_counts_forced_tokens(max_tokens, said):
    out, reason = run(limit(2, close=(CLOSE, SECOND)), max_tokens=max_tokens)
    assert (len(out), reason) == (said, FinishReason.length)
    assert out[2:] == [CLOSE, SECOND][: max_tokens - 2]


def test_a_forced_token_that_stops_ends_the_sequence():
    assert run(limit(1, close=(CLOSE,)), stop_ids=(CLOSE,))[1] == FinishReason.stop
    assert VOCABULARY > CLOSE
