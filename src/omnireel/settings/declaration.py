"""The declaration of a setting: a dataclass field with its values, default and help text.

Its flag, its variable, its line of omnireel.toml, `--help` and docs/configuration.md are all derived from it.
"""

import dataclasses
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from omnireel.settings.kinds import Kind

PREFIX = "OMNIREEL_"
_T = TypeVar("_T")
_Default = TypeVar("_Default")


@dataclass(frozen=True)
class Declaration:
    """Everything about one setting.

    name:         the attribute, and the key in omnireel.toml
    default:      its value if it is given nowhere; None: the setting is absent
    kind:         the values it takes
    help:         one or two short sentences for people
    example:      a value other than the default, as omnireel.toml holds it
    group:        heading under which it is listed
    commands:     commands that take it as a flag, such as "keys create"
    default_text: what the default means, if its value does not show it
    """

    name: str
    default: Any
    kind: Kind[Any]
    help: str
    example: object
    group: str
    commands: tuple[str, ...]
    default_text: str | None

    @property
    def flag(self) -> str:
        """Its name on the command line, such as --max-tokens."""
        return "--" + self.name.replace("_", "-")

    @property
    def negative_flag(self) -> str:
        """The flag that turns a switch off, such as --no-audio."""
        return "--no-" + self.name.replace("_", "-")

    @property
    def variable(self) -> str:
        """Its name in the environment, such as OMNIREEL_MAX_TOKENS."""
        return PREFIX + self.name.upper()

    @property
    def shown_default(self) -> str | None:
        """The default as `--help` and the reference page show it; None: it has none."""
        if self.default_text is not None:
            return self.default_text
        return None if self.default is None else self.kind.show(self.default)


@dataclass(frozen=True)
class Group:
    """Settings that are listed together.

    title:    the heading above them
    commands: commands that take them as flags, unless a setting names its own
    """

    title: str
    commands: tuple[str, ...]

    def setting(
        self,
        kind: Kind[_T],
        default: _Default,
        help: str,
        *,
        example: object,
        commands: tuple[str, ...] | None = None,
        default_text: str | None = None,
    ) -> _T | _Default:
        """A dataclass field that declares a setting; the parameters are those of `Declaration`."""
        declared = {
            "kind": kind,
            "help": help,
            "example": example,
            "group": self.title,
            "commands": self.commands if commands is None else commands,
            "default_text": default_text,
        }
        # A type checker is told the type of the value, as the standard library does for `dataclasses.field`.
        return cast(_T | _Default, dataclasses.field(default=default, metadata=declared))


def declarations(cls: type) -> list[Declaration]:
    """The settings that a dataclass declares, in order."""
    declared = (field for field in dataclasses.fields(cls) if field.metadata)
    return [Declaration(field.name, field.default, **field.metadata) for field in declared]
