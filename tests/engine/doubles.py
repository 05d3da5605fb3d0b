"""A model without trained weights, whose outputs tests can compute in another way."""

from dataclasses import dataclass

import torch

from omnireel.engine.params import SamplingParams
from omnireel.engine.request import Request
from omnireel.model.language.state import ModelState

VOCABULARY = 32
STOP = 0


@dataclass
class FadingState(ModelState):
    memory: torch.Tensor | None = None

    def copy(self):
        return FadingState([], self.num_tokens, self.capacity, self.memory)


def break_on_purpose():
    raise FloatingPointError("broken on purpose")


def allocate_too_much():
    """torch's own failure where memory runs out."""
    torch.empty(2**60, dtype=torch.uint8)


class FadingModel:
    """hidden[t] = 0.8 · hidden[t−1] + x[t], and logits are a fixed linear map of hidden.

    So any split of a prompt into chunks gives the same result, up to rounding.
    breaks_at: the forward pass fails when a state has this many tokens
    fault:     how it fails
    """

    def __init__(self, *, breaks_at=None, fault=None):
        noise = torch.Generator().manual_seed(3)
        self.mix = torch.randn(VOCABULARY, VOCABULARY, generator=noise)
        self.mix[STOP] = -9
        self.breaks_at = breaks_at
        self.fault = fault or break_on_purpose
        self.states = []
        self.chunks = []

    def embed(self, ids):
        return torch.nn.functional.one_hot(ids, VOCABULARY).float()

    def new_state(self, batch_size=1, *, capacity=None):
        state = FadingState(memory=torch.zeros(batch_size, VOCABULARY), capacity=capacity or 0)
        self.states.append(state)
        return state

    def forward_hidden(self, x, state):
        self.chunks.append(x.shape[1])
        hidden = []
        for t in range(x.shape[1]):
            state.memory = 0.8 * state.memory + x[:, t]
            hidden.append(state.memory)
        state.num_tokens += x.shape[1]
        assert state.num_tokens <= state.capacity, "the state has more tokens than its capacity"
        if self.breaks_at is not None and state.num_tokens >= self.breaks_at:
            self.fault()
        return torch.stack(hidden, 1)

    def logits(self, hidden):
        return hidden @ self.mix.T


def request(name, prompt_ids=(5, 6, 7), *, stop_ids=(STOP,), **sampling):
    sampling.setdefault("temperature", 0)
    sampling.setdefault("max_tokens", 4)
    return Request(name, tuple(prompt_ids), (), SamplingParams(**sampling), frozenset(stop_ids))
