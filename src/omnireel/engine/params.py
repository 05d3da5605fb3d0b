"""The sampling fields with their defaults and ranges, and the reasons why a sequence ends.

Every protocol and the settings take these values from here.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

MAX_TEMPERATURE: Final = 2.0
MAX_TOP_P: Final = 1.0
MAX_OUTPUT_TOKENS: Final = 20_000
MAX_SEED: Final = 2**63 - 1
ANY_SEED: Final = -1  # of a caller who wants a new one each time


class FinishReason(StrEnum):
    """Why a sequence ended."""

    stop = "stop"
    length = "length"
    cancelled = "cancelled"
    error = "error"


@dataclass(frozen=True)
class SamplingParams:
    """How the next token is chosen and when generation stops.

    temperature: from 0 to MAX_TEMPERATURE; 0 takes the likeliest token, above 1 flattens the distribution
    top_p:       from 0 to MAX_TOP_P; sample from the smallest set of tokens that together reach this probability
    max_tokens:  from 1 to MAX_OUTPUT_TOKENS; most output tokens, the stop token included
    seed:        from 0 to MAX_SEED; same seed, same prompt, same answer; None draws a fresh one
    reasoning_budget: most tokens of a chain of thought; None: no limit of its own
    grace_period:     tokens beyond the budget in which the chain may finish its line
    """

    temperature: float = 0.7
    top_p: float = 0.95
    max_tokens: int = 1024
    seed: int | None = None
    reasoning_budget: int | None = None
    grace_period: int = 0
