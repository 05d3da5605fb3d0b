"""The body of a chat completion: our frames and sound, the texts, and the options of a task."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

from omnireel.backends.remote.servers import Server
from omnireel.backends.remote.servers.base import SentClip
from omnireel.task import MediaPart, Message, Task, TextPart
from omnireel.text.chat import VIDEO_PLACEHOLDER
from omnireel.text.tokenizer import Tokenizer

_WORD_JOINER = "\u2060"  # has no width and no meaning
_LEAST_TOP_P = 1e-6


def with_plain_text(task: Task, tokenizer: Tokenizer) -> Task:
    """The same task with texts that hold no control token.

    A model server reads control tokens in the texts of messages too. A word joiner after the first character of each
    keeps it a text that looks the same.
    """

    def plain(part: TextPart | MediaPart) -> TextPart | MediaPart:
        return TextPart(_plain(part.text, tokenizer)) if isinstance(part, TextPart) else part

    messages = tuple(
        Message(message.role, tuple(plain(part) for part in message.parts)) for message in task.messages
    )
    return replace(task, messages=messages)


def _plain(text: str, tokenizer: Tokenizer) -> str:
    tokens = {*tokenizer.added_tokens, VIDEO_PLACEHOLDER}
    parts = [
        piece
        for part in tokenizer.split_added(text)
        for piece in re.split(f"({re.escape(VIDEO_PLACEHOLDER)})", part)
    ]
    return "".join(part[0] + _WORD_JOINER + part[1:] if part in tokens else part for part in parts)


def request_fields(
    task: Task,
    clip: SentClip,
    server: Server,
    *,
    max_tokens: int,
    salt: str | None = None,
    num_opening: int = 0,
) -> dict[str, Any]:
    """The body without the name of the model.

    task:        as `with_plain_text` gives it
    num_opening: see Server.budget_fields
    """
    sampling = task.sampling
    control = "/think" if task.thinking else "/no_think"
    system = control if task.system_prompt is None else task.system_prompt
    content = [*server.media_parts(clip), {"type": "text", "text": task.prompt}]
    fields: dict[str, Any] = {
        "messages": [{"role": "system", "content": system}, {"role": "user", "content": content}],
        "stream": True,
        "stream_options": {"include_usage": True},
        "temperature": sampling.temperature,
        "top_p": max(sampling.top_p, _LEAST_TOP_P),  # servers refuse 0, which means the likeliest token here
        "max_tokens": max_tokens,
    }
    if sampling.seed is not None:
        fields["seed"] = sampling.seed
    if sampling.reasoning_budget is not None:
        fields |= server.budget_fields(sampling.reasoning_budget, num_opening)
    return fields | server.fields(task, clip, salt=salt)


def encoded(fields: dict[str, Any]) -> bytes:
    """The body without its first brace and the model's name, so that one encoding serves several servers."""
    return json.dumps(fields, ensure_ascii=True).encode()[1:]


def body_for(model: str, rest: bytes) -> bytes:
    """The whole body for a server's model. rest: as `encoded` gives it"""
    return b'{"model": ' + json.dumps(model).encode() + b", " + rest
