"""Whether a GIF ends within a picture. FFmpeg shows the part that is there over the picture before it.

Source: GIF89a specification, sections 15 to 25.
"""

_IMAGE, _EXTENSION = b"\x2c", b"\x21"


def ends_within_picture(packet: bytes) -> bool:
    """Whether a packet, with or without the file's header, ends within a block."""
    at = 13 + _table_bytes(packet, 10) if packet[:3] == b"GIF" else 0
    while (kind := packet[at : at + 1]) in (_IMAGE, _EXTENSION):
        # The descriptor, its colours and the size of codes; or the introducer and the label of an extension.
        at += 11 + _table_bytes(packet, at + 9) if kind == _IMAGE else 2
        while at < len(packet) and packet[at]:
            at += 1 + packet[at]
        at += 1
    return at > len(packet)


def _table_bytes(packet: bytes, at: int) -> int:
    """Bytes of the colour table whose flags are at an offset."""
    flags = packet[at] if at < len(packet) else 0
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0
