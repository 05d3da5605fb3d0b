"""The container format of a file, and whether a part that names samples is missing, from its outermost boxes alone.

The demuxer is chosen from these bytes and never by probing: text formats that name other files (HLS, DASH, concat,
SDP) can therefore not be opened, whatever the file is called.
Sources: ISO/IEC 14496-12 section 4.2 (boxes), RFC 8794 section 4 (EBML variable-size integers), RFC 9559 section 5
(Matroska's elements), GIF89a specification section 17.
"""

import os
from typing import NamedTuple

from omnireel.video.messages import Container

_FIRST_BOXES = frozenset({b"ftyp", b"styp", b"moov", b"moof", b"mdat", b"free", b"skip", b"wide", b"sidx"})
_STILL_IMAGE_BRANDS = frozenset({b"avif", b"heic", b"heix", b"heim", b"heis", b"mif1"})
_EBML = b"\x1a\x45\xdf\xa3"
_GIF = (b"GIF87a", b"GIF89a")
_SEGMENT = b"\x18\x53\x80\x67"
_CLUSTER = b"\x1f\x43\xb6\x75"
_AFTER_CLUSTERS = frozenset(
    {b"\x1c\x53\xbb\x6b", b"\x12\x54\xc3\x67"}
)  # Cues and Tags, where a Cluster came before
_MAX_BOXES = 100_000


class ContainerInfo(NamedTuple):
    """The container format, and whether the end of the file is missing.

    is_incomplete: the last box or element goes on beyond the end of the file, whatever it is
    is_truncated:  the file ends within a part that says which samples there are. Where it ends within the samples,
                   the decoding child knows which of them are missing.
    """

    container: Container
    is_incomplete: bool
    is_truncated: bool


def read_container(fd: int, num_bytes: int) -> ContainerInfo | None:
    """The container of the file `fd` of num_bytes bytes; None when its format is not supported."""
    head = os.pread(fd, 64, 0)
    if head[:4] == _EBML:
        is_incomplete, is_truncated = _segment_end(fd, head, num_bytes)
        return ContainerInfo(Container.MATROSKA, is_incomplete, is_truncated)
    if head[:6] in _GIF:
        return ContainerInfo(Container.GIF, is_incomplete=False, is_truncated=False)
    if head[4:8] in _FIRST_BOXES and not (head[4:8] == b"ftyp" and head[8:12] in _STILL_IMAGE_BRANDS):
        return ContainerInfo(Container.MOV, *_last_box(fd, num_bytes))
    return None


def _last_box(fd: int, num_bytes: int) -> tuple[bool, bool]:
    """is_incomplete and is_truncated. What follows the last box may be anything, and is no loss."""
    offset = 0
    kinds: tuple[bytes, bytes] = (b"", b"")
    for _ in range(_MAX_BOXES):
        header = os.pread(fd, 16, offset)
        if len(header) < 8:
            # Between fragments this is the start of the next one, as far as can be seen.
            is_next = header[:1] == b"\0" and b"moof".startswith(header[4:])
            return len(header) > 0, is_next and kinds == (b"moof", b"mdat")
        size = int.from_bytes(header[:4], "big")
        if size == 1:
            size = int.from_bytes(header[8:16], "big")
        if size < 8:
            break  # 0 means "to the end of the file"; for other values the demuxer decides
        offset += size
        kinds = kinds[1], header[4:8]
        if offset > num_bytes:
            return True, header[4:8] in (b"moov", b"moof")
    return False, False


def _segment_end(fd: int, head: bytes, num_bytes: int) -> tuple[bool, bool]:
    """is_incomplete: the segment goes on; is_truncated: nothing that follows the clusters is there either."""
    length, size = _ebml_size(head[4:])
    start = 4 + length + size
    segment = os.pread(fd, 12, start)
    if segment[:4] != _SEGMENT:
        return False, False
    length, size = _ebml_size(segment[4:])
    start += 4 + length
    is_unknown = size == (1 << 7 * length) - 1
    is_incomplete = not is_unknown and start + size > num_bytes
    return is_incomplete, is_incomplete and not _are_clusters_complete(fd, start, num_bytes)


def _are_clusters_complete(fd: int, offset: int, num_bytes: int) -> bool:
    """Whether an element that follows the last cluster begins within the file. offset: of the first element"""
    has_cluster = False
    for _ in range(_MAX_BOXES):
        element = os.pread(fd, 12, offset)
        if len(element) < 12:
            break
        kind = element[: 9 - element[0].bit_length() if element[0] else 8]
        if has_cluster and kind in _AFTER_CLUSTERS:
            return True
        has_cluster |= kind == _CLUSTER
        length, size = _ebml_size(element[len(kind) :])
        offset += len(kind) + length + size
        if offset > num_bytes:
            break
    return False


def _ebml_size(data: bytes) -> tuple[int, int]:
    """Length in bytes and value of a variable-size integer."""
    length = 9 - data[0].bit_length() if data and data[0] else 8
    value = int.from_bytes(data[:length], "big") & ((1 << 7 * length) - 1)
    return length, value
