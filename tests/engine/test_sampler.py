import pytest
import torch

from omnireel.engine.params import SamplingParams
from omnireel.engine.sampler import Sampler, keep_nucleus

LOGITS = torch.tensor([0.5, 0.25, 0.15, 0.1]).log()


def draws(n=400, logits=LOGITS, **params):
    sampler = Sampler(SamplingParams(**{"temperature": 1, "top_p": 1, "seed": 1, **params}))
    return [sampler.choose(logits) for _ in range(n)]


def share_of_first(**params):
    return draws(**params).count(0) / 400


def test_temperature_zero_takes_the_likeliest():
    assert set(draws(temperature=0, seed=None)) == {0}


def test_temperature_sharpens_and_flattens():
    assert share_of_first(temperature=0.3) > 0.75
    assert 0.43 < share_of_first(temperature=1) < 0.57
    assert share_of_first(temperature=5) < 0.36


@pytest.mark.parametrize(("top_p", "seen"), [(0.4, {0}), (0.7, {0, 1}), (0.85, {0, 1, 2}), (1, {0, 1, 2, 3})])
def test_top_p_cuts_the_unlikely_tail(top_p, seen):
    assert set(draws(top_p=top_p)) == seen


@pytest.mark.parametrize(("top_p", "kept"), [(0.0, 1), (0.7, 2), (0.76, 3), (1.0, 4)])
def test_the_nucleus_is_the_smallest_set_that_reaches_top_p(top_p, kept):
    shuffled = torch.tensor([0.1, 0.5, 0.15, 0.25])
    nucleus = keep_nucleus(shuffled, top_p)
    assert (nucleus > 0).sum() == kept
    assert torch.equal(nucleus[nucleus > 0], shuffled[nucleus > 0])


def test_equal_tokens_are_not_all_kept():
    assert keep_nucleus(torch.full((4,), 0.25), 0.5).tolist() == [0.25, 0.25, 0, 0]


def test_the_seed_decides():
    assert draws(seed=1) == draws(seed=1)
    assert draws(seed=1) != draws(seed=2)


def test_without_a_seed_each_run_differs():
    assert draws(seed=None) != draws(seed=None)


def test_a_sampler_is_not_disturbed_by_another():
    alone = draws(seed=5)
    sampler, other = Sampler(SamplingParams(1, 1, seed=5)), Sampler(SamplingParams(1, 1, seed=6))
    beside = [(sampler.choose(LOGITS), other.choose(LOGITS))[0] for _ in range(400)]
    assert beside == alone


@pytest.mark.parametrize("temperature", [1e-30, 1e-38, 1e-44, 1e-46, 5e-324])
def test_the_smallest_temperatures_take_the_likeliest(temperature):
    assert set(draws(10, LOGITS * 1e4, temperature=temperature)) == {0}


@pytest.mark.parametrize("temperature", [0, 1])
def test_logits_that_are_not_finite_are_an_error(temperature):
    with pytest.raises(ArithmeticError, match="not finite"):
        draws(1, torch.tensor([0.0, float("nan")]), temperature=temperature)
