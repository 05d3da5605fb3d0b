"""A checkpoint's byte-level BPE tokenizer, with ordinary text and added (control) tokens kept apart.

The BPE is built without the added tokens, so that text never becomes one of them, whatever it spells. Only
`split_markup`, `encode_markup` and `id_of` give added tokens.

Not supported: tokenizers other than byte-level BPE, and added tokens that include the white space beside them.
"""

from __future__ import annotations

import json
import re
import string
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer as BpeTokenizer
from tokenizers.models import BPE

from omnireel.errors import CheckpointError
from omnireel.text.bytelevel import BYTE_OF_CHAR

_BPE_OPTIONS = (
    "dropout",
    "continuing_subword_prefix",
    "end_of_word_suffix",
    "fuse_unk",
    "byte_fallback",
    "ignore_merges",
)
# A token can be a long run of blanks or of one sign, but no such run of letters. So that a text of words is not
# measured by a token of blanks, these bytes are left out of a text and of the tokens before both are measured.
_LEFT_OUT = (b"", string.whitespace.encode(), (string.whitespace + string.punctuation).encode())
_SLICE = 1024 * 1024
END_OF_TURN = ("<|im_end|>", "</s>")
# Added tokens whose text is part of an answer; the text of all others is hidden.
VISIBLE_TAGS = frozenset(
    {"<think>", "</think>", "<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>"}
)


class Tokenizer:
    """Converts strings to ids and ids to bytes.

    description: the parsed tokenizer.json
    end_ids:     more ids that end an answer, besides <|im_end|> and </s>
    Raises CheckpointError for a tokenizer that is not supported.
    """

    def __init__(self, description: Mapping[str, Any], *, end_ids: frozenset[int] = frozenset()) -> None:
        self.added_tokens: dict[str, int] = {t["content"]: t["id"] for t in description["added_tokens"]}
        if any(not token.strip() for token in self.added_tokens):
            # A template keeps the white space around a user's text, which would then become that token.
            raise CheckpointError("The tokenizer has an added token that is only white space.")
        added_ids = frozenset(self.added_tokens.values())
        vocab = {t: i for t, i in description["model"]["vocab"].items() if i not in added_ids}
        self._bpe = _bpe_without_added_tokens(description, vocab)
        self._keeps_text = _keeps_text(description)
        self._text_bytes = _bytes_of_tokens(vocab)
        self._bytes = self._text_bytes | {
            i: t.encode() for t, i in self.added_tokens.items() if t in VISIBLE_TAGS
        }
        self._added_pattern = _any_of(self.added_tokens)
        self.stop_ids = end_ids | {self.added_tokens[t] for t in END_OF_TURN if t in self.added_tokens}

    @classmethod
    def from_directory(cls, path: Path) -> Tokenizer:
        """Read tokenizer.json, and the end tokens of generation_config.json if it exists. Raises CheckpointError."""
        file = path / "tokenizer.json"
        if not file.is_file():
            raise CheckpointError(f"The directory {path} has no tokenizer.json.")
        description = json.loads(file.read_text(encoding="utf-8"))
        if description["model"].get("type") != "BPE":
            raise CheckpointError(f"The file {file} is not a byte-level BPE tokenizer.")
        return cls(description, end_ids=_read_end_ids(path / "generation_config.json"))

    def encode_text(self, text: str) -> list[int]:
        """Ids of plain text. Never gives an added token, whatever the text spells.

        Other threads run meanwhile: unlike `encode`, `encode_batch_fast` releases the interpreter's lock.
        """
        (encoding,) = self._bpe.encode_batch_fast([text], add_special_tokens=False)
        return list(encoding.ids)

    def fewest_tokens(self, text: str) -> int:
        """A number of tokens that a text has at least, from its length alone; 0 where nothing is certain.

        Takes far less time and memory than tokenising: no token stands for more bytes than the longest one, and none
        for more bytes of a kind than the one with most of them.
        """
        if not self._keeps_text:
            return 0
        total = [0] * len(_LEFT_OUT)
        for start in range(0, len(text), _SLICE):
            measured = _num_bytes(text[start : start + _SLICE].encode())
            total = [a + b for a, b in zip(total, measured, strict=True)]
        return max(-(-num_bytes // most) for num_bytes, most in zip(total, self._most_bytes, strict=True))

    @cached_property
    def _most_bytes(self) -> list[int]:
        """The most bytes that a token of ordinary text has, of each kind."""
        return [max(lengths) for lengths in zip(*map(_num_bytes, self._text_bytes.values()), strict=True)]

    def split_markup(self, text: str) -> list[str | int]:
        """Template text, split at its added tokens: ids for the tokens, strings for the text between them."""
        pieces = self._added_pattern.split(text)
        return [self.added_tokens.get(piece, piece) for piece in pieces if piece]

    def split_added(self, text: str) -> list[str]:
        """A text, split at whatever spells an added token."""
        return [piece for piece in self._added_pattern.split(text) if piece]

    def encode_markup(self, text: str) -> list[int]:
        """Ids of template text, with its added tokens. Only for text that no user can influence."""
        ids: list[int] = []
        for piece in self.split_markup(text):
            ids += [piece] if isinstance(piece, int) else self.encode_text(piece)
        return ids

    def id_of(self, token: str) -> int:
        """The id of an added token; raises CheckpointError when the tokenizer does not have it."""
        if token not in self.added_tokens:
            raise CheckpointError(f"The tokenizer has no added token {token}.")
        return self.added_tokens[token]

    @cached_property
    def line_end_ids(self) -> frozenset[int]:
        """Ids of the tokens that end a line of text."""
        return frozenset(i for i, content in self._bytes.items() if content.endswith(b"\n"))

    def token_bytes(self, token_id: int) -> bytes:
        """The bytes that a token adds to an answer: none for hidden added tokens and for ids without a token.

        The model's output layer is often padded to a round number of rows, so it can give an id without a token.
        """
        return self._bytes.get(token_id, b"")


def _num_bytes(content: bytes) -> list[int]:
    return [len(content.translate(None, left_out)) for left_out in _LEFT_OUT]


def _keeps_text(description: Mapping[str, Any]) -> bool:
    """Whether tokens have all bytes of their text: nothing is normalised, and no piece is dropped."""
    stages = [description.get("pre_tokenizer")]
    for stage in stages:  # it grows
        stages += (stage or {}).get("pretokenizers", [])
    known = {None, "Sequence", "ByteLevel", "Split", "Digits", "Punctuation"}
    kinds = {stage and stage["type"] for stage in stages}
    drops = any(stage and stage.get("behavior") == "Removed" for stage in stages)
    return description.get("normalizer") is None and kinds <= known and not drops


def _bpe_without_added_tokens(description: Mapping[str, Any], vocab: dict[str, int]) -> BpeTokenizer:
    """The BPE of plain text. Its large tables are passed on as they are: as JSON they would take twice as long."""
    stages: dict[str, Any] = {
        "version": "1.0",
        "added_tokens": [],
        "normalizer": description.get("normalizer"),
        "pre_tokenizer": description.get("pre_tokenizer"),
        "post_processor": None,
        "decoder": None,
        "model": {"type": "BPE", "vocab": {}, "merges": []},
    }
    bpe = BpeTokenizer.from_str(json.dumps(stages))
    model = description["model"]
    options = {name: model[name] for name in _BPE_OPTIONS if model.get(name) is not None}
    # An unknown token would be an added one. With every byte in the vocabulary nothing is unknown.
    bpe.model = BPE(vocab=vocab, merges=list(_merges(model["merges"], vocab)), **options)
    return bpe


def _merges(merges: Iterable[str | list[str]], vocab: Mapping[str, int]) -> Iterator[tuple[str, str]]:
    """The merges in which no added token takes part. The file has each as a pair, or as a string with a blank."""
    for merge in merges:
        a, b = merge.split(" ") if isinstance(merge, str) else merge
        if a in vocab and b in vocab and a + b in vocab:
            yield a, b


def _bytes_of_tokens(vocab: Mapping[str, int]) -> dict[int, bytes]:
    missing = [char for char in BYTE_OF_CHAR if char not in vocab]
    if missing:
        raise CheckpointError(f"The tokenizer is not byte-level: {len(missing)} of 256 bytes have no token.")
    joined = "".join(vocab)
    if others := set(joined) - set(BYTE_OF_CHAR):
        raise CheckpointError(
            f"The tokenizer is not byte-level: its tokens have the character {min(others)!r}."
        )
    # All tokens at once, one byte for each character: one by one they would take most of the time of loading.
    to_latin_1 = str.maketrans({char: chr(byte) for char, byte in BYTE_OF_CHAR.items()})
    content, end = joined.translate(to_latin_1).encode("latin-1"), 0
    of_token = {}
    for token, i in vocab.items():
        start, end = end, end + len(token)
        of_token[i] = content[start:end]
    return of_token


def _any_of(tokens: Mapping[str, int]) -> re.Pattern[str]:
    longest_first = sorted(tokens, key=len, reverse=True)
    return re.compile(f"({'|'.join(map(re.escape, longest_first))})" if tokens else "((?!))")


def _read_end_ids(file: Path) -> frozenset[int]:
    if not file.is_file():
        return frozenset()
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise CheckpointError(f"The file {file} is not JSON: {error}") from None
    end = config.get("eos_token_id", []) if isinstance(config, dict) else None
    ids = end if isinstance(end, list) else [end]
    if any(isinstance(i, bool) or not isinstance(i, int) or i < 0 for i in ids):
        raise CheckpointError(
            f"The eos_token_id in {file} is {end!r}. It must be a token id or a list of token ids."
        )
    return frozenset(ids)
