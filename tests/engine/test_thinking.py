"""The limit on a chain of thought holds for any output of the model, and the answer follows."""

import pytest
from doubles import FadingModel, request
from hypothesis import given
from hypothesis import strategies as st

from omnireel.engine.engine import Engine, EngineConfig
from omnireel.engine.params import SamplingParams
from omnireel.engine.request import Request
from omnireel.engine.thinking import ChainOfThought, ThinkingLimit

END, LINE, OTHER_LINE, CALL = 30, 29, 28, 27
CLOSING, CLOSING_LINE = (LINE, END, LINE), (END, LINE)


def limit(budget, grace=0):
    return ThinkingLimit(
        budget, grace, frozenset({END, CALL}), frozenset({LINE, OTHER_LINE}), CLOSING, CLOSING_LINE
    )


def written(unlimited, budget, grace=0):
    """The output of a model that writes `unlimited` if there is no limit."""
    chain, out, remaining = ChainOfThought(limit(budget, grace)), [], list(unlimited)
    while remaining or chain.forced_id is not None:
        token = remaining.pop(0) if chain.forced_id is None else chain.forced_id
        chain.append(token)
        out.append(token)
    return out


@pytest.mark.parametrize(
    ("unlimited", "budget", "grace", "out"),
    [
        ([1, 2, 3, 4], 2, 0, [1, 2, *CLOSING, 3, 4]),
        ([1, 2, 3, 4], 9, 0, [1, 2, 3, 4]),
        ([1, END, 3, 4], 2, 0, [1, END, 3, 4]),
        ([1, CALL, 3, 4], 2, 0, [1, CALL, 3, 4]),
        ([1, 2, END, 4], 2, 0, [1, 2, *CLOSING, END, 4]),
        ([1, 2, 3, LINE, 4], 2, 5, [1, 2, 3, LINE, *CLOSING_LINE, 4]),
        ([1, 2, 3, 4, 5], 2, 2, [1, 2, 3, 4, *CLOSING, 5]),
        ([1, LINE, 3, 4], 2, 2, [1, LINE, *CLOSING_LINE, 3, 4]),
        ([LINE, 2, 3], 2, 0, [LINE, 2, *CLOSING, 3]),
        ([1, 2], 0, 0, [*CLOSING_LINE, 1, 2]),
        ([1, 2, 3], 0, 2, [*CLOSING_LINE, 1, 2, 3]),
    ],
)
def test_the_closing_is_written_at_the_limit(unlimited, budget, grace, out):
    assert written(unlimited, budget, grace) == out


@given(
    st.lists(st.sampled_from([1, 2, 3, LINE, OTHER_LINE, END]), max_size=40),
    st.integers(0, 12),
    st.integers(0, 12),
)
def test_no_chain_is_longer_than_its_limit_and_nothing_that_the_model_wrote_is_lost(unlimited, budget, grace):
    out = written(unlimited, budget, grace)
    chain = out[: out.index(END)] if END in out else out
    own = chain[:-1] if chain[-1:] == [LINE] and len(chain) > budget + grace else chain
    assert len(own) <= budget + grace
    forced = [*CLOSING] if len(out) - len(unlimited) == len(CLOSING) else [*CLOSING_LINE]
    assert out == unlimited or any(
        out == unlimited[:n] + forced + unlimited[n:] for n in range(len(unlimited) + 1)
    )


def run(thinking, **sampling):
    model = FadingModel()
    engine = Engine(model, EngineConfig(64))
    plain = request("a", stop_ids=(), **sampling)
    engine.add(Request("a", plain.embeddings, plain.sampling, frozenset(), thinking))
    events = []
    while not engine.is_idle:
        events += engine.step()
    return [event.token_id for event in events], events[-1].finish_reason


def test_the_engine_writes_the_closing_and_the_model_continues_after_it():
    free, _ = run(None, max_tokens=12)
    kept, _ = run(limit(3), max_tokens=12)
    assert kept[:6] == [*free[:3], *CLOSING]
    assert len(kept) == 12


def test_a_limit_that_is_not_reached_changes_nothing():
    assert run(limit(50), max_tokens=12) == run(None, max_tokens=12)


def test_the_tokens_of_the_closing_count():
    tokens, reason = run(limit(3), max_tokens=4)
    assert (len(tokens), reason) == (4, "length")


def test_the_same_seed_gives_the_same_answer_with_a_limit():
    sampling = {"temperature": 1.0, "seed": 4, "max_tokens": 12}
    assert run(limit(4, 3), **sampling) == run(limit(4, 3), **sampling)
    assert SamplingParams(**sampling).reasoning_budget is None
