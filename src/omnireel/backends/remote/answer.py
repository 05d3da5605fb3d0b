"""The output of one answer, built from the chunks of a model server."""

from __future__ import annotations

from omnireel.backends.remote.stream import Chunk
from omnireel.text.answer import OutputText
from omnireel.text.reasoning import CLOSE


class RemoteAnswer:
    """Joins the chunks of chain and answer into the output that every backend gives.

    splits_reasoning: the server is known to send the chain in a field of its own

    Servers differ: with a reasoning parser the chain comes in its own field, without one it comes in the answer's
    field up to `</think>`, and some also leave a closing tag in the answer. So the chunks are put back into the text
    that the model wrote, and split here.
    """

    def __init__(self, *, thinking: bool, splits_reasoning: bool) -> None:
        self._text = OutputText(thinking=thinking)
        self._thinking = thinking
        self._splits_reasoning = splits_reasoning
        self._is_in_content = False
        self._held: list[str] = []

    @property
    def output(self) -> str:
        """All deltas so far, joined."""
        return self._text.output

    @property
    def reasoning(self) -> str | None:
        """The chain of thought so far; None without thinking."""
        return self._text.reasoning

    def push(self, chunk: Chunk) -> str:
        """The text that can be sent after this chunk, often empty."""
        delta = ""
        if chunk.reasoning:
            self._splits_reasoning = True
            if self._thinking:
                delta += self._text.push_text(chunk.reasoning)
            else:
                self._held.append(chunk.reasoning)
        if chunk.content:
            if self._thinking and self._splits_reasoning and not self._is_in_content:
                delta += self._text.push_text(CLOSE)
            self._is_in_content = True
            delta += self._text.push_text(chunk.content)
        return delta

    def finish(self) -> str:
        """The text that was held back, once no more chunks come.

        A parser that does not know that the chain is off takes the whole answer for one.
        """
        return self._text.finish_text("" if self._is_in_content else "".join(self._held))
