"""How fast this machine reads memory and multiplies, measured within a second or two."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

_REPEATS, _SECONDS = 3, 0.2  # at least so many times, and so long
_MOST_BYTES = 256 << 20  # larger than any cache
_TOKENS, _COLUMNS, _ROWS = 256, 2688, 4096  # a chunk of a prompt times a matrix of the published model


@dataclass(frozen=True)
class Rates:
    """Measured rates.

    read_bytes_s:   memory read, by all threads
    multiply_flop_s: products of matrices in the type that torch computes in
    """

    read_bytes_s: float
    multiply_flop_s: float


def measure_rates(available_bytes: int, dtype: torch.dtype) -> Rates:
    """The best of several measurements. available_bytes: memory that may be used; dtype: of the products"""
    size = max(1 << 20, min(_MOST_BYTES, available_bytes // 4))
    buffer = torch.ones(size // 8, dtype=torch.int64)
    left, right = torch.ones(_TOKENS, _COLUMNS, dtype=dtype), torch.ones(_ROWS, _COLUMNS, dtype=dtype)
    with torch.inference_mode():
        read_s = _fastest(buffer.sum)
        multiply_s = _fastest(lambda: left @ right.T)
    return Rates(buffer.nbytes / read_s, 2 * _TOKENS * _COLUMNS * _ROWS / multiply_s)


def _fastest(work: Callable[[], object]) -> float:
    times: list[float] = []
    while len(times) < _REPEATS or sum(times) < _SECONDS:
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return min(times)
