"""A byte-level tokenizer with the official control ids and a few merges, and a template in their style."""

import json
from pathlib import Path
from typing import Any

from tokenizers import pre_tokenizers

CONTROL_TOKENS = {
    0: "<unk>", 1: "<s>", 2: "</s>", 10: "<|im_start|>", 11: "<|im_end|>", 12: "<think>", 13: "</think>",
    14: "<tool_call>", 15: "</tool_call>", 16: "<tool_response>", 17: "</tool_response>", 18: "<image>",
    21: "<img>", 22: "</img>", 27: "<so_embedding>", 28: "<so_start>", 29: "<so_end>",
}  # fmt: skip

# The last three spell added tokens out of ordinary ones.
MERGES = [
    ("t", "h"), ("th", "e"), ("Ġ", "the"), ("l", "l"), ("o", "n"), ("Ġ", "s"), ("Ġ", "Ġ"), ("1", "0"),
    ("<", "s"), ("<s", ">"), ("<", "/"), ("</", "s"), ("</s", ">"),
]  # fmt: skip

TEMPLATE = """\
{%- macro body(content) -%}
    {%- if content is string -%}
        {{- content | trim -}}
    {%- else -%}
        {%- for part in content -%}
            {%- if part.type == 'video' -%}{{- '<video>' -}}{%- else -%}{{- part.text -}}{%- endif -%}
        {%- endfor -%}
    {%- endif -%}
{%- endmacro -%}
{%- if messages[0].role != 'system' -%}{{- '<|im_start|>system\\n<|im_end|>\\n' -}}{%- endif -%}
{%- for message in messages -%}
    {{- '<|im_start|>' + message.role + '\\n' + body(message.content) + '<|im_end|>\\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}
    {{- '<|im_start|>assistant\\n' + ('<think>\\n' if enable_thinking else '<think></think>') -}}
{%- endif -%}
"""


def tokenizer_description() -> dict[str, Any]:
    """A tokenizer.json."""
    added = {i: CONTROL_TOKENS.get(i, f"<SPECIAL_{i}>") for i in range(32)}
    vocab = {token: i for i, token in added.items()}
    for token in [*sorted(pre_tokenizers.ByteLevel.alphabet()), *(a + b for a, b in MERGES)]:
        vocab.setdefault(token, len(vocab))
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{"id": i, "content": token, **flags} for i, token in added.items()],
        "normalizer": None,
        "pre_tokenizer": byte_level,
        "post_processor": None,
        "decoder": byte_level,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": "<unk>",
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": True,
            "vocab": vocab,
            "merges": [[a, b] for a, b in MERGES],
        },
    }


def write_text_files(directory: Path) -> None:
    """What a checkpoint has of text: tokenizer.json, chat_template.jinja, generation_config.json."""
    (directory / "tokenizer.json").write_text(json.dumps(tokenizer_description()), encoding="utf-8")
    (directory / "chat_template.jinja").write_text(TEMPLATE, encoding="utf-8")
    (directory / "generation_config.json").write_text('{"eos_token_id": [2, 11]}', encoding="utf-8")
