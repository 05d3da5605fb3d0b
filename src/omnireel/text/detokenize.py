"""Ids to text, one id at a time."""

import codecs

from omnireel.text.tokenizer import Tokenizer


class Detokenizer:
    """The text of one growing answer.

    A character may spread over several tokens; its bytes are held back until it is whole, so that the
    deltas joined are the text of all ids at once. Bytes that are no UTF-8 become U+FFFD.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._utf8 = codecs.getincrementaldecoder("utf-8")("replace")

    def push(self, token_id: int) -> str:
        """The text that this token completes, often empty."""
        return self._utf8.decode(self._tokenizer.token_bytes(token_id))

    def finish(self) -> str:
        """What is left when no more tokens come."""
        return self._utf8.decode(b"", final=True)
