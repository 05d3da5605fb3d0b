"""The torch runner conforms, and computes what the model computes without it."""

import pytest
import torch
from runner_conformance import MAX_CONTEXT, NUM_SLOTS, RunnerConformance, extend, some_ids
from tiny import tiny_model

from omnireel.engine.runner import Segment, Wanted
from omnireel.engine.runners.torch import TorchRunner


@pytest.fixture(scope="module")
def model():
    return tiny_model()


@pytest.fixture(scope="module")
def runner(model):
    return TorchRunner(model, max_context=MAX_CONTEXT, num_slots=NUM_SLOTS)


class TestTorchRunner(RunnerConformance):
    @pytest.fixture(scope="class")
    @classmethod
    def width(cls, model):
        return model.config.language.hidden_size

    @torch.inference_mode()
    def test_the_logits_are_those_of_the_model_bit_for_bit(self, model, runner):
        ids = torch.tensor(some_ids(50))
        state = model.new_state(capacity=MAX_CONTEXT)
        for start in range(0, 50, 16):
            part = ids[start : start + 16]
            hidden = model.forward_hidden(model.embed(part)[None], state)
            (logits,) = extend(runner, Segment(0, start, part.tolist(), (), Wanted.all))
            assert torch.equal(logits, model.logits(hidden[0]))

    def test_a_long_sequence_takes_memory_as_it_grows(self, model):
        runner = TorchRunner(model, max_context=100_000)
        extend(runner, Segment(0, 0, some_ids(300)))
        states = list(runner._states.values())
        assert states[0].capacity == 300
        extend(runner, Segment(0, 300, some_ids(1)))
        assert states[0].capacity == 600
        runner.clear(0)
        assert runner._states == {}
