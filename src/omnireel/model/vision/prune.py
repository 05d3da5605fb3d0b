"""Efficient video sampling (EVS): keep the vision tokens that differ most from the tubelet before.

Source: EVS, arXiv 2510.14624; vLLM 0.32 `evs.py`.
"""

import torch
from torch import Tensor

from omnireel.model.token_counts import num_kept


def keep_mask(tokens: Tensor, rate: float) -> Tensor:
    """Which vision tokens are kept.

    tokens: [n, h, w, D], projected and in the model's type; ties are common in bf16 and are resolved by order
    Returns bool [n, h, w] with exactly `num_kept` positions set; of the first tubelet all are set.
    """
    n, rows, cols, _ = tokens.shape
    change = tokens.new_full((n, rows, cols), 255.0)  # cosine distance never reaches 255
    change[1:] = 1 - torch.cosine_similarity(tokens[1:], tokens[:-1], dim=-1)
    order = change.flatten().argsort(descending=True, stable=True)
    mask = torch.zeros(n * rows * cols, dtype=torch.bool, device=tokens.device)
    mask[order[: num_kept(n, rows * cols, rate)]] = True
    return mask.view(n, rows, cols)
