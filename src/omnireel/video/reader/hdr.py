"""Tone mapping: from the 16-bit pixels of a high dynamic range clip to 8-bit pixels for a standard screen.

Code values become light (PQ: SMPTE ST 2084; HLG: ITU-R BT.2100 with a peak of 1000 cd/m²), of which 203 cd/m² are
diffuse white (BT.2408). BT.2020 colours become BT.709 colours and are clipped where they do not fit. Light up to
three quarters of white is unchanged. Above that, the largest component is compressed into the last quarter and
the other components are scaled with it, so that hues stay. The screen's curve is that of BT.1886, exponent 2.4.
"""

from __future__ import annotations

from functools import cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Transfer = Literal["pq", "hlg"]

PEAK, WHITE, KNEE, GAMMA = 1000.0, 203.0, 0.75, 2.4
# BT.2087, from linear BT.2020 to linear BT.709.
_TO_BT709 = np.array(
    [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]], np.float32
)
_LUMA = np.array([0.2627, 0.6780, 0.0593], np.float32)
_MAX_CODE = 65535


def tone_mapped(pixels: NDArray[np.uint16], transfer: Transfer) -> NDArray[np.uint8]:
    """pixels: RGB of shape [..., 3], full range. Returns the same shape for a standard screen."""
    light = _light(transfer)[pixels]  # 1 is diffuse white; for HLG the system gamma follows below
    if transfer == "hlg":
        luma = light @ _LUMA
        light *= (np.maximum(luma, 1e-6) ** np.float32(0.2) * np.float32(PEAK / WHITE))[..., None]
    light = np.maximum(light @ _TO_BT709.T, 0)
    largest = light.max(-1, keepdims=True)
    light *= _compressed(largest) / np.maximum(largest, 1e-6)
    shown: NDArray[np.uint8] = np.rint(255 * light ** np.float32(1 / GAMMA)).astype(np.uint8)
    return shown


def _compressed(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """x up to the knee, then a curve that flattens and reaches 1 at the peak. Source: Reinhard et al. 2002, (4)."""
    over = np.clip((x - KNEE) / (1 - KNEE), 0, None)
    most = (PEAK / WHITE - KNEE) / (1 - KNEE)
    over = np.minimum(over, most)
    compressed = KNEE + (1 - KNEE) * over * (1 + over / most**2) / (1 + over)
    return np.where(x <= KNEE, x, compressed).astype(np.float32)


@cache
def _light(transfer: Transfer) -> NDArray[np.float32]:
    """The light of each code value, [65536]: for PQ 1 is diffuse white, for HLG it is the peak."""
    code = np.arange(_MAX_CODE + 1) / _MAX_CODE
    return (_pq_light(code) / WHITE if transfer == "pq" else _hlg_light(code)).astype(np.float32)


def _pq_light(code: NDArray[np.float64]) -> NDArray[np.float64]:
    """Light in cd/m²; SMPTE ST 2084."""
    m1, m2, c1, c2, c3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128
    root = code ** (1 / m2)
    return 10_000 * (np.maximum(root - c1, 0) / (c2 - c3 * root)) ** (1 / m1)


def _hlg_light(code: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scene light from 0 to 1; BT.2100 table 5."""
    a = 0.17883277
    b, c = 1 - 4 * a, 0.5 - a * np.log(4 * a)
    return np.where(code <= 0.5, code**2 / 3, (np.exp((code - c) / a) + b) / 12)
