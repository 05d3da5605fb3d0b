"""A chain of thought ends at its limit and at a stop token, whatever the model would write, and an answer follows."""

from dataclasses import dataclass

import pytest
import torch
from doubles import STOP, VOCABULARY, FadingModel, request
from hypothesis import given
from hypothesis import strategies as st

from omnireel.engine.engine import Engine, EngineConfig
from omnireel.engine.params import FinishReason, SamplingParams
from omnireel.engine.request import Request
from omnireel.engine.runners.torch import TorchRunner
from omnireel.engine.thinking import ChainOfThought, ChainRules

END, LINE, OTHER_LINE, CALL = 30, 29, 28, 27
BLANKS = {LINE, OTHER_LINE, END}
CLOSING, CLOSING_LINE = (LINE, END, LINE), (END, LINE)


@dataclass
class Reader:
    """Reads these ids as the text of an answer is read: two of them end the chain, three are no text."""

    is_chain_open: bool = True
    has_answer: bool = False

    def push(self, token_id):
        self.has_answer |= not self.is_chain_open and token_id not in BLANKS
        self.is_chain_open &= token_id not in {END, CALL}


def limit(budget=None, grace=0):
    return ChainRules(CLOSING, CLOSING_LINE, frozenset({LINE, OTHER_LINE}), Reader, budget, grace)


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
    engine = Engine(TorchRunner(model, max_context=64), EngineConfig())
    plain = request("a", stop_ids=(), **sampling)
    engine.add(Request("a", plain.prompt_ids, (), plain.sampling, frozenset(), thinking))
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


class ScriptedModel(FadingModel):
    """Writes `chain`, then, once it was fed the end of a chain, `answer`, each up to a stop token without end.

    The token 9 is always the second choice. fed: the output tokens that it was given back
    """

    def __init__(self, chain, answer):
        super().__init__()
        self.chain, self.answer = chain, answer
        self.fed = []
        self.num_prompt_tokens = 3

    def embed(self, ids):
        read = ids.tolist()
        self.fed += read[self.num_prompt_tokens :]
        self.num_prompt_tokens -= min(len(read), self.num_prompt_tokens)
        return super().embed(ids)

    def logits(self, hidden):
        script, said = self.chain, self.fed
        if END in self.fed:
            script, said = self.answer, [i for i in self.fed[self.fed.index(END) :] if i not in BLANKS]
        scores = torch.zeros(VOCABULARY)
        scores[9] = 50.0
        scores[script[len(said)] if len(said) < len(script) else STOP] = 100.0
        return scores


def follow(chain, answer, rules=None, *, stop_ids=(STOP,), kind=ScriptedModel, **sampling):
    """The output of a model that would write these, and why it ended."""
    model = kind(chain, answer)
    engine = Engine(TorchRunner(model, max_context=64), EngineConfig())
    plain = request("a", **{"max_tokens": 40} | sampling)
    engine.add(Request("a", plain.prompt_ids, (), plain.sampling, frozenset(stop_ids), rules or limit()))
    events = []
    while not engine.is_idle:
        events += engine.step()
    assert [event.error for event in events] == [None] * len(events)
    out = [event.token_id for event in events]
    assert model.fed == out[:-1], "what is in the output was fed to the model"
    return out, events[-1].finish_reason


@pytest.mark.parametrize("temperature", [0, 1e-9, 0.3])
@pytest.mark.parametrize("budget", [None, 20])
@pytest.mark.parametrize(
    ("chain", "out"),
    [([1, 2], [1, 2, *CLOSING]), ([1, LINE], [1, LINE, *CLOSING_LINE]), ([], [*CLOSING_LINE])],
    ids=["in a line", "after a line", "at once"],
)
def test_a_stop_token_in_the_chain_closes_it_and_the_model_answers(chain, out, budget, temperature):
    got = follow(chain, [3, 4], limit(budget), temperature=temperature, seed=1)
    assert got == ([*out, 3, 4, STOP], FinishReason.stop)


def test_a_chain_that_closes_by_itself_is_left_as_it_is():
    assert follow([1, END], [3, 4]) == ([1, END, 3, 4, STOP], FinishReason.stop)
    assert follow([1, END], []) == ([1, END, STOP], FinishReason.stop)
    assert follow([1, CALL], []) == ([1, CALL, STOP], FinishReason.stop)


@pytest.mark.parametrize("temperature", [0, 1e-9, 0.3])
@pytest.mark.parametrize("chain", [[1, 2], [1, 2, 1, 1]], ids=["stop token", "limit"])
def test_an_answer_after_the_closing_has_text_before_it_can_end(chain, temperature):
    got = follow(chain, [], limit(3), temperature=temperature, seed=1)
    assert got == ([*chain[:3], *CLOSING, 9, STOP], FinishReason.stop)


def test_white_space_and_a_second_closing_tag_are_no_answer():
    class Hesitant(ScriptedModel):
        def logits(self, hidden):
            if self.fed[-3:] == [*CLOSING]:
                return torch.nn.functional.one_hot(torch.tensor(OTHER_LINE), VOCABULARY) * 100.0
            if self.fed[-1:] == [OTHER_LINE]:
                return torch.nn.functional.one_hot(torch.tensor(END), VOCABULARY) * 100.0
            return super().logits(hidden)

    out, _ = follow([1], [], kind=Hesitant)
    assert out == [1, *CLOSING, OTHER_LINE, END, 9, STOP]


@pytest.mark.parametrize("max_tokens", range(1, 9))
def test_the_limit_of_tokens_holds_wherever_the_chain_was_closed(max_tokens):
    whole = [1, 2, *CLOSING, 3, STOP]
    reason = FinishReason.stop if max_tokens >= len(whole) else FinishReason.length
    assert follow([1, 2], [3], max_tokens=max_tokens) == (whole[:max_tokens], reason)


def test_a_closing_that_holds_a_stop_token_does_not_end_the_answer():
    out, reason = follow([1, 2], [3], stop_ids=(STOP, LINE, END))
    assert (out, reason) == ([1, 2, *CLOSING, 3, STOP], FinishReason.stop)


def test_a_stop_token_that_the_model_does_not_have_is_no_fault():
    out, _ = follow([1, 2], [], stop_ids=(STOP, VOCABULARY, 10**9))
    assert out == [1, 2, *CLOSING, 9, STOP]


def test_without_a_chain_a_stop_token_ends_the_answer_at_once():
    model = ScriptedModel([], [])
    engine = Engine(TorchRunner(model, max_context=64), EngineConfig())
    engine.add(request("a"))
    assert [(event.token_id, event.finish_reason) for event in engine.step()] == [(STOP, FinishReason.stop)]
