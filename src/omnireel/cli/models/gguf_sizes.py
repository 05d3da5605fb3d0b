"""The size of a language part as a GGUF, and what a token costs: bytes that are read, operations that are done."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from omnireel.cli.models.rates import Rates
from omnireel.model.checkpoint.gguf.container import Format, Header
from omnireel.model.checkpoint.gguf.formats import Recipe
from omnireel.model.checkpoint.gguf.layout import EMBEDDINGS, Part, parts
from omnireel.model.config import LanguageConfig

# What doctor shows, largest first: --type and --experts of `omnireel pack`.
RECIPES = (Recipe("bf16", "bf16"), Recipe("q8_0", "q8_0"), Recipe("q4_k", "q4_k"), Recipe("nvfp4", "nvfp4"),
           Recipe("q8_0", "q4_0"), Recipe("q4_0", "q4_0"))  # fmt: skip
# The published language model.
PUBLISHED = LanguageConfig(
    pattern="MEMEM*EMEMEM*EMEMEM*EMEMEM*EMEMEM*EMEMEMEM*EMEMEMEME", hidden_size=2688, vocab_size=131_072,
    max_positions=262_144, norm_eps=1e-5, num_heads=32, num_kv_heads=2, head_dim=128, mamba_num_heads=64,
    mamba_head_dim=64, state_size=128, num_groups=8, conv_kernel=4, chunk_size=128, num_experts=128,
    num_experts_per_token=6, expert_width=1856, shared_expert_width=3712, routed_scaling=2.5,
)  # fmt: skip
PUBLISHED_ENCODER_BYTES = 2_875_383_740  # vision tower, sound encoder and projectors in BF16


@dataclass(frozen=True)
class Cost:
    """What a GGUF takes.

    num_bytes:   of all tensors
    token_bytes: read for each generated token
    token_flop:  operations for each token of a prompt, without attention
    """

    num_bytes: int
    token_bytes: int
    token_flop: int

    def decode_tokens_s(self, rates: Rates) -> float:
        """Most tokens per second that memory allows one sequence."""
        return rates.read_bytes_s / self.token_bytes

    def prefill_tokens_s(self, rates: Rates) -> float:
        """Most tokens of a prompt per second that the processor allows."""
        return rates.multiply_flop_s / self.token_flop


def cost_of_recipe(config: LanguageConfig, recipe: Recipe) -> Cost:
    """The cost of what `omnireel pack` would write."""
    return _cost(config, recipe.plan(parts(config), config.num_experts))


def cost_of_file(config: LanguageConfig, header: Header) -> Cost:
    """The cost of a GGUF that has been checked."""
    return _cost(config, [(part, header.tensors[part.name].format) for part in parts(config)])


def _cost(config: LanguageConfig, stored: Iterable[tuple[Part, Format]]) -> Cost:
    num_bytes = token_bytes = token_flop = 0
    for part, kind in stored:
        count = math.prod(part.shape)
        share = config.num_experts_per_token / config.num_experts if part.role == "expert" else 1.0
        num_bytes += kind.num_bytes(count)
        if part.name != EMBEDDINGS:  # one row of it is read
            token_bytes += int(kind.num_bytes(count) * share)
            token_flop += int(2 * count * share) if part.role in ("matrix", "expert") else 0
    state = config.pattern.count("M") * config.mamba_width * config.state_size * 4
    return Cost(num_bytes, token_bytes + 2 * state, token_flop)
