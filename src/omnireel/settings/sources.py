"""The places where a setting can be given, and their order."""

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omnireel.settings.declaration import Declaration

FILE = Path("omnireel.toml")


@dataclass(frozen=True)
class Sources:
    """The values that were given in each place. Flags override the environment, which overrides the file.

    flags, file: by the names of the settings; environment: by the names of the variables
    """

    flags: Mapping[str, Any]
    environment: Mapping[str, str]
    file: Mapping[str, Any]

    def find(self, setting: Declaration) -> tuple[Any, str] | None:
        """The value given for a setting and the place it was given in; None: it was not given."""
        if self.flags.get(setting.name) is not None:
            return self.flags[setting.name], setting.flag
        if setting.variable in self.environment:
            return self.environment[setting.variable], setting.variable
        if setting.name in self.file:
            return self.file[setting.name], f"{FILE}: {setting.name}"
        return None


def closest(name: str, names: Iterable[str]) -> str:
    """A hint for an unknown name: the most similar known name, or all known names."""
    known = sorted(names)
    near = difflib.get_close_matches(name, known, n=1)
    return f"Did you mean {near[0]}?" if near else f"Known settings: {', '.join(known)}."
