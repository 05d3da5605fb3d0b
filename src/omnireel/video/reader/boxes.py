"""The container format of a file, and whether its end is missing, from its outermost boxes alone.

The demuxer is chosen from these bytes and never by probing: text formats that name other files (HLS, DASH, concat,
SDP) can therefore not be opened, whatever the file is called.
Sources: ISO/IEC 14496-12 section 4.2 (boxes), RFC 8794 section 4 (EBML variable-size integers).
"""

import os
from typing import NamedTuple

from omnireel.video.messages import Container

_FIRST_BOXES = frozenset({b"ftyp", b"styp", b"moov", b"moof", b"mdat", b"free", b"skip", b"wide", b"sidx"})
_STILL_IMAGE_BRANDS = frozenset({b"avif", b"heic", b"heix", b"heim", b"heis", b"mif1"})
_EBML = b"\x1a\x45\xdf\xa3"
_SEGMENT = b"\x18\x53\x80\x67"
_MAX_BOXES = 100_000


class ContainerInfo(NamedTuple):
    """The container format, and whether the file ends before its last box does."""

    container: Container
    is_truncated: bool


def read_container(fd: int, num_bytes: int) -> ContainerInfo | None:
    """The container of the file `fd` of num_bytes bytes; None when its format is not supported."""
    head = os.pread(fd, 64, 0)
    if head[:4] == _EBML:
        return ContainerInfo(Container.MATROSKA, _is_segment_truncated(fd, head, num_bytes))
    if head[4:8] in _FIRST_BOXES and not (head[4:8] == b"ftyp" and head[8:12] in _STILL_IMAGE_BRANDS):
        return ContainerInfo(Container.MOV, _is_last_box_truncated(fd, num_bytes))
    return None


def _is_last_box_truncated(fd: int, num_bytes: int) -> bool:
    offset = 0
    for _ in range(_MAX_BOXES):
        header = os.pread(fd, 16, offset)
        if len(header) < 8:
            return len(header) > 0
        size = int.from_bytes(header[:4], "big")
        if size == 1:
            size = int.from_bytes(header[8:16], "big")
        if size < 8:
            return False  # 0 means "to the end of the file"; for other values the demuxer decides
        offset += size
        if offset > num_bytes:
            return True
    return False


def _is_segment_truncated(fd: int, head: bytes, num_bytes: int) -> bool:
    length, size = _ebml_size(head[4:])
    start = 4 + length + size
    segment = os.pread(fd, 12, start)
    if segment[:4] != _SEGMENT:
        return False
    length, size = _ebml_size(segment[4:])
    is_unknown = size == (1 << 7 * length) - 1
    return not is_unknown and start + 4 + length + size > num_bytes


def _ebml_size(data: bytes) -> tuple[int, int]:
    """Length in bytes and value of a variable-size integer."""
    length = 9 - data[0].bit_length() if data and data[0] else 8
    value = int.from_bytes(data[:length], "big") & ((1 << 7 * length) - 1)
    return length, value
