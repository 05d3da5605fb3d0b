"""Which tokens are kept, compared with the written definition and with transformers' function."""

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from oracle import compute_retention_mask

from omnireel.model.token_counts import num_kept
from omnireel.model.vision.prune import keep_mask

# Two such vectors have a cosine of −1, −½, 0, ½ or 1. These are exact in every type, so ties are exact as well.
SIGNS = torch.tensor(list(itertools.product([1.0, -1.0], repeat=4)))


def keep_by_definition(tokens, rate):
    """Sort by change, largest first, then by position. The first tubelet comes before all others.

    tokens: [n, h, w, 4] of ±1 → kept positions
    """
    flat = tokens.flatten(1, 2).to(torch.int64).tolist()
    change = [255] * len(flat[0])
    for before, now in itertools.pairwise(flat):
        pairs = zip(now, before, strict=True)
        change += [1 - sum(a * b for a, b in zip(u, v, strict=True)) / 4 for u, v in pairs]
    count = max(len(flat[0]), int(len(change) * (1 - rate)))
    return set(sorted(range(len(change)), key=lambda i: (-change[i], i))[:count])


@given(
    st.tuples(st.integers(1, 6), st.integers(1, 5), st.integers(1, 5)),
    st.sampled_from([0.0, 0.3, 0.5, 0.7, 0.9]),
    st.sampled_from([torch.float32, torch.bfloat16]),
    st.integers(0, 2**31),
)
def test_kept_tokens_are_those_of_the_definition_with_ties_in_order(shape, rate, dtype, seed):
    """Most tokens here have changed by the same amount, so that ties decide."""
    drawn = torch.randint(len(SIGNS), shape, generator=torch.Generator().manual_seed(seed))
    tokens = SIGNS[drawn]
    kept = keep_mask(tokens.to(dtype), rate).flatten().nonzero().flatten().tolist()
    assert set(kept) == keep_by_definition(tokens, rate)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("rate", [0.3, 0.5, 0.7])
def test_kept_tokens_are_those_of_transformers_given_the_true_grid(rate, dtype):
    """The forward pass of transformers calls this function with a wrong grid, so only the function is compared."""
    noise = torch.Generator().manual_seed(3)
    steps = torch.randn(7, 6, 9, 32, generator=noise) * torch.rand(7, 6, 9, 1, generator=noise)
    tokens = steps.cumsum(0).to(dtype)
    theirs = compute_retention_mask(
        video_embeds=tokens.flatten(0, 2), thw=torch.tensor([7, 6, 9]), spatial_merge_size=1, q=rate
    )
    assert keep_mask(tokens, rate).flatten().equal(theirs)


@pytest.mark.parametrize(
    ("num_tubelets", "rate", "kept"),
    [
        (1, 0.5, 252), (2, 0.5, 252), (3, 0.5, 378), (4, 0.5, 504), (16, 0.5, 2016), (60, 0.5, 7560),
        (120, 0.5, 15120), (128, 0.5, 16128),
        (1, 0.7, 252), (2, 0.7, 252), (3, 0.7, 252), (4, 0.7, 302), (16, 0.7, 1209), (60, 0.7, 4536),
        (120, 0.7, 9072), (128, 0.7, 9676), (5, 0.0, 1260),
    ],
)  # fmt: skip
def test_the_number_kept_is_that_of_vllm(num_tubelets, rate, kept):
    assert num_kept(num_tubelets, 252, rate) == kept
