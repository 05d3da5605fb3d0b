"""The settings of this process. Nothing else reads the environment or omnireel.toml.

A setting can be given by a flag (`--port 9000`), by a variable (`OMNIREEL_PORT=9000`) or by a line of `omnireel.toml`
in the working directory (`port = 9000`). The first of these that is present is used, else the default. A value that
cannot be used is an error that names the setting. Each setting is declared once, as a field of `Settings`,
`AskSettings` or `KeySettings`.
"""

import os
import tomllib
from collections.abc import Mapping
from typing import Any

from omnireel.errors import SettingsError
from omnireel.settings.api_key import KeySettings
from omnireel.settings.asking import AskSettings
from omnireel.settings.declaration import PREFIX, Declaration, declarations
from omnireel.settings.deployment import Settings
from omnireel.settings.kinds import Network
from omnireel.settings.needs import has_gguf_settings, refuse_gguf_settings, refuse_without_effect
from omnireel.settings.sources import FILE, Found, Sources, closest

__all__ = [
    "DECLARATIONS",
    "TRACEBACK",
    "AskSettings",
    "Declaration",
    "KeySettings",
    "Network",
    "Settings",
    "declarations",
    "has_gguf_settings",
    "is_run_by_make",
    "read_ask_settings",
    "read_key_settings",
    "read_settings",
    "refuse_gguf_settings",
    "refuse_without_effect",
    "unknown_variables",
    "wants_tracebacks",
]

TRACEBACK = PREFIX + "TRACEBACK"
DECLARATIONS: Mapping[str, Declaration] = {
    declared.name: declared for cls in (Settings, AskSettings, KeySettings) for declared in declarations(cls)
}


def read_settings(flags: Mapping[str, Any]) -> Settings:
    """The deployment's settings.

    flags: values from the command line by the name of the setting; None means not given
    Raises SettingsError, which names the place, the value and the accepted values.
    """
    found = _find(Settings, flags)
    places = {declared.name: given.place for declared, given in found}
    return Settings(**_parsed(found), places=places)


def read_ask_settings(flags: Mapping[str, Any]) -> AskSettings:
    """The settings of a question on the command line. `flags` and errors: as in `read_settings`."""
    return AskSettings(**_parsed(_find(AskSettings, flags)))


def read_key_settings(flags: Mapping[str, Any]) -> KeySettings:
    """The settings of a new key. `flags` and errors: as in `read_settings`."""
    return KeySettings(**_parsed(_find(KeySettings, flags)))


def unknown_variables() -> list[str]:
    """A warning for each OMNIREEL_* variable that is not a setting."""
    known = {declared.variable for declared in DECLARATIONS.values()} | {TRACEBACK}
    unknown = [name for name in os.environ if name.startswith(PREFIX) and name not in known]
    return [f"{name} is not a setting. {closest(name, known)}" for name in sorted(unknown)]


def wants_tracebacks() -> bool:
    """Whether OMNIREEL_TRACEBACK asks for the traceback of an internal error."""
    return os.environ.get(TRACEBACK, "0") not in ("", "0")


def is_run_by_make() -> bool:
    """Whether a makefile started this process: its user types other words than flags."""
    return "MAKELEVEL" in os.environ


def _find(cls: type, flags: Mapping[str, Any]) -> list[tuple[Declaration, Found]]:
    """The settings of a class that were given, as they were given."""
    sources = Sources(flags, os.environ, _read_file())
    found = [(declared, sources.find(declared)) for declared in declarations(cls)]
    return [(declared, given) for declared, given in found if given is not None]


def _parsed(found: list[tuple[Declaration, Found]]) -> dict[str, Any]:
    return {declared.name: _parse(declared, given) for declared, given in found}


def _parse(declared: Declaration, given: Found) -> object:
    wanted = declared.kind.wanted
    try:
        return declared.kind.parse(given.value)
    except ValueError:
        raise SettingsError(
            f"{given.name} is {given.value!r}; it must be {wanted}.", hint=f"Set {given.name} to {wanted}."
        ) from None


def _read_file() -> dict[str, Any]:
    try:
        text = FILE.read_text("utf-8-sig")  # Windows editors write a byte order mark
    except FileNotFoundError:
        return {}
    except UnicodeDecodeError as error:
        raise SettingsError(
            f"{FILE} is not UTF-8: byte {error.start} cannot be read.", hint="Save the file as UTF-8."
        ) from None
    except OSError as error:
        raise SettingsError(
            f"{FILE} cannot be read: {error.strerror}.", hint=f"Fix {FILE} or move it away."
        ) from None
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{FILE} is not TOML: {error}.", hint=f"Fix {FILE} or move it away.") from None
    for key in table:
        if key not in DECLARATIONS:
            raise SettingsError(f"{FILE} has the unknown setting {key!r}.", hint=closest(key, DECLARATIONS))
    return table
