"""The places where a setting can be given, and their order."""

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any

from omnireel.settings.declaration import Declaration

FILE = Path("omnireel.toml")


class Place(IntEnum):
    """Where a value comes from. A later place overrides those before it."""

    DEFAULT = 0
    FILE = 1
    VARIABLE = 2
    FLAG = 3


@dataclass(frozen=True)
class Found:
    """The value of a setting as it was given, and where. name: of the flag, variable or line, for people"""

    value: Any
    place: Place
    name: str


@dataclass(frozen=True)
class Sources:
    """The values that were given in each place.

    flags, file: by the names of the settings; environment: by the names of the variables
    """

    flags: Mapping[str, Any]
    environment: Mapping[str, str]
    file: Mapping[str, Any]

    def find(self, setting: Declaration) -> Found | None:
        """The value given for a setting in the place that overrides the others; None: it was not given."""
        if self.flags.get(setting.name) is not None:
            return Found(self.flags[setting.name], Place.FLAG, setting.flag)
        if setting.variable in self.environment:
            return Found(self.environment[setting.variable], Place.VARIABLE, setting.variable)
        if setting.name in self.file:
            return Found(self.file[setting.name], Place.FILE, f"{FILE}: {setting.name}")
        return None


def closest(name: str, names: Iterable[str]) -> str:
    """A hint for an unknown name: the most similar known name, or all known names."""
    known = sorted(names)
    near = difflib.get_close_matches(name, known, n=1)
    return f"Did you mean {near[0]}?" if near else f"Known settings: {', '.join(known)}."
