"""The event stream of an OpenAI-shaped server, as deltas."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

from omnireel.backends.remote.failures import UpstreamFailure, broke_off, failed, read_json, reported, stalled
from omnireel.net.errors import FetchError
from omnireel.net.operator_server import Reply
from omnireel.task import Usage

_MAX_LINE_BYTES = 1024 * 1024
_DONE = "[DONE]"


@dataclass(frozen=True)
class Chunk:
    """One event: text of the chain of thought, text of the answer, and what the last events tell.

    reasoning: text that the server itself has separated
    usage:     as the server counted it
    """

    reasoning: str = ""
    content: str = ""
    finish_reason: str | None = None
    usage: Usage | None = None

    @property
    def has_text(self) -> bool:
        """Whether a token was sent with it."""
        return bool(self.reasoning or self.content)


@dataclass(frozen=True)
class Patience:
    """How long is waited: for the first token, and from one token to the next."""

    first_token_s: float
    token_s: float


async def chunks_of(reply: Reply, patience: Patience, left_s: Callable[[], float]) -> AsyncIterator[Chunk]:
    """The chunks of a reply, up to its end mark.

    left_s: what is left of the time for the first token
    Raises UpstreamFailure where the stream stalls, breaks off, reports an error or cannot be read. Once the answer has
    its finish reason nothing of it is missing, and the stream may end in any way.
    """
    has_text = is_whole = False
    buffer = b""
    while True:
        what, limit_s = (
            ("next token", patience.token_s) if has_text else ("first token", patience.first_token_s)
        )
        try:
            data = await _read(reply, what, patience.token_s if has_text else left_s(), limit_s)
        except UpstreamFailure:
            if is_whole:
                return
            raise
        *lines, buffer = (buffer + data).split(b"\n")
        if len(buffer) > _MAX_LINE_BYTES:
            raise failed(f"a line of the stream has more than {_MAX_LINE_BYTES} bytes")
        for line in lines:
            text = _data_of(line)
            if text == _DONE:
                return
            if text:
                chunk = _parse(text)
                has_text = has_text or chunk.has_text
                is_whole = is_whole or chunk.finish_reason is not None
                yield chunk


async def _read(reply: Reply, what: str, within_s: float, limit_s: float) -> bytes:
    """The next bytes of the stream, at least one. limit_s: of which `within_s` is left"""
    try:
        data = await reply.read(within_s)
    except TimeoutError:
        raise stalled(what, limit_s) from None
    except FetchError as error:
        raise broke_off(error.why) from None
    if not data:
        raise broke_off("the stream ended without its end mark")
    return data


def _data_of(line: bytes) -> str:
    """The data of a line of the stream; empty for comments, other fields and blank lines."""
    name, _, value = line.rstrip(b"\r").partition(b":")
    return value.decode("utf-8", "replace").strip() if name == b"data" else ""


def _parse(text: str) -> Chunk:
    try:
        event = read_json(text)
    except ValueError:
        raise failed(f"an event of the stream is not JSON: {text[:200]}") from None
    if not isinstance(event, dict):
        raise failed(f"an event of the stream is no object: {text[:200]}")
    if event.get("error"):
        raise reported(event["error"], text)
    choices = event.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else {}
    delta = choice.get("delta")
    delta = delta if isinstance(delta, dict) else {}
    return Chunk(
        reasoning=_text(delta, "reasoning") or _text(delta, "reasoning_content"),
        content=_text(delta, "content"),
        finish_reason=_text(choice, "finish_reason") or None,
        usage=_usage(event.get("usage")),
    )


def _text(found: dict[str, Any], name: str) -> str:
    value = found.get(name)
    return value if isinstance(value, str) else ""


def _usage(found: object) -> Usage | None:
    """Counts that can be true: whole numbers, at least one token in and none below zero out."""
    if not isinstance(found, dict):
        return None
    prompt, completion = found.get("prompt_tokens"), found.get("completion_tokens")
    if not isinstance(prompt, int) or not isinstance(completion, int):
        return None
    return Usage(prompt, completion) if prompt > 0 and completion >= 0 else None
