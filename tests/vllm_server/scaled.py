"""A random checkpoint that vLLM and omnireel both run, whose answers are plain text."""

from pathlib import Path

from safetensors.torch import load_file, save_file

from tools.scaled_checkpoint import Sizes, tokenizer_json, write_checkpoint

# vLLM's kernels for CPUs have attention heads of 32 values and more.
SIZES = Sizes(
    head_dim=32,
    mamba_num_heads=4,
    mamba_head_dim=32,
    state_size=32,
    chunk_size=32,
    sound_width=64,
    max_positions=8192,
    seed=7,
)
HEAD = "language_model.lm_head.weight"
ALPHABET = "abcdefghijklmnopqrstuvwxyz"

# Parts in their order, as the templates of this family render them; a line break comes before the text alone.
TEMPLATE = """\
{%- for message in messages -%}
{{- '<|im_start|>' + message.role + '\\n' -}}
{%- if message.content is string -%}{{- message.content -}}
{%- else -%}
{%- for part in message.content -%}
{%- if part.type == 'video' -%}{{- '<video>' -}}
{%- elif part.type == 'audio' -%}{{- '<so_embedding>' -}}
{%- else -%}{{- ('' if loop.first else '\\n') + part.text -}}{%- endif -%}
{%- endfor -%}
{%- endif -%}
{{- '<|im_end|>\\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}
{{- '<|im_start|>assistant\\n' + ('<think>\\n' if enable_thinking else '<think></think>') -}}
{%- endif -%}
"""


def write_scaled(directory: Path) -> Path:
    """Write the checkpoint. Tokens outside the alphabet are never the likeliest ones, so no answer ends by itself."""
    write_checkpoint(directory, SIZES)
    (directory / "chat_template.jinja").write_text(TEMPLATE, encoding="utf-8")
    vocabulary = tokenizer_json(SIZES.vocab_size)["model"]["vocab"]
    plain = [vocabulary[character] for character in ALPHABET]
    for file in directory.glob("*.safetensors"):
        tensors = load_file(file)
        if HEAD in tensors:
            head = tensors[HEAD].new_zeros(tensors[HEAD].shape)
            head[plain] = tensors[HEAD][plain]
            save_file(tensors | {HEAD: head}, file, metadata={"format": "pt"})
    return directory
