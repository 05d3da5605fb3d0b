"""What other frames can depend on a coded picture, read from its first bytes.

This lets the reader leave out pictures that no chosen frame needs and still get the same pixels, bit for
bit. Every answer errs on the side of decoding: what is not recognised is needed.
Sources: ITU-T H.264 7.4.1 (nal_ref_idc), ITU-T H.265 7.4.2.2 (table 7-1) and 8.1.3, ISO/IEC 14496-2 6.3.5
(vop_coding_type), VP9 bitstream specification 6.2, AV1 bitstream specification 5.9.2.
"""

from collections.abc import Callable, Iterator
from enum import IntFlag


class Role(IntFlag):
    """What is known of a coded picture.

    DROPPABLE  no other picture is predicted from it
    START      nothing from here on, in file order, is predicted from before
    OPEN_START the same, except for the LEADING pictures after it
    LEADING    shown before the OPEN_START it follows; trailing pictures do not need it
    """

    PLAIN = 0
    DROPPABLE = 1
    START = 2
    OPEN_START = 4
    LEADING = 8


RoleOf = Callable[[bytes], Role]


def role_reader(codec: str, extradata: bytes) -> RoleOf:
    """The function that reads a picture's role, for packets of this stream."""
    if codec == "h264" and len(extradata) > 4 and extradata[0] == 1:
        prefix = (extradata[4] & 3) + 1
        return lambda packet: _h264_role(packet, prefix)
    if codec == "hevc" and len(extradata) > 21 and extradata[0] == 1:
        prefix = (extradata[21] & 3) + 1
        top_layer = (extradata[21] >> 3 & 7) - 1
        return lambda packet: _hevc_role(packet, prefix, top_layer)
    return {"mpeg4": _mpeg4_role, "vp9": _vp9_role, "av1": _av1_role}.get(codec, _unknown_role)


def _unknown_role(_packet: bytes) -> Role:
    return Role.PLAIN


def _units(packet: bytes, prefix: int) -> Iterator[tuple[int, int]]:
    """First two bytes of each length-prefixed NAL unit; ends early when the lengths do not add up."""
    offset = 0
    while offset + prefix + 2 <= len(packet):
        start = offset + prefix
        yield packet[start], packet[start + 1]
        offset = start + int.from_bytes(packet[offset:start], "big")


def _h264_role(packet: bytes, prefix: int) -> Role:
    slices = [head for head, _ in _units(packet, prefix) if head & 31 in (1, 2, 3, 4, 5)]
    if not slices:
        return Role.PLAIN
    if all(head & 31 == 5 for head in slices):
        return Role.START
    return Role.PLAIN if any(head >> 5 & 3 for head in slices) else Role.DROPPABLE


def _hevc_role(packet: bytes, prefix: int, top_layer: int) -> Role:
    slices = [(first >> 1 & 63, (second & 7) - 1) for first, second in _units(packet, prefix)]
    slices = [(kind, layer) for kind, layer in slices if kind < 32]
    if not slices:
        return Role.PLAIN
    kinds = {kind for kind, _ in slices}
    if kinds <= {19, 20}:
        return Role.START
    if kinds <= {16, 17, 18, 21}:
        return Role.OPEN_START
    role = Role.LEADING if kinds <= {8, 9} else Role.PLAIN
    # Even types up to 14 are not referred to within their own temporal layer, but may be from a higher one.
    is_unreferenced = all(kind <= 14 and kind % 2 == 0 and layer == top_layer for kind, layer in slices)
    return role | Role.DROPPABLE if is_unreferenced else role


def _mpeg4_role(packet: bytes) -> Role:
    start = packet.find(b"\0\0\1\xb6")
    is_only_picture = start >= 0 and packet.find(b"\0\0\1\xb6", start + 4) < 0
    if is_only_picture and packet[start + 4 : start + 5] and packet[start + 4] >> 6 == 2:
        return Role.DROPPABLE
    return Role.PLAIN


def _vp9_role(packet: bytes) -> Role:
    """A shown key frame of profile 0 to 2 resets all that later frames could refer to."""
    head = packet[0] if packet else 0
    is_profile_3 = head & 0x30 == 0x30
    return Role.START if head >> 6 == 2 and not is_profile_3 and head & 0x0E == 0x02 else Role.PLAIN


def _av1_role(packet: bytes) -> Role:
    """A shown key frame resets all eight reference slots."""
    offset = 0
    while offset < len(packet):
        head = packet[offset]
        kind, has_extension, has_size = head >> 3 & 15, head >> 2 & 1, head >> 1 & 1
        offset += 1 + has_extension
        if not has_size:
            return Role.PLAIN
        size, offset = _leb128(packet, offset)
        if kind in (3, 6):
            # show_existing_frame 0, frame_type 0 (key), show_frame 1
            return Role.START if offset < len(packet) and packet[offset] >> 4 == 0b0001 else Role.PLAIN
        offset += size
    return Role.PLAIN


def _leb128(data: bytes, offset: int) -> tuple[int, int]:
    value = 0
    for i in range(8):
        byte = data[offset + i] if offset + i < len(data) else 0
        value |= (byte & 127) << 7 * i
        if byte < 128:
            return value, offset + i + 1
    return value, offset + 8
