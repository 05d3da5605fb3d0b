"""Reads a JSON object in which every key must be known."""

import math
from collections.abc import Mapping
from typing import Any

from omnireel.errors import CheckpointError

Json = Any  # a value as json.loads returns it
Raw = Mapping[str, Json]


def demand(is_true: bool, otherwise: str) -> None:
    """Raise CheckpointError with the message `otherwise` unless is_true."""
    if not is_true:
        raise CheckpointError(otherwise)


class Fields:
    """A JSON object in which every key must be taken, required, or listed as without effect."""

    def __init__(self, name: str, raw: Raw) -> None:
        demand(isinstance(raw, Mapping), f"{name} is not a JSON object.")
        self.name = name
        self.raw = raw
        self.left = set(raw)

    def take(self, *names: str, default: Json = ...) -> Json:
        """The value under one of `names`; where several are present they must be equal. Raises CheckpointError."""
        self.left -= set(names)
        present = [name for name in names if name in self.raw]
        if not present:
            demand(default is not ..., f"{self.name} lacks {names[0]!r}.")
            return default
        are_equal = all(self.raw[name] == self.raw[present[0]] for name in present)
        demand(are_equal, f"{self.name} has different values for {' and '.join(present)}.")
        return self.raw[present[0]]

    def count(self, *names: str, default: Json = ...) -> int:
        """An integer of at least 1, or the default. Raises CheckpointError."""
        value = self.take(*names, default=default)
        is_valid = isinstance(value, int) and not isinstance(value, bool) and (value > 0 or value == default)
        demand(is_valid, f"{self.name}.{names[0]} is {value!r}, expected an integer of at least 1.")
        return value  # type: ignore[no-any-return]

    def number(self, *names: str, default: Json = ...) -> float:
        """A finite number. Raises CheckpointError."""
        value = self.take(*names, default=default)
        demand(_is_number(value), f"{self.name}.{names[0]} is {value!r}, expected a number.")
        return float(value)

    def channels(self, name: str, default: tuple[float, float, float]) -> tuple[float, float, float]:
        """One number each for red, green and blue. Raises CheckpointError."""
        value = self.take(name, default=default)
        is_valid = isinstance(value, list | tuple) and len(value) == 3 and all(map(_is_number, value))
        demand(is_valid, f"{self.name}.{name} is {value!r}, expected three numbers.")
        return value[0], value[1], value[2]

    def require(self, name: str, value: Json) -> None:
        """Raise CheckpointError if the key is present with another value than the one that is implemented."""
        found = self.take(name, default=value)
        demand(found == value, f"{self.name}.{name} is {found!r}; only {value!r} is implemented.")

    def finish(self, inert: frozenset[str]) -> None:
        """Raise CheckpointError for keys that were neither taken nor are in `inert`, the keys without effect."""
        if unknown := sorted(self.left - inert):
            raise CheckpointError(
                f"{self.name} has keys that this version does not know: {', '.join(unknown)}.",
                hint="They may change what the model computes, so they are not ignored.",
            )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
