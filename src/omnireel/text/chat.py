"""The checkpoint's chat template, rendered without trusting it or the user.

The template runs in an immutable sandbox. It never sees what the user wrote: each of the user's strings is
rendered as a sentinel that nobody can guess and put back afterwards as a piece of its own, so that it can be
encoded as text whatever it spells. White space around a string stays outside its sentinel, where a
template's `trim` finds it.
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

# A template is a small program: beside Jinja's own errors it can raise those of the operations it names.
_TEMPLATE_FAILURES = (jinja2.TemplateError, TypeError, ValueError, LookupError, ArithmeticError)

Message = Mapping[str, Any]


@dataclass(frozen=True)
class Piece:
    """A stretch of a rendered chat: the template's markup, a user's text, or the video's place."""

    kind: Literal["markup", "text", "video"]
    text: str


def video_messages(prompt: str, *, system_prompt: str | None, thinking: bool) -> list[Message]:
    """The conversation of one question about one clip.

    Without a system prompt the reasoning control token is the system message.
    """
    system = system_prompt if system_prompt is not None else ("/think" if thinking else "/no_think")
    content = [{"type": "video"}, {"type": "text", "text": prompt}]
    return [{"role": "system", "content": system}, {"role": "user", "content": content}]


class ChatTemplate:
    """A Jinja chat template.

    source:         the template's text
    special_tokens: values for bos_token, eos_token and their like, which templates may name
    """

    def __init__(self, source: str, special_tokens: Mapping[str, str] | None = None) -> None:
        self._special_tokens = dict(special_tokens or {})
        try:
            self._template = _environment().from_string(source)
        except jinja2.TemplateSyntaxError as error:
            raise CheckpointError(f"chat template, line {error.lineno}: {error.message}") from error

    @classmethod
    def from_directory(cls, path: Path) -> ChatTemplate:
        """Read chat_template.jinja, or the template inside tokenizer_config.json."""
        config_file = path / "tokenizer_config.json"
        config = json.loads(config_file.read_text(encoding="utf-8")) if config_file.is_file() else {}
        file = path / "chat_template.jinja"
        source = file.read_text(encoding="utf-8") if file.is_file() else config.get("chat_template")
        if not isinstance(source, str):
            raise CheckpointError(f"{path} has no chat_template.jinja")
        named = {name: config.get(name) for name in SPECIAL_TOKEN_NAMES}
        return cls(source, {name: _token_text(token) for name, token in named.items() if token})

    def render(
        self, messages: Sequence[Message], *, enable_thinking: bool, reasoning_budget: int | None = None
    ) -> list[Piece]:
        """The conversation up to where the assistant speaks, in pieces.

        messages:         role and content, content a string or a list of text and video parts
        reasoning_budget: for templates that tell the model how many tokens it may think
        Raises CheckpointError when the template fails, or leaves out the text or the video it was given.
        """
        sealed = _Sealed()
        try:
            rendered = self._template.render(
                messages=[_with_text(message, sealed.seal) for message in messages],
                tools=None,
                documents=None,
                add_generation_prompt=True,
                enable_thinking=enable_thinking,
                **({} if reasoning_budget is None else {"reasoning_budget": reasoning_budget}),
                **self._special_tokens,
            )
        except _TEMPLATE_FAILURES as error:
            raise CheckpointError(f"the chat template failed: {error}") from error
        pieces = sealed.open(rendered)
        _check_video_count(pieces, messages)
        return pieces


@dataclass
class _Sealed:
    """Users' strings behind sentinels."""

    key: str = field(default_factory=lambda: secrets.token_hex(16))
    texts: list[str] = field(default_factory=list)

    def seal(self, text: str) -> str:
        inner = text.strip()
        if not inner:
            return text
        self.texts.append(inner)
        return text.replace(inner, f"{self.key}x{len(self.texts) - 1}x", 1)

    def open(self, rendered: str) -> list[Piece]:
        sentinel = re.compile(f"({self.key}x[0-9]+x|{VIDEO_PLACEHOLDER})")
        pieces = [self._piece(part) for part in sentinel.split(rendered) if part]
        kept = {piece.text for piece in pieces if piece.kind == "text"}
        if not kept.issuperset(self.texts) or any(self.key in piece.text for piece in pieces):
            raise CheckpointError("the chat template does not render the whole of each message")
        return pieces

    def _piece(self, part: str) -> Piece:
        if part == VIDEO_PLACEHOLDER:
            return Piece("video", part)
        if part.startswith(self.key):
            return Piece("text", self.texts[int(part.split("x")[1])])
        return Piece("markup", part)


def _with_text(message: Message, seal: Callable[[str], str]) -> Message:
    content = message["content"]
    if content in ("/think", "/no_think"):  # ours: some templates look for them
        return message
    if isinstance(content, str):
        return {**message, "content": seal(content)}
    parts = [{**part, "text": seal(part["text"])} if part["type"] == "text" else part for part in content]
    return {**message, "content": parts}


def _check_video_count(pieces: Sequence[Piece], messages: Sequence[Message]) -> None:
    contents = [message["content"] for message in messages if not isinstance(message["content"], str)]
    wanted = sum(part["type"] == "video" for content in contents for part in content)
    found = sum(piece.kind == "video" for piece in pieces)
    if found != wanted:
        raise CheckpointError(f"the chat template renders {found} videos where {wanted} were given")


def _token_text(token: str | Mapping[str, str]) -> str:
    return token if isinstance(token, str) else token["content"]


def _environment() -> ImmutableSandboxedEnvironment:
    """Jinja as chat templates expect it: transformers' whitespace rules, filters and functions."""
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols]
    )
    environment.filters["tojson"] = _to_json
    environment.globals["raise_exception"] = _raise_exception
    environment.globals["strftime_now"] = lambda pattern: datetime.now().strftime(pattern)
    return environment


def _to_json(value: object, **options: Any) -> str:  # noqa: ANN401 - json.dumps' own options
    return json.dumps(value, **{"ensure_ascii": False, **options})


def _raise_exception(message: str) -> NoReturn:
    raise jinja2.TemplateError(message)
