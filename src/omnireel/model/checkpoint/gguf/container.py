"""The GGUF container, version 3: metadata, descriptions of tensors, and where their bytes are.

Source: ggml/docs/gguf.md. All numbers are little-endian. A shape is written innermost dimension first; here it is
outermost first, as torch has it.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from omnireel.errors import CheckpointError

MAGIC, VERSION, ALIGNMENT = b"GGUF", 3, 32
_MOST_ENTRIES = 10_000_000  # of an array or a table: a damaged length must not make us wait for its end
_MOST_BYTES = 1 << 24  # of a string
_AGAIN = "Download or pack the file again."
# Kind of a metadata value → its format for `struct`.
_U32, _I32, _F32, _BOOL, _STRING, _ARRAY = 4, 5, 6, 7, 8, 9
_SCALARS = {
    0: "B",
    1: "b",
    2: "H",
    3: "h",
    _U32: "I",
    _I32: "i",
    _F32: "f",
    _BOOL: "?",
    10: "Q",
    11: "q",
    12: "d",
}

Scalar = int | float | bool | str
LISTS = (list, tuple)
Value = Scalar | list[Any] | tuple[Any, ...]  # any: a scalar, of one type in a list


@dataclass(frozen=True)
class Format:
    """How the values of a tensor are stored: `block` consecutive values of a row take `block_bytes` bytes."""

    name: str
    code: int
    block: int
    block_bytes: int

    def num_bytes(self, num_values: int) -> int:
        """Bytes of so many values, a multiple of `block`."""
        return num_values // self.block * self.block_bytes


_TABLE = (
    ("f32", 0, 1, 4), ("f16", 1, 1, 2), ("q4_0", 2, 32, 18), ("q4_1", 3, 32, 20), ("q5_0", 6, 32, 22),
    ("q5_1", 7, 32, 24), ("q8_0", 8, 32, 34), ("q2_K", 10, 256, 84), ("q3_K", 11, 256, 110),
    ("q4_K", 12, 256, 144), ("q5_K", 13, 256, 176), ("q6_K", 14, 256, 210), ("iq2_xxs", 16, 256, 66),
    ("iq2_xs", 17, 256, 74), ("iq3_xxs", 18, 256, 98), ("iq1_s", 19, 256, 50), ("iq4_nl", 20, 32, 18),
    ("iq3_s", 21, 256, 110), ("iq2_s", 22, 256, 82), ("iq4_xs", 23, 256, 136), ("iq1_m", 29, 256, 56),
    ("bf16", 30, 1, 2), ("mxfp4", 39, 32, 17), ("nvfp4", 40, 64, 36),
)  # fmt: skip
FORMATS: Mapping[str, Format] = {row[0]: Format(*row) for row in _TABLE}
_BY_CODE = {stored.code: stored for stored in FORMATS.values()}


@dataclass(frozen=True)
class Entry:
    """A tensor. offset: of its first byte, from the start of the file `path`"""

    path: Path
    name: str
    shape: tuple[int, ...]
    format: Format
    offset: int

    @property
    def num_bytes(self) -> int:
        """Bytes of all its values."""
        return self.format.num_bytes(math.prod(self.shape))


@dataclass(frozen=True)
class Header:
    """All of a GGUF but the tensors' values. metadata: of its first file; tensors: of all its files"""

    metadata: Mapping[str, Value]
    tensors: Mapping[str, Entry]


def read_header(path: Path) -> Header:
    """Read the header of a GGUF and compare the tensors' places with the file's size.

    path: the file, or the first of its files where it is split
    Raises CheckpointError for a file that is no GGUF, is damaged or truncated, and where a part is missing.
    """
    first = _read_file(path)
    num_parts = first.metadata.get("split.count", 1)
    if not isinstance(num_parts, int) or num_parts < 2:
        return first
    tensors = dict(first.tensors)
    for part in _other_parts(path, num_parts):
        tensors.update(_read_file(part).tensors)
    if (stated := first.metadata.get("split.tensors.count", len(tensors))) != len(tensors):
        raise CheckpointError(
            f"{path} and its other parts have {len(tensors)} tensors, not {stated}.", hint=_AGAIN
        )
    return Header(first.metadata, tensors)


def _read_file(path: Path) -> Header:
    try:
        with path.open("rb") as file:
            header = _Reader(file, path).header()
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror}.") from None
    needed = max((entry.offset + entry.num_bytes for entry in header.tensors.values()), default=0)
    if (found := path.stat().st_size) < needed:
        raise CheckpointError(f"{path} is truncated: it has {found:,} bytes of {needed:,}.", hint=_AGAIN)
    return header


def _other_parts(path: Path, num_parts: int) -> Iterator[Path]:
    """The paths of the second and the following parts. Source: llama.cpp's llama_split_path."""
    ending = f"-00001-of-{num_parts:05}.gguf"
    if not path.name.endswith(ending):
        raise CheckpointError(
            f"{path} is a part of a GGUF in {num_parts} files.",
            hint=f"Name the first one, which ends in {ending}.",
        )
    for number in range(2, num_parts + 1):
        part = path.with_name(path.name.removesuffix(ending) + f"-{number:05}-of-{num_parts:05}.gguf")
        if not part.is_file():
            raise CheckpointError(f"{path} is incomplete: its part {part.name} is missing.", hint=_AGAIN)
        yield part


def header_bytes(
    metadata: Mapping[str, Value], tensors: Sequence[tuple[str, tuple[int, ...], Format]]
) -> bytes:
    """The start of a GGUF file, up to the first tensor's first byte. tensors: name, shape and format, in order."""
    parts = [MAGIC, struct.pack("<IQQ", VERSION, len(tensors), len(metadata))]
    parts += [_string(key) + _value(value) for key, value in metadata.items()]
    offset = 0
    for name, shape, stored in tensors:
        parts.append(_string(name) + struct.pack("<I", len(shape)))
        parts.append(struct.pack(f"<{len(shape)}QIQ", *reversed(shape), stored.code, offset))
        offset += _aligned(stored.num_bytes(math.prod(shape)))
    start = b"".join(parts)
    return start + bytes(_aligned(len(start)) - len(start))


def padding(num_bytes: int) -> bytes:
    """The zeros between a tensor of so many bytes and the next."""
    return bytes(_aligned(num_bytes) - num_bytes)


def _aligned(offset: int, alignment: int = ALIGNMENT) -> int:
    return -(-offset // alignment) * alignment


def _string(text: str) -> bytes:
    raw = text.encode()
    return struct.pack("<Q", len(raw)) + raw


def _kind(value: Scalar) -> int:
    if isinstance(value, bool):
        return _BOOL
    if isinstance(value, str):
        return _STRING
    return _F32 if isinstance(value, float) else _I32 if value < 0 else _U32


def _plain(value: Scalar, kind: int) -> bytes:
    return _string(str(value)) if kind == _STRING else struct.pack("<" + _SCALARS[kind], value)


def _value(value: Value) -> bytes:
    if not isinstance(value, LISTS):
        kind = _kind(value)
        return struct.pack("<I", kind) + _plain(value, kind)
    kind = _I32 if isinstance(value[0], int) else _kind(value[0])
    items = b"".join(_plain(item, kind) for item in value)
    return struct.pack("<IIQ", _ARRAY, kind, len(value)) + items


class _Reader:
    """Reads a header in order; every length is checked before that much is read."""

    def __init__(self, file: BinaryIO, path: Path) -> None:
        self._file, self._path, self._num_read = file, path, 0

    def header(self) -> Header:
        if self._file.read(len(MAGIC)) != MAGIC:
            raise CheckpointError(f"{self._path} is not a GGUF file: it does not begin with GGUF.")
        self._num_read = len(MAGIC)
        (version,) = self._unpack("I")
        if version not in (2, VERSION):
            raise CheckpointError(f"{self._path} is a GGUF of version {version}; known: 2 and 3.")
        num_tensors, num_values = self._count(), self._count()
        metadata = {self._text(): self._value() for _ in range(num_values)}
        described = [self._description() for _ in range(num_tensors)]
        alignment = metadata.get("general.alignment", ALIGNMENT)
        if not isinstance(alignment, int) or alignment < 1:
            raise self._damaged(f"an alignment of {alignment!r}")
        start = _aligned(self._num_read, alignment)
        tensors = {row[0]: Entry(self._path, *row[:3], start + row[3]) for row in described}
        return Header(metadata, tensors)

    def _description(self) -> tuple[str, tuple[int, ...], Format, int]:
        name = self._text()
        (num_dimensions,) = self._unpack("I")
        if not 0 < num_dimensions <= 4:
            raise self._damaged(f"{num_dimensions} dimensions of {name!r}")
        *inner_first, code, offset = self._unpack(f"{num_dimensions}QIQ")
        if code not in _BY_CODE:
            raise CheckpointError(
                f"{self._path} stores {name!r} in format {code}, which this version does not know."
            )
        stored = _BY_CODE[code]
        if inner_first[0] % stored.block:
            raise self._damaged(f"rows of {inner_first[0]} values in {stored.name}: {name!r}")
        return name, tuple(reversed(inner_first)), stored, offset

    def _value(self) -> Value:
        (kind,) = self._unpack("I")
        if kind != _ARRAY:
            return self._scalar(kind)
        (item_kind,) = self._unpack("I")
        count = self._count()
        if item_kind in _SCALARS:
            return self._unpack(f"{count}{_SCALARS[item_kind]}")
        return [self._scalar(item_kind) for _ in range(count)]

    def _scalar(self, kind: int) -> Scalar:
        if kind == _STRING:
            return self._text()
        if kind not in _SCALARS:
            raise self._damaged(f"a value of kind {kind}")
        value: Scalar = self._unpack(_SCALARS[kind])[0]
        return value

    def _count(self) -> int:
        (count,) = self._unpack("Q")
        if count > _MOST_ENTRIES:
            raise self._damaged(f"a table of {count} entries")
        return int(count)

    def _text(self) -> str:
        (length,) = self._unpack("Q")
        if length > _MOST_BYTES:
            raise self._damaged(f"a string of {length} bytes")
        return self._read(length).decode("utf-8", "replace")

    def _unpack(self, codes: str) -> tuple[int, ...]:
        layout = struct.Struct("<" + codes)
        return layout.unpack(self._read(layout.size))

    def _read(self, num_bytes: int) -> bytes:
        found = self._file.read(num_bytes)
        self._num_read += num_bytes
        if len(found) < num_bytes:
            raise CheckpointError(f"{self._path} is truncated: it ends inside its header.", hint=_AGAIN)
        return found

    def _damaged(self, what: str) -> CheckpointError:
        return CheckpointError(f"{self._path} is damaged: its header has {what}.", hint=_AGAIN)
