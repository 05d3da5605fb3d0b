"""Parses mp4 files into a tree of boxes, and builds invalid files from it.

Source: ISO/IEC 14496-12 sections 4.2 (boxes) and 8 (their fields).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

_HOLDING = frozenset(
    {b"moov", b"trak", b"mdia", b"minf", b"stbl", b"edts", b"dinf", b"udta", b"moof", b"traf", b"mvex"}
)
_HEADER = {b"dref": 8, b"stsd": 8}  # bytes before the boxes inside
VISUAL_ENTRY = 78  # bytes of a visual sample entry before the boxes inside


@dataclass
class Box:
    """One box. It has either `content`, or boxes `inside` after the fixed fields in `prefix`."""

    kind: bytes
    content: bytes = b""
    prefix: bytes = b""
    inside: list[Box] = field(default_factory=list)

    def bytes(self) -> bytes:
        body = self.content or self.prefix + b"".join(box.bytes() for box in self.inside)
        return struct.pack(">I4s", 8 + len(body), self.kind) + body

    def walk(self) -> Iterator[Box]:
        yield self
        for box in self.inside:
            yield from box.walk()


def parse(data: bytes) -> list[Box]:
    """The boxes of a well-formed file."""
    boxes, at = [], 0
    while at < len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        start = at + 8
        if size == 1:
            size, start = struct.unpack_from(">Q", data, start)[0], start + 8
        body, at = data[start : at + size], at + size
        if kind in _HOLDING or kind in _HEADER:
            skipped = _HEADER.get(kind, 0)
            boxes.append(Box(kind, prefix=body[:skipped], inside=parse(body[skipped:])))
        else:
            boxes.append(Box(kind, content=body))
    return boxes


def built(boxes: list[Box]) -> bytes:
    """The bytes of a file with these boxes."""
    return b"".join(box.bytes() for box in boxes)


def find(boxes: list[Box], *kinds: bytes) -> Box:
    """Follow a path of kinds: the first box of the first kind, the first of the next kind inside it, and so on."""
    found = next(box for top in boxes for box in top.walk() if box.kind == kinds[0])
    return find(found.inside, *kinds[1:]) if len(kinds) > 1 else found


def edited(*path: bytes, edit: Callable[[Box], None]) -> Callable[[bytes], bytes]:
    """A function that changes one box of a file. Offsets to data after the moov may become wrong."""

    def apply(data: bytes) -> bytes:
        boxes = parse(data)
        edit(find(boxes, *path))
        return built(boxes)

    return apply


def patched(*path: bytes, at: int, value: bytes) -> Callable[[bytes], bytes]:
    """A function that overwrites bytes of a box, `at` bytes after its header. No offset changes."""

    def edit(box: Box) -> None:
        body = box.content or box.prefix
        assert at + len(value) <= len(body)
        body = body[:at] + value + body[at + len(value) :]
        box.content, box.prefix = (body, b"") if box.content else (b"", body)

    return edited(*path, edit=edit)


def without(*path: bytes) -> Callable[[bytes], bytes]:
    """A function that turns a box into free space. No offset changes."""

    def edit(box: Box) -> None:
        box.content = box.content or box.prefix + b"".join(inner.bytes() for inner in box.inside)
        box.kind, box.prefix, box.inside = b"free", b"", []

    return edited(*path, edit=edit)


def u32(*values: int) -> bytes:
    return struct.pack(f">{len(values)}I", *values)


def borders(data: bytes) -> dict[str, int]:
    """Name → offset: before, within and after the header of each outermost box."""
    places, at = {}, 0
    for number, box in enumerate(parse(data)):
        name = f"{number} {box.kind.decode('latin-1')}"
        places |= {
            f"before {name}": at,
            f"inside the header of {name}": at + 5,
            f"after the header of {name}": at + 8,
        }
        at += len(box.bytes())
    return places
