"""Converts token ids to text, one id at a time."""

import codecs

from omnireel.text.tokenizer import Tokenizer


class Detokenizer:
    """The text of one growing answer.

    A character may span several tokens. Its bytes are held back until it is complete, so that the deltas
    joined are the text of all ids. Bytes that are not UTF-8 become U+FFFD.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._utf8 = codecs.getincrementaldecoder("utf-8")("replace")

    def push(self, token_id: int) -> str:
        """The text that is complete after this token, often empty."""
        return self._utf8.decode(self._tokenizer.token_bytes(token_id))

    def finish(self) -> str:
        """The text that was held back, once no more tokens come."""
        return self._utf8.decode(b"", final=True)
