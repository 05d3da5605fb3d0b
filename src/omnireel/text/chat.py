"""Renders a checkpoint's chat template without trusting the template or the user.

The template runs in an immutable sandbox. It never sees the user's strings: each is replaced by a random
sentinel and put back after rendering as a piece of its own, so that it is encoded as plain text whatever it
spells. White space around a string stays outside its sentinel, so that a template's `trim` still works.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, NoReturn

import jinja2
from jinja2.ext import loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

from omnireel.errors import CheckpointError

VIDEO_PLACEHOLDER = "<video>"
SPECIAL_TOKEN_NAMES = ("bos_token", "eos_token", "unk_token", "pad_token")

# A template is a small program: besides Jinja's own errors it can raise those of the operations in it.
_TEMPLATE_FAILURES = (jinja2.TemplateError, TypeError, ValueError, LookupError, ArithmeticError)

Message = Mapping[str, Any]


@dataclass(frozen=True)
class Piece:
    """A part of a rendered chat: markup of the template, text of a user, or the placeholder of the video."""

    kind: Literal["markup", "text", "video"]
    text: str


def video_messages(prompt: str, *, system_prompt: str | None, thinking: bool) -> list[Message]:
    """The messages of one question about one clip, for `ChatTemplate.render`.

    Without a system prompt the reasoning control token is the system message.
    """
    system = system_prompt if system_prompt is not None else ("/think" if thinking else "/no_think")
    content = [{"type": "video"}, {"type": "text", "text": prompt}]
    return [{"role": "system", "content": system}, {"role": "user", "content": content}]


class ChatTemplate:
    """A Jinja chat template.

    source:         the template's text
    special_tokens: values of bos_token, eos_token and so on, which templates may use
    Raises CheckpointError for a template with wrong syntax.
    """

    def __init__(self, source: str, special_tokens: Mapping[str, str] | None = None) -> None:
        self._special_tokens = dict(special_tokens or {})
        try:
            self._template = _environment().from_string(source)
        except jinja2.TemplateSyntaxError as error:
            raise CheckpointError(
                f"Line {error.lineno} of the chat template is wrong: {error.message}"
            ) from error

    @classmethod
    def from_directory(cls, path: Path) -> ChatTemplate:
        """Read chat_template.jinja, or the template in tokenizer_config.json. Raises CheckpointError."""
        config_file = path / "tokenizer_config.json"
        config = json.loads(config_file.read_text(encoding="utf-8")) if config_file.is_file() else {}
        file = path / "chat_template.jinja"
        source = file.read_text(encoding="utf-8") if file.is_file() else config.get("chat_template")
        if not isinstance(source, str):
            raise CheckpointError(f"The directory {path} has no chat_template.jinja.")
        named = {name: config.get(name) for name in SPECIAL_TOKEN_NAMES}
        return cls(source, {name: _token_text(token) for name, token in named.items() if token})

    def render(
        self, messages: Sequence[Message], *, enable_thinking: bool, reasoning_budget: int | None = None
    ) -> list[Piece]:
        """The conversation up to the start of the assistant's answer, in pieces.

        messages:         role and content; content is a string or a list of text and video parts
        reasoning_budget: for templates that state the limit on the chain of thought, in tokens
        Raises CheckpointError when the template fails, or leaves out a text or the video.
        """
        sentinels = _Sentinels()
        try:
            rendered = self._template.render(
                messages=[_with_text(message, sentinels.replace) for message in messages],
                tools=None,
                documents=None,
                add_generation_prompt=True,
                enable_thinking=enable_thinking,
                **({} if reasoning_budget is None else {"reasoning_budget": reasoning_budget}),
                **self._special_tokens,
            )
        except _TEMPLATE_FAILURES as error:
            raise CheckpointError(f"The chat template failed: {error}") from error
        pieces = sentinels.restore(rendered)
        _check_video_count(pieces, messages)
        return pieces


@dataclass
class _Sentinels:
    """The users' strings and the sentinels that stand for them."""

    key: str = field(default_factory=lambda: secrets.token_hex(16))
    texts: list[str] = field(default_factory=list)

    def replace(self, text: str) -> str:
        inner = text.strip()
        if not inner:
            return text
        self.texts.append(inner)
        return text.replace(inner, f"{self.key}x{len(self.texts) - 1}x", 1)

    def restore(self, rendered: str) -> list[Piece]:
        sentinel = re.compile(f"({self.key}x[0-9]+x|{VIDEO_PLACEHOLDER})")
        pieces = [self._piece(part) for part in sentinel.split(rendered) if part]
        kept = {piece.text for piece in pieces if piece.kind == "text"}
        if not kept.issuperset(self.texts) or any(self.key in piece.text for piece in pieces):
            raise CheckpointError("The chat template does not render the whole text of each message.")
        return pieces

    def _piece(self, part: str) -> Piece:
        if part == VIDEO_PLACEHOLDER:
            return Piece("video", part)
        if part.startswith(self.key):
            return Piece("text", self.texts[int(part.split("x")[1])])
        return Piece("markup", part)


def _with_text(message: Message, replace: Callable[[str], str]) -> Message:
    content = message["content"]
    if content in ("/think", "/no_think"):  # control tokens of our own; some templates look for them
        return message
    if isinstance(content, str):
        return {**message, "content": replace(content)}
    parts = [{**part, "text": replace(part["text"])} if part["type"] == "text" else part for part in content]
    return {**message, "content": parts}


def _check_video_count(pieces: Sequence[Piece], messages: Sequence[Message]) -> None:
    contents = [message["content"] for message in messages if not isinstance(message["content"], str)]
    wanted = sum(part["type"] == "video" for content in contents for part in content)
    found = sum(piece.kind == "video" for piece in pieces)
    if found != wanted:
        raise CheckpointError(f"The chat template renders {found} videos; the messages have {wanted}.")


def _token_text(token: str | Mapping[str, str]) -> str:
    return token if isinstance(token, str) else token["content"]


def _environment() -> ImmutableSandboxedEnvironment:
    """Jinja with transformers' whitespace rules, filters and functions, which chat templates rely on."""
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols]
    )
    environment.filters["tojson"] = _to_json
    environment.globals["raise_exception"] = _raise_exception
    environment.globals["strftime_now"] = lambda pattern: datetime.now().strftime(pattern)
    return environment


def _to_json(value: object, **options: Any) -> str:  # noqa: ANN401 - any option of json.dumps
    return json.dumps(value, **{"ensure_ascii": False, **options})


def _raise_exception(message: str) -> NoReturn:
    raise jinja2.TemplateError(message)
