"""The places where a setting can be given, and their names."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PREFIX = "OMNIREEL_"
FILE = Path("omnireel.toml")


@dataclass(frozen=True)
class Sources:
    """Where settings come from, weakest last: flags, environment, file."""

    flags: Mapping[str, Any]
    environment: Mapping[str, str]
    file: Mapping[str, Any]

    def find(self, key: str) -> tuple[Any, str] | None:
        """The value given for `key` and the name of the place it was given in."""
        variable = PREFIX + key.upper()
        if self.flags.get(key) is not None:
            return self.flags[key], "--" + key.replace("_", "-")
        if variable in self.environment:
            return self.environment[variable], variable
        if key in self.file:
            return self.file[key], f"{FILE}: {key}"
        return None


def closest(name: str, names: set[str]) -> str:
    """What somebody may have meant who wrote `name`: a hint."""
    near = difflib.get_close_matches(name, sorted(names), n=1)
    return f"did you mean {near[0]}?" if near else f"known settings: {', '.join(sorted(names))}"
