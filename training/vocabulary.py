"""The demo checkpoint's tokenizer, chat template and generation config."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from random import Random

from tokenizers import AddedToken, Regex, decoders, models, pre_tokenizers, trainers
from tokenizers import Tokenizer as BpeTokenizer

from omnireel.prompting.layout import time_labels
from training import outside
from training.questions.ask import ask, casual
from training.questions.view import View
from training.recipe import SEED, VOCAB_SIZE
from training.scenes import make_scene
from training.styles import SYSTEM_PROMPTS, answer_in_style, chain

# Trained once. The rows of the weights belong to its ids, so it must not change when the wording of a question changes.
TOKENIZER = Path(__file__).with_name("tokenizer.json")
# The ids of control tokens in the official tokenizer; 32 ids are reserved.
CONTROL_TOKENS = {
    0: "<unk>", 1: "<s>", 2: "</s>", 10: "<|im_start|>", 11: "<|im_end|>", 12: "<think>", 13: "</think>",
    14: "<tool_call>", 15: "</tool_call>", 16: "<tool_response>", 17: "</tool_response>", 18: "<image>",
    21: "<img>", 22: "</img>", 27: "<so_embedding>", 28: "<so_start>", 29: "<so_end>",
}  # fmt: skip

# Time labels are most of a prompt, so their phrases are whole words here. Digits and capitals are single, so that numbers
# and words on screen are spelled.
WORDS = Regex(
    r" sampled at | seconds and frame | seconds: |\d|[A-Z](?![a-z])|[A-Z][a-z]+| ?[a-z]+|[^\sA-Za-z\d]+|\s+"
)

TEMPLATE = """\
{%- set ns = namespace(system='') -%}
{%- for message in messages -%}
{%- if message.role == 'system' -%}{%- set ns.system = message.content -%}{%- endif -%}
{%- endfor -%}
{{- '<|im_start|>system\\n' + ns.system + '<|im_end|>\\n' -}}
{%- for message in messages if message.role != 'system' -%}
{{- '<|im_start|>' + message.role + '\\n' -}}
{%- if message.content is string -%}
{{- message.content -}}
{%- else -%}
{%- for part in message.content -%}
{%- if part.type == 'video' -%}{{- '<video>\\n' -}}{%- elif part.type == 'text' -%}{{- part.text -}}{%- endif -%}
{%- endfor -%}
{%- endif -%}
{{- '<|im_end|>\\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}
{{- '<|im_start|>assistant\\n' -}}
{%- if enable_thinking is not defined or enable_thinking -%}{{- '<think>\\n' -}}{%- else -%}{{- '<think></think>' -}}{%- endif -%}
{%- endif -%}
"""


def write_text_files(directory: Path) -> None:
    """Write tokenizer.json, tokenizer_config.json, chat_template.jinja and generation_config.json."""
    directory.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(TOKENIZER, directory / "tokenizer.json")
    tokens = {"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "<|im_end|>", "pad_token": "<unk>"}
    described = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 16384, **tokens}
    (directory / "tokenizer_config.json").write_text(json.dumps(described, indent=1) + "\n")
    (directory / "chat_template.jinja").write_text(TEMPLATE)
    ends = {"bos_token_id": 1, "eos_token_id": [2, 11], "pad_token_id": 0}
    (directory / "generation_config.json").write_text(json.dumps(ends, indent=1) + "\n")


def read_words(tokenizer: Path) -> dict[str, int]:
    """The vocabulary of a tokenizer.json: token → id."""
    described = json.loads(tokenizer.read_text("utf-8"))
    return described["model"]["vocab"]  # type: ignore[no-any-return]


def train_tokenizer() -> BpeTokenizer:
    """Train a byte-level BPE on the current questions and answers."""
    tokenizer = BpeTokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(WORDS, "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    control = [CONTROL_TOKENS.get(i, f"<SPECIAL_{i}>") for i in range(32)]
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB_SIZE,
        min_frequency=20,
        special_tokens=[AddedToken(token, special=True, normalized=False) for token in control],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_corpus(Random(SEED)), trainer)
    return tokenizer


def _corpus(rng: Random) -> Iterator[str]:
    for _ in range(20000):
        duration_s = rng.uniform(2, 20)
        scene = make_scene(rng, duration_s, 16 / 9)
        times = tuple(i / 2 for i in range(int(duration_s * 2)))
        view = View(scene, times)
        if not view.things:
            continue
        question = ask(rng, view)
        yield casual(rng, question.text)
        yield answer_in_style(question, rng.choice(list(SYSTEM_PROMPTS)))
        yield chain(view, question)
        yield rng.choice(rng.choice(list(SYSTEM_PROMPTS.values())))
    yield from [outside.question(rng) for _ in range(5000)]
    yield from time_labels(list(range(0, 4000, 15)), 30.0) * 20
