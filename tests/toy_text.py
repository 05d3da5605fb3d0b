"""A byte-level tokenizer with the official control ids and a few merges, and a template like the official one."""

import json
from pathlib import Path
from typing import Any

from tools.scaled_checkpoint import tokenizer_json

# The last merges make the text of added tokens out of ordinary tokens.
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
    """The content of tokenizer.json."""
    description = tokenizer_json(vocab_size=1000)
    vocab = description["model"]["vocab"]
    for a, b in MERGES:
        vocab.setdefault(a + b, len(vocab))
    description["model"] |= {
        "unk_token": "<unk>",
        "ignore_merges": True,
        "merges": [[a, b] for a, b in MERGES],
    }
    return description


def write_text_files(directory: Path) -> None:
    """Write a checkpoint's text files: tokenizer.json, chat_template.jinja, generation_config.json."""
    (directory / "tokenizer.json").write_text(json.dumps(tokenizer_description()), encoding="utf-8")
    (directory / "chat_template.jinja").write_text(TEMPLATE, encoding="utf-8")
    (directory / "generation_config.json").write_text('{"eos_token_id": [2, 11]}', encoding="utf-8")
