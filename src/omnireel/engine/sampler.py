"""Chooses the next token from the logits."""

from collections.abc import Iterable

import torch
from torch import Tensor

from omnireel.engine.params import SamplingParams


class Sampler:
    """Chooses the tokens of one sequence.

    Each sampler has its own random generator, so that a seed gives the same answer whatever else is running.
    """

    def __init__(self, params: SamplingParams) -> None:
        self._temperature = params.temperature
        self._top_p = params.top_p
        self._generator = torch.Generator()
        if params.seed is None:
            self._generator.seed()
        else:
            self._generator.manual_seed(params.seed)

    def choose(self, logits: Tensor, *, excluded_ids: Iterable[int] = ()) -> int:
        """The next token, none of `excluded_ids`. logits: [V] fp32.

        Raises ArithmeticError when they are not finite.
        """
        if not torch.isfinite(logits).all():
            raise ArithmeticError("The model produced logits that are not finite.")
        if excluded := [i for i in excluded_ids if i < len(logits)]:  # a checkpoint may name ids it has not
            logits = logits.index_fill(0, torch.tensor(excluded, device=logits.device), -torch.inf)
        if self._temperature < torch.finfo(logits.dtype).tiny:  # fp32 may round such a divisor to zero
            return int(logits.argmax())
        # Relative to the largest: a small temperature then sends only unlikely tokens to minus infinity.
        probabilities = ((logits - logits.max()) / self._temperature).softmax(-1)
        if self._top_p < 1:
            probabilities = keep_nucleus(probabilities, self._top_p)
        return int(torch.multinomial(probabilities, 1, generator=self._generator))


def keep_nucleus(probabilities: Tensor, top_p: float) -> Tensor:
    """Set all but the smallest set of likeliest tokens that together reach `top_p` to zero; at least one stays.

    probabilities: [V], summing to 1. Returns [V], no longer summing to 1.
    Example: [0.5, 0.25, 0.15, 0.1] at 0.7 → [0.5, 0.25, 0, 0]
    """
    ordered, order = probabilities.sort(descending=True, stable=True)
    is_kept = ordered.cumsum(-1) - ordered < top_p
    is_kept[0] = True
    return torch.zeros_like(probabilities).scatter(-1, order, ordered * is_kept)
