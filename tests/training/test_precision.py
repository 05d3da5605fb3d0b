"""Which operations of a training step run in bf16."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from training import precision
from training.muon import orthogonal
from training.precision import FEW_OUTPUTS, FastProducts, PlainAttention


@pytest.fixture(autouse=True)
def fast_bf16(monkeypatch):
    monkeypatch.setattr(precision, "HAS_FAST_BF16", True)


def test_a_linear_layer_multiplies_in_bf16_and_has_outputs_and_gradients_in_fp32():
    layer, x = nn.Linear(64, 32), torch.randn(10, 64, requires_grad=True)
    exact = layer(x)
    with FastProducts():
        fast = layer(x)
    assert fast.dtype == torch.float32
    assert not torch.equal(fast, exact)
    torch.testing.assert_close(fast, exact, atol=0.03, rtol=0.03)
    fast.square().sum().backward()
    assert layer.weight.grad.dtype == x.grad.dtype == torch.float32


def test_routers_and_other_matrix_products_stay_in_fp32():
    router, x = nn.Linear(64, FEW_OUTPUTS), torch.randn(10, 64)
    with FastProducts():
        assert torch.equal(router(x), F.linear(x, router.weight, router.bias))
        assert torch.equal(x @ x.mT, torch.matmul(x, x.mT))
    assert torch.equal(router(x), F.linear(x, router.weight, router.bias))


def test_without_bf16_units_everything_stays_in_fp32(monkeypatch):
    monkeypatch.setattr(precision, "HAS_FAST_BF16", False)
    layer, x = nn.Linear(64, 32), torch.randn(10, 64)
    with FastProducts():
        fast = layer(x)
    assert torch.equal(fast, layer(x))


def test_plain_attention_equals_fused_attention():
    q, k, v = torch.randn(3, 2, 4, 9, 16)
    with PlainAttention():
        plain = F.scaled_dot_product_attention(q, k, v)
    torch.testing.assert_close(plain, F.scaled_dot_product_attention(q, k, v))


def test_orthogonal_gives_singular_values_near_one_and_keeps_the_type():
    torch.manual_seed(0)
    made = orthogonal(torch.randn(3, 96, 24))
    assert made.dtype == torch.float32
    values = torch.linalg.svdvals(made)
    assert values.min() > 0.6
    assert values.max() < 1.3
