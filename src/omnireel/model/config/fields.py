"""Reading a JSON object of which every key has to be accounted for."""

import math
from collections.abc import Mapping
from typing import Any

from omnireel.errors import CheckpointError

Json = Any  # a value as json.loads returns it
Raw = Mapping[str, Json]


def demand(holds: bool, otherwise: str) -> None:
    """Raise CheckpointError unless something holds."""
    if not holds:
        raise CheckpointError(otherwise)


class Fields:
    """A JSON object from which every key must be taken, required, or named as inert."""

    def __init__(self, name: str, raw: Raw) -> None:
        demand(isinstance(raw, Mapping), f"{name} is not a JSON object")
        self.name = name
        self.raw = raw
        self.left = set(raw)

    def take(self, *names: str, default: Json = ...) -> Json:
        """The value under `names`; where several are present they must agree."""
        self.left -= set(names)
        present = [name for name in names if name in self.raw]
        if not present:
            demand(default is not ..., f"{self.name} lacks {names[0]!r}")
            return default
        agree = all(self.raw[name] == self.raw[present[0]] for name in present)
        demand(agree, f"{self.name} says different things under {' and '.join(present)}")
        return self.raw[present[0]]

    def count(self, *names: str, default: Json = ...) -> int:
        """A whole number, at least 1 unless it is the default."""
        value = self.take(*names, default=default)
        fits = isinstance(value, int) and not isinstance(value, bool) and (value > 0 or value == default)
        demand(fits, f"{self.name}.{names[0]} is {value!r}, expected a whole number of at least 1")
        return value  # type: ignore[no-any-return]

    def number(self, *names: str, default: Json = ...) -> float:
        """A finite number."""
        value = self.take(*names, default=default)
        demand(_is_number(value), f"{self.name}.{names[0]} is {value!r}, expected a number")
        return float(value)

    def channels(self, name: str, default: tuple[float, float, float]) -> tuple[float, float, float]:
        """A number for each of red, green, blue."""
        value = self.take(name, default=default)
        fits = isinstance(value, list | tuple) and len(value) == 3 and all(map(_is_number, value))
        demand(fits, f"{self.name}.{name} is {value!r}, expected three numbers")
        return value[0], value[1], value[2]

    def require(self, name: str, value: Json) -> None:
        """If present, the key must have the one value that this code implements."""
        found = self.take(name, default=value)
        demand(found == value, f"{self.name}.{name} is {found!r}; only {value!r} is implemented")

    def finish(self, inert: frozenset[str]) -> None:
        """Refuse what nobody took."""
        if unknown := sorted(self.left - inert):
            raise CheckpointError(
                f"{self.name} has keys this version does not know: {', '.join(unknown)}",
                hint="they may change what the model computes, so they are not ignored",
            )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
