"""What a GGUF of this language model holds: its metadata, and each tensor with its source in a checkpoint.

Names and shapes are those of llama.cpp's architecture nemotron_h_moe.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from omnireel.errors import CheckpointError
from omnireel.model.checkpoint.gguf.container import Value
from omnireel.model.config import LanguageConfig

ARCHITECTURE = "nemotron_h_moe"
PREFIX = "language_model."
EMBEDDINGS = "token_embd.weight"
_NORMAL, _CONTROL, _UNUSED = 1, 3, 5  # kinds of a token in GGUF

Role = Literal["plain", "matrix", "table", "expert", "scale"]


@dataclass(frozen=True)
class Part:
    """A tensor of the GGUF.

    role:    "plain" stays fp32; "matrix"; "table": embeddings and head; "expert": matrices of routed experts;
             "scale": one factor for each expert, only where experts keep a format with a factor of its own
    sources: names of the tensors in the checkpoint; those of experts are stacked
    """

    name: str
    shape: tuple[int, ...]
    role: Role
    sources: tuple[str, ...]


def parts(config: LanguageConfig) -> list[Part]:
    """All tensors, in the order in which they are stored. Scales of experts are not among them."""
    table = (config.vocab_size, config.hidden_size)
    found = [
        _part(EMBEDDINGS, table, "table", "backbone.embeddings.weight"),
        _part("output_norm.weight", (config.hidden_size,), "plain", "backbone.norm_f.weight"),
        _part("output.weight", table, "table", "lm_head.weight"),
    ]
    layer_parts = {"M": _mamba, "*": _attention, "E": _experts}
    for n, mixer in enumerate(config.pattern):
        norm = f"backbone.layers.{n}.norm.weight"
        found.append(_part(f"blk.{n}.attn_norm.weight", (config.hidden_size,), "plain", norm))
        found += layer_parts[mixer](config, f"blk.{n}.", f"backbone.layers.{n}.mixer.")
    return found


def expert_scales(part: Part, num_experts: int) -> Part:
    """The factors of the experts in `part`."""
    sources = tuple(source.removesuffix("weight") + "weight_scale_2" for source in part.sources)
    return Part(part.name.removesuffix("weight") + "scale", (num_experts,), "scale", sources)


def _part(name: str, shape: tuple[int, ...], role: Role, source: str) -> Part:
    return Part(name, shape, role, (PREFIX + source,))


def _mamba(config: LanguageConfig, block: str, mixer: str) -> Iterator[Part]:
    inner, width, heads = config.mamba_width, config.conv_width, config.mamba_num_heads
    hidden, groups = config.hidden_size, config.num_groups
    yield _part(f"{block}ssm_in.weight", (inner + width + heads, hidden), "matrix", f"{mixer}in_proj.weight")
    yield _part(f"{block}ssm_conv1d.weight", (width, config.conv_kernel), "plain", f"{mixer}conv1d.weight")
    yield _part(f"{block}ssm_conv1d.bias", (width,), "plain", f"{mixer}conv1d.bias")
    yield _part(f"{block}ssm_dt.bias", (heads,), "plain", f"{mixer}dt_bias")
    yield _part(f"{block}ssm_a", (heads, 1), "plain", f"{mixer}A_log")
    yield _part(f"{block}ssm_d", (heads, 1), "plain", f"{mixer}D")
    yield _part(f"{block}ssm_norm.weight", (groups, inner // groups), "plain", f"{mixer}norm.weight")
    yield _part(f"{block}ssm_out.weight", (hidden, inner), "matrix", f"{mixer}out_proj.weight")


def _attention(config: LanguageConfig, block: str, mixer: str) -> Iterator[Part]:
    hidden, queries = config.hidden_size, config.num_heads * config.head_dim
    keys = config.num_kv_heads * config.head_dim
    yield _part(f"{block}attn_q.weight", (queries, hidden), "matrix", f"{mixer}q_proj.weight")
    yield _part(f"{block}attn_k.weight", (keys, hidden), "matrix", f"{mixer}k_proj.weight")
    yield _part(f"{block}attn_v.weight", (keys, hidden), "matrix", f"{mixer}v_proj.weight")
    yield _part(f"{block}attn_output.weight", (hidden, queries), "matrix", f"{mixer}o_proj.weight")


def _experts(config: LanguageConfig, block: str, mixer: str) -> Iterator[Part]:
    hidden, count, shared = config.hidden_size, config.num_experts, config.shared_expert_width
    yield _part(f"{block}ffn_gate_inp.weight", (count, hidden), "plain", f"{mixer}gate.weight")
    yield _part(f"{block}exp_probs_b.bias", (count,), "plain", f"{mixer}gate.e_score_correction_bias")
    for name, rows, columns, shared_shape in (
        ("up", config.expert_width, hidden, (shared, hidden)),
        ("down", hidden, config.expert_width, (hidden, shared)),
    ):
        sources = tuple(f"{PREFIX}{mixer}experts.{e}.{name}_proj.weight" for e in range(count))
        yield Part(f"{block}ffn_{name}_exps.weight", (count, rows, columns), "expert", sources)
        source = f"{mixer}shared_experts.{name}_proj.weight"
        yield _part(f"{block}ffn_{name}_shexp.weight", shared_shape, "matrix", source)


def geometry(config: LanguageConfig) -> dict[str, Value]:
    """The metadata that says what the model computes: keys without the architecture's name in front."""
    by_layer = [config.num_kv_heads if mixer == "*" else 0 for mixer in config.pattern]
    widths = [config.expert_width if mixer == "E" else 0 for mixer in config.pattern]
    return {
        "block_count": len(config.pattern),
        "embedding_length": config.hidden_size,
        "feed_forward_length": widths,
        "attention.head_count": config.num_heads,
        "attention.head_count_kv": by_layer,
        "attention.key_length": config.head_dim,
        "attention.value_length": config.head_dim,
        "attention.layer_norm_rms_epsilon": config.norm_eps,
        "ssm.conv_kernel": config.conv_kernel,
        "ssm.inner_size": config.mamba_width,
        "ssm.state_size": config.state_size,
        "ssm.time_step_rank": config.mamba_num_heads,
        "ssm.group_count": config.num_groups,
        "expert_count": config.num_experts,
        "expert_used_count": config.num_experts_per_token,
        "expert_feed_forward_length": config.expert_width,
        "expert_shared_feed_forward_length": config.shared_expert_width,
        "expert_shared_count": 1,
        "expert_weights_norm": True,
        "expert_weights_scale": config.routed_scaling,
        "expert_group_count": 1,
    }


def metadata(config: LanguageConfig, name: str, tokens: Mapping[str, Value]) -> dict[str, Value]:
    """All metadata of a file that is written. tokens: as `vocabulary` gives them"""
    values: dict[str, Value] = {
        "context_length": config.max_positions,
        "vocab_size": config.vocab_size,
        "attention.layer_norm_epsilon": config.norm_eps,
        "rope.dimension_count": config.head_dim,  # llama.cpp wants the key; this architecture rotates nothing
        **geometry(config),
    }
    general: dict[str, Value] = {"general.architecture": ARCHITECTURE, "general.name": name}
    return general | {f"{ARCHITECTURE}.{key}": value for key, value in values.items()} | dict(tokens)


def vocabulary(directory: Path, num_tokens: int) -> dict[str, Value]:
    """The tokens of tokenizer.json, for programs that read text through the GGUF; omnireel reads tokenizer.json.

    num_tokens: rows of the embeddings; rows without a token get a name of their own
    Raises CheckpointError.
    """
    description = read_tokenizer(directory)
    names, merges = token_names(description), description["model"].get("merges", ())
    control = {token["id"] for token in description["added_tokens"]}
    kinds = [(_CONTROL if n in control else _NORMAL) if n in names else _UNUSED for n in range(num_tokens)]
    values: dict[str, Value] = {
        "tokenizer.ggml.model": "gpt2" if merges else "no_vocab",  # llama.cpp refuses gpt2 without merges
        "tokenizer.ggml.pre": "default",
        "tokenizer.ggml.tokens": [names.get(n, f"[PAD{n}]") for n in range(num_tokens)],
        "tokenizer.ggml.token_type": kinds,
    }
    if merges:
        joined = [merge if isinstance(merge, str) else " ".join(merge) for merge in merges]
        values["tokenizer.ggml.merges"] = joined
    end = next((n for n, name in names.items() if name == "<|im_end|>"), None)
    return values if end is None else values | {"tokenizer.ggml.eos_token_id": end}


def token_names(description: Mapping[str, Any]) -> dict[int, str]:
    """Id → text of every token, as tokenizer.json spells it."""
    names = {n: name for name, n in description["model"]["vocab"].items()}
    return names | {token["id"]: token["content"] for token in description["added_tokens"]}


def read_tokenizer(directory: Path) -> Mapping[str, Any]:
    """The parsed tokenizer.json of a checkpoint. Raises CheckpointError."""
    path = directory / "tokenizer.json"
    try:
        return dict(json.loads(path.read_text("utf-8")))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}.") from None
